/**
 * @typedef {import('./types.js').MediaState} MediaState
 * @typedef {import('./types.js').Source} Source
 */

/** @type {Record<Source, 'audio' | 'video' | 'screen'>} */
const SAID_AS = { mic: 'audio', cam: 'video', screen: 'screen' }
const SOURCES = /** @type {Source[]} */ (Object.keys(SAID_AS))

/** What this member sends, and what it says that it sends: never more than its token allows. */
export class OwnMedia {
  /** @type {Record<Source, MediaStreamTrack | null>} */
  tracks = { mic: null, cam: null, screen: null }
  /** @type {MediaState} */
  #said = { audio: false, video: false, screen: false, hand: false }
  /** @type {readonly Source[]} */
  #allowed = SOURCES

  /** @returns {MediaState} */
  get state() {
    const state = { ...this.#said }
    for (const source of SOURCES) if (!this.#allowed.includes(source)) state[SAID_AS[source]] = false
    return state
  }

  /** Whether there is anything to send. */
  get sends() {
    return Object.values(this.tracks).some(Boolean)
  }

  /** @param {Partial<MediaState>} change */
  say(change) {
    this.#said = { ...this.#said, ...change }
  }

  /** @param {Source} source */
  allows(source) {
    return this.#allowed.includes(source)
  }

  /**
   * What the token allows is known now: lets go of tracks that it does not.
   *
   * @param {readonly Source[]} sources
   * @returns {Source[]} Whose tracks those were.
   */
  allow(sources) {
    this.#allowed = sources
    const refused = SOURCES.filter((source) => this.tracks[source] && !sources.includes(source))
    for (const source of refused) this.tracks[source] = null
    return refused
  }
}
