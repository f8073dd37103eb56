/**
 * Which of several ways brings each member's tracks to the page.
 *
 * @typedef {import('./types.js').Source} Source
 *
 * @typedef {object} Offered
 * @property {number} way
 * @property {MediaStreamTrack} track
 * @property {boolean} flows  Whether frames came by it that could be opened, and nothing says that they stopped.
 *
 * @typedef {object} Place
 * @property {Source} source
 * @property {Offered[]} offered
 * @property {Offered | null} shown
 *
 * @typedef {object} Member
 * @property {string} sid
 * @property {Map<Source, Place>} places
 * @property {Map<number, number>} heard  By way: the last round in which anything of the member came by it.
 */

/** The way from member to member. Later ways have higher numbers. */
export const MESH = 0

/** Rounds without a frame of a member after which a way is silent: one may just have been late. */
const SILENT_ROUNDS = 2

/**
 * Shows of each source one track: of those that flow the one of the latest way, so that nobody sees or hears the change.
 *
 * A way by which nothing of a member comes any more gives way to another by which something does: a member that lost
 * the SFU has nobody else to say so. Where all are silent nothing changes.
 */
export class Stage {
  /** @type {Map<string, Member>} */
  #members = new Map()
  #round = 0
  #show

  /** @param {(sid: string, source: Source, track: MediaStreamTrack | null) => void} show */
  constructor(show) {
    this.#show = show
  }

  /**
   * @param {number} way
   * @param {string} sid
   * @param {Source} source
   * @param {MediaStreamTrack | null} track  `null`: this way brings it no more.
   */
  put(way, sid, source, track) {
    /** @type {Member} */
    const member = this.#members.get(sid) ?? { sid, places: new Map(), heard: new Map() }
    /** @type {Place} */
    const place = member.places.get(source) ?? { source, offered: [], shown: null }
    place.offered = place.offered.filter((each) => each.way !== way)
    if (track) {
      // A member's own connection has nothing else to wait for.
      place.offered.push({ way, track, flows: way === MESH })
      member.places.set(source, place)
      this.#members.set(sid, member)
    }
    this.#settle(sid, place)
    if (place.offered.length) return
    member.places.delete(source)
    if (!member.places.size) this.#members.delete(sid)
  }

  /**
   * Frames came in this round.
   *
   * @param {number} way
   * @param {string} sid
   * @param {Source} source
   */
  flows(way, sid, source) {
    const member = this.#members.get(sid)
    const place = member?.places.get(source)
    const offered = place?.offered.find((each) => each.way === way)
    if (!member || !place || !offered) return
    member.heard.set(way, this.#round)
    if (offered.flows) return
    offered.flows = true
    this.#settle(sid, place)
  }

  /** A round is over: every way had its say in it. */
  nextRound() {
    for (const member of this.#members.values()) {
      const isHeard = [...member.heard.values()].includes(this.#round)
      if (isHeard) this.#withdraw(member, (way) => way !== MESH && this.#isSilent(member, way))
    }
    this.#round += 1
  }

  /** Nothing comes by this way for now. @param {number} way */
  stalls(way) {
    for (const member of this.#members.values()) this.#withdraw(member, (each) => each === way)
  }

  /**
   * Whether what is shown of a member comes by a way, and did so until a moment ago.
   *
   * @param {string} sid
   * @param {Source} source
   * @param {(way: number) => boolean} isMeant
   */
  showsBy(sid, source, isMeant) {
    const member = this.#members.get(sid)
    const shown = member?.places.get(source)?.shown
    return !!member && !!shown && shown.flows && isMeant(shown.way) && !this.#isSilent(member, shown.way)
  }

  /** Whether anything that flows is shown by this way. @param {number} way */
  needs(way) {
    const places = [...this.#members.values()].flatMap((member) => [...member.places.values()])
    return places.some(({ shown }) => shown?.way === way && shown.flows)
  }

  /**
   * @param {Member} member
   * @param {number} way
   */
  #isSilent({ heard }, way) {
    return this.#round - (heard.get(way) ?? -Infinity) >= SILENT_ROUNDS
  }

  /**
   * What came by these ways does not count as flowing until it comes again.
   *
   * @param {Member} member
   * @param {(way: number) => boolean} isMeant
   */
  #withdraw({ sid, places }, isMeant) {
    for (const place of places.values()) {
      for (const each of place.offered) if (isMeant(each.way)) each.flows = false
      this.#settle(sid, place)
    }
  }

  /**
   * @param {string} sid
   * @param {Place} place
   */
  #settle(sid, place) {
    const best = place.offered.reduce((/** @type {Offered | null} */ best, each) => (best && isBetter(best, each) ? best : each), null)
    if (best === place.shown) return
    place.shown = best
    this.#show(sid, place.source, best?.track ?? null)
  }
}

/**
 * @param {Offered} one
 * @param {Offered} other
 */
function isBetter(one, other) {
  return one.flows === other.flows ? one.way > other.way : one.flows
}
