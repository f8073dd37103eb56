import { SfuPeer } from './sfu_peer.js'
import { SfuPhase } from './sfu_phase.js'
import { newWishes, wantedOf, wishesOf } from './sfu_wants.js'

/**
 * @typedef {import('./sfu_wants.js').Wishes} Wishes
 * @typedef {import('./types.js').SfuState} SfuState
 * @typedef {import('./types.js').Source} Source
 * @typedef {import('./types.js').Views} Views
 *
 * @typedef {object} SfuLegOptions
 * @property {string} selfSid
 * @property {import('./frame_crypto.js').FrameCrypto} frames
 * @property {Readonly<Record<Source, MediaStreamTrack | null>>} tracks
 * @property {'all' | 'relay'} iceTransportPolicy
 * @property {() => ReadonlyMap<string, {screen: boolean}>} others  The roster without this member.
 * @property {import('./stage.js').Stage} stage
 * @property {(type: 'offer' | 'layout', d: object) => void} send
 * @property {(covers: boolean) => void} onCovers
 * @property {(code: string, message: string) => void} onWarning
 *
 * @typedef {{way: number, peer: SfuPeer}} Way
 */

const VIEWS_MS = 250
/**
 * Reports of the worker, one a second, for which an old connection is kept beside one that stands: long enough for the
 * others to receive by the new one, and not for ever where someone does not come along.
 */
const REPORTS_BESIDE = { least: 3, most: 10 }

/** A member's connection with whichever SFU serves its room: the next one is made before the old one is closed. */
export class SfuLeg {
  #o
  #phase
  /** @type {RTCIceServer[]} */
  #iceServers = []
  #ways = 0
  /** @type {Way | null} */
  #current = null
  /** @type {Way | null} */
  #former = null
  #reportsBeside = 0
  /** @type {SfuState | null} */
  #state = null
  /** @type {Views} */
  #views = {}
  #viewsTimer = 0
  /** What the SFU knows of. @type {Wishes} */
  #told = {}

  /** @param {SfuLegOptions} options */
  constructor(options) {
    this.#o = options
    this.#phase = new SfuPhase((covers) => this.#covers(covers))
  }

  /** Whether who is reached through the SFU needs no connection of its own. */
  get covers() {
    return this.#phase.covers
  }

  /** @param {boolean} taken  Whether an SFU serves the room. */
  seated(taken) {
    if (taken) this.#phase.appeared()
    else this.#phase.vanished()
  }

  /** @param {SfuState} state */
  told(state) {
    if (state.route !== this.#current?.peer.route) this.#connect(state.route)
    else if (this.#state && state.rev < this.#state.rev) return
    this.#state = state
    this.refresh()
    this.#current?.peer.askAgain()
  }

  /** @param {{route: string, seq: number, sdp: string}} answer */
  answered(answer) {
    if (answer.route === this.#current?.peer.route) this.#current.peer.answered(answer)
  }

  /** @param {{route: string, seq: number}} refusal */
  refused(refusal) {
    if (refusal.route === this.#current?.peer.route) this.#current.peer.refused(refusal)
  }

  /** The signaling connection is back: what was said last may be lost. */
  resumed() {
    this.#told = {}
    this.#current?.peer.repeat()
    this.refresh()
  }

  /** Receives what the roster and the SFU's state call for now. */
  refresh() {
    if (!this.#current || !this.#state) return
    const wanted = wantedOf(this.#state.tracks, this.#o.others(), this.#views)
    this.#current.peer.want(wanted)
    const wishes = wishesOf(wanted, this.#views)
    for (const news of newWishes(this.#told, wishes)) this.#o.send('layout', { wishes: news })
    this.#told = wishes
  }

  /** @param {Views} views */
  show(views) {
    this.#views = views
    clearTimeout(this.#viewsTimer)
    this.#viewsTimer = setTimeout(() => this.refresh(), VIEWS_MS)
  }

  /** @param {Readonly<Record<number, number>>} opened  See `SfuPeer.counted`. */
  counted(opened) {
    for (const way of this.#standing) way.peer.counted(opened)
    if (!this.#former || !this.#current?.peer.connected) return
    this.#reportsBeside += 1
    const isNeeded = this.#o.stage.needs(this.#former.way)
    if (this.#reportsBeside >= (isNeeded ? REPORTS_BESIDE.most : REPORTS_BESIDE.least)) this.#dropFormer()
  }

  /**
   * @param {Source} source
   * @param {MediaStreamTrack | null} track
   */
  async setTrack(source, track) {
    await Promise.all(this.#standing.map(({ peer }) => peer.setTrack(source, track)))
  }

  /** @param {RTCIceServer[]} servers */
  setIceServers(servers) {
    this.#iceServers = servers
    for (const { peer } of this.#standing) peer.setIceServers(servers)
  }

  restartIce() {
    this.#current?.peer.restartIce()
  }

  /** @returns {Promise<Record<string, import('./types.js').MemberStats>>} Of members that are shown by the SFU. */
  async stats() {
    return (await this.#current?.peer.stats()) ?? {}
  }

  close() {
    this.#phase.close()
    clearTimeout(this.#viewsTimer)
    for (const { peer } of this.#standing) peer.close()
    this.#current = this.#former = null
  }

  get #standing() {
    return [this.#current, this.#former].filter((way) => way !== null)
  }

  /** @param {string} route */
  #connect(route) {
    this.#dropFormer()
    this.#former = this.#current
    this.#reportsBeside = 0
    this.#ways += 1
    this.#told = {}
    const way = this.#ways
    const { selfSid, frames, tracks, iceTransportPolicy, stage, send, onWarning } = this.#o
    const peer = new SfuPeer({
      route,
      selfSid,
      frames,
      tracks,
      iceServers: this.#iceServers,
      iceTransportPolicy,
      sendOffer: (offer) => this.#current?.way === way && send('offer', offer),
      onTrack: (sid, source, track) => stage.put(way, sid, source, track),
      onFlow: (sid, source) => stage.flows(way, sid, source),
      onState: (state) => this.#changed(way, state),
      onWarning,
    })
    this.#current = { way, peer }
    this.#judge()
    this.#phase.appeared()
  }

  /**
   * @param {number} way
   * @param {RTCPeerConnectionState} state
   */
  #changed(way, state) {
    if (state === 'failed' && this.#former?.way === way) this.#dropFormer()
    this.#judge()
  }

  #judge() {
    this.#phase.connection(this.#standing.some(({ peer }) => peer.connected))
  }

  #dropFormer() {
    this.#former?.peer.close()
    this.#former = null
  }

  /** @param {boolean} covers */
  #covers(covers) {
    if (!covers) for (const { way } of this.#standing) this.#o.stage.stalls(way)
    this.#o.onCovers(covers)
  }
}
