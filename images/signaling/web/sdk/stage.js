/**
 * Which of several ways brings each member's tracks to the page.
 *
 * @typedef {import('./types.js').Source} Source
 *
 * @typedef {object} Offered
 * @property {number} way
 * @property {MediaStreamTrack} track
 * @property {boolean} flows  Whether frames came by it that could be opened.
 */

/** The way from member to member. Later ways have higher numbers. */
export const MESH = 0

/**
 * Shows of each source one track: of those that flow the one of the latest way, so that nobody sees or hears the change.
 */
export class Stage {
  /** @type {Map<string, {sid: string, source: Source, offered: Offered[], shown: Offered | null}>} */
  #places = new Map()
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
    const key = `${sid} ${source}`
    const place = this.#places.get(key) ?? { sid, source, offered: [], shown: null }
    place.offered = place.offered.filter((each) => each.way !== way)
    // A member's own connection has nothing else to wait for.
    if (track) place.offered.push({ way, track, flows: way === MESH })
    this.#places.set(key, place)
    this.#settle(place)
    if (!place.offered.length) this.#places.delete(key)
  }

  /**
   * @param {number} way
   * @param {string} sid
   * @param {Source} source
   */
  flows(way, sid, source) {
    const place = this.#places.get(`${sid} ${source}`)
    const offered = place?.offered.find((each) => each.way === way)
    if (!place || !offered || offered.flows) return
    offered.flows = true
    this.#settle(place)
  }

  /** Nothing comes by this way for now. @param {number} way */
  stalls(way) {
    for (const place of this.#places.values()) {
      for (const each of place.offered) if (each.way === way) each.flows = false
      this.#settle(place)
    }
  }

  /**
   * Whether what is shown of a member comes by a way, and flows.
   *
   * @param {string} sid
   * @param {Source} source
   * @param {(way: number) => boolean} isMeant
   */
  showsBy(sid, source, isMeant) {
    const shown = this.#places.get(`${sid} ${source}`)?.shown
    return !!shown && shown.flows && isMeant(shown.way)
  }

  /** Whether anything that flows is shown by this way. @param {number} way */
  needs(way) {
    return [...this.#places.values()].some(({ shown }) => shown?.way === way && shown.flows)
  }

  /** @param {{sid: string, source: Source, offered: Offered[], shown: Offered | null}} place */
  #settle(place) {
    const best = place.offered.reduce((/** @type {Offered | null} */ best, each) => (best && isBetter(best, each) ? best : each), null)
    if (best === place.shown) return
    place.shown = best
    this.#show(place.sid, place.source, best?.track ?? null)
  }
}

/**
 * @param {Offered} one
 * @param {Offered} other
 */
function isBetter(one, other) {
  return one.flows === other.flows ? one.way > other.way : one.flows
}
