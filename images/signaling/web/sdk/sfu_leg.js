import { Backoff } from './backoff.js'
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
 * @typedef {object} Way
 * @property {number} way
 * @property {SfuPeer} peer
 * @property {boolean} stood  Whether it was ever connected.
 */

const SOON_MS = 250
/** Between connections none of which came about. The latest wait is as long as an SFU takes to forget a connection. */
const RETRIES = { firstMs: 1_000, limitMs: 30_000 }
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
  /** The SFU that serves the room, empty for none. */
  #claim = ''
  #backoff = new Backoff(RETRIES)
  /** Whether what went wrong before is not to be held against the next connection. */
  #isForgiven = true
  #retryTimer = 0
  /** @type {Views} */
  #views = {}
  #soonTimer = 0
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

  /** @param {string} claim  The SFU that serves the room, empty for none. It may be said again. */
  seated(claim) {
    if (claim === this.#claim) return
    this.#claim = claim
    if (!claim) return this.#phase.vanished()
    this.#isForgiven = true
    this.#backoff.reset()
    this.#phase.appeared()
  }

  /** @param {SfuState} state */
  told(state) {
    const isAnother = state.route !== this.#state?.route
    if (!isAnother && this.#state && state.rev < this.#state.rev) return
    this.#state = state
    if (isAnother) return this.#approach()
    this.refresh()
    if (this.#serves) this.#current?.peer.askAgain()
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
    if (!this.#current || !this.#state || !this.#serves) return
    const wanted = wantedOf(this.#state.tracks, this.#o.others(), this.#views)
    this.#current.peer.want(wanted)
    const wishes = wishesOf(wanted, this.#views)
    for (const news of newWishes(this.#told, wishes)) this.#o.send('layout', { wishes: news })
    this.#told = wishes
  }

  /** The same a moment later, so that what flips to and fro makes one offer, or none. */
  refreshSoon() {
    this.#soonTimer ||= setTimeout(() => {
      this.#soonTimer = 0
      this.refresh()
    }, SOON_MS)
  }

  /** @param {Views} views */
  show(views) {
    this.#views = views
    this.refreshSoon()
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
    clearTimeout(this.#soonTimer)
    clearTimeout(this.#retryTimer)
    for (const { peer } of this.#standing) peer.close()
    this.#current = this.#former = null
  }

  get #standing() {
    return [this.#current, this.#former].filter((way) => way !== null)
  }

  /** Whether the connection is the one that the SFU spoke of last. */
  get #serves() {
    return this.#current?.peer.route === this.#state?.route
  }

  /** The SFU asks for another connection: at once, unless the one before never came about. */
  #approach() {
    if (this.#serves) return this.refresh()
    const isFailing = this.#current && !this.#current.stood && !this.#isForgiven
    this.#isForgiven = false
    if (isFailing) this.#retryTimer ||= setTimeout(() => this.#connect(), this.#backoff.next())
    else this.#connect()
  }

  #connect() {
    clearTimeout(this.#retryTimer)
    this.#retryTimer = 0
    if (this.#serves) return
    const { route } = /** @type {SfuState} */ (this.#state)
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
    this.#current = { way, peer, stood: false }
    this.#judge()
    this.#phase.begun()
    this.refresh()
  }

  /**
   * @param {number} way
   * @param {RTCPeerConnectionState} state
   */
  #changed(way, state) {
    if (state === 'failed' && this.#former?.way === way) this.#dropFormer()
    if (state === 'connected' && this.#current?.way === way) {
      this.#current.stood = true
      this.#backoff.reset()
    }
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
