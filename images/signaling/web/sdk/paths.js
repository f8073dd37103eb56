import { Mesh } from './mesh.js'
import { SfuLeg } from './sfu_leg.js'
import { MESH, Stage } from './stage.js'
import { together } from './stats.js'

/**
 * @typedef {import('./types.js').MediaState} MediaState
 * @typedef {import('./types.js').MemberStats} MemberStats
 * @typedef {import('./types.js').SfuState} SfuState
 * @typedef {import('./types.js').Source} Source
 * @typedef {import('./types.js').Views} Views
 *
 * @typedef {object} PathsOptions
 * @property {string} selfSid
 * @property {import('./frame_crypto.js').FrameCrypto} frames
 * @property {'all' | 'relay'} iceTransportPolicy
 * @property {() => ReadonlyMap<string, MediaState>} others  The roster without this member.
 * @property {(sid: string, type: 'offer' | 'answer' | 'ice' | 'restart', d: object) => Promise<unknown>} send
 * @property {(type: 'offer' | 'layout', d: object) => void} sendToSfu
 * @property {(sid: string, source: Source, track: MediaStreamTrack | null) => void} onTrack
 * @property {(code: string, message: string) => void} onWarning
 */

/** What a member says that it sends, and where. @type {[keyof MediaState, Source][]} */
const SAID = [
  ['audio', 'mic'],
  ['video', 'cam'],
  ['screen', 'screen'],
]

/**
 * How media goes between this member and the others: from member to member, or through an SFU where one serves the room.
 *
 * A connection to a member stays until all that it says it sends has come through the SFU and could be opened. Each
 * side then stops receiving on it; when both have, it is closed. Without the SFU the connections come back.
 */
export class Paths {
  #o
  #mesh
  #leg
  #stage
  /** @type {Views} */
  #views = {}

  /**
   * @param {PathsOptions} options
   * @param {Readonly<Record<Source, MediaStreamTrack | null>>} tracks  What to send; read when a connection starts.
   */
  constructor(options, tracks) {
    this.#o = options
    const { selfSid, frames, iceTransportPolicy, others, send, sendToSfu, onTrack, onWarning } = options
    const stage = (this.#stage = new Stage(onTrack))
    this.#mesh = new Mesh(
      {
        frames,
        iceTransportPolicy,
        selfSid,
        send,
        onTrack: (...track) => stage.put(MESH, ...track),
        onFlow: (...lane) => stage.flows(MESH, ...lane),
        onWarning,
      },
      tracks,
    )
    this.#leg = new SfuLeg({
      selfSid,
      frames,
      tracks,
      iceTransportPolicy,
      others,
      stage,
      send: sendToSfu,
      onCovers: (covers) => covers || this.#connectAll(),
      onWarning,
    })
  }

  /**
   * A member is in the roster.
   *
   * @param {string} sid
   * @param {boolean} offers  Whether this member joined later, and so makes the offer.
   */
  open(sid, offers) {
    if (!this.#leg.covers) this.#mesh.open(sid, offers)
    this.#leg.refresh()
  }

  /** A member is no longer in the roster. @param {string} sid */
  close(sid) {
    this.#mesh.close(sid)
    this.#leg.refresh()
  }

  closeAll() {
    this.#leg.close()
    this.#mesh.closeAll()
  }

  /**
   * @param {string} sid
   * @param {'offer' | 'answer' | 'ice' | 'restart'} type
   * @param {object} d
   */
  receive(sid, type, d) {
    if (this.#mesh.has(sid)) return this.#mesh.receive(sid, type, d)
    // It lacks the SFU, so it has to be met directly.
    if (!this.#o.others().has(sid) || (type !== 'offer' && type !== 'restart')) return
    this.#mesh.open(sid, type === 'restart')
    if (type === 'offer') this.#mesh.receive(sid, type, d)
  }

  /** @param {string} claim  The SFU that serves the room, empty for none. */
  seated(claim) {
    this.#leg.seated(claim)
  }

  /**
   * @param {'sfu' | 'answer' | 'sfu.refused'} type
   * @param {any} d
   */
  receiveFromSfu(type, d) {
    if (type === 'sfu') this.#leg.told(d)
    else if (type === 'answer') this.#leg.answered(d)
    else this.#leg.refused(d)
  }

  /** What members say that they send has changed. */
  changed() {
    this.#leg.refreshSoon()
    this.#settle()
  }

  /** The signaling connection is back. */
  resumed() {
    this.#leg.resumed()
  }

  /** @param {Views} views  How large pictures are shown. */
  show(views) {
    this.#views = views
    this.#leg.show(views)
  }

  /** @param {Readonly<Record<number, number>>} opened  Frames that the worker opened, by receiving transform. */
  counted(opened) {
    this.#mesh.counted(opened)
    this.#leg.counted(opened)
    this.#stage.nextRound()
    this.#settle()
  }

  /**
   * @param {Source} source
   * @param {MediaStreamTrack | null} track
   */
  async setTrack(source, track) {
    await Promise.all([this.#mesh.setTrack(source, track), this.#leg.setTrack(source, track)])
  }

  /** @param {RTCIceServer[]} servers */
  setIceServers(servers) {
    this.#mesh.setIceServers(servers)
    this.#leg.setIceServers(servers)
  }

  restartIce() {
    this.#mesh.restartIce()
    this.#leg.restartIce()
  }

  /** @returns {Promise<Record<string, MemberStats>>} */
  async stats() {
    const [direct, forwarded] = await Promise.all([this.#mesh.stats(), this.#leg.stats()])
    const lines = Object.entries(direct)
    for (const [sid, stats] of Object.entries(forwarded)) {
      const isShown = SAID.some(([, source]) => this.#comesBySfu(sid, source))
      if (isShown || !direct[sid]) lines.push([sid, together(stats, direct[sid])])
    }
    return Object.fromEntries(lines)
  }

  /**
   * Receives directly from those, and only those, who are not seen and heard through the SFU. What is not shown at all
   * says nothing: the SFU was told not to bring it.
   */
  #settle() {
    for (const [sid, state] of this.#o.others()) {
      const sent = SAID.filter(([name, source]) => state[name] && !this.#hides(sid, source))
      if (sent.length) this.#mesh.receives(sid, !sent.every(([, source]) => this.#comesBySfu(sid, source)))
    }
  }

  /**
   * @param {string} sid
   * @param {Source} source
   */
  #comesBySfu(sid, source) {
    return this.#stage.showsBy(sid, source, (way) => way !== MESH)
  }

  /**
   * @param {string} sid
   * @param {Source} source
   */
  #hides(sid, source) {
    return source !== 'mic' && this.#views[sid]?.[source] === 'hidden'
  }

  /** All lose the SFU at once as a rule: of each two, the one with the lesser session id makes the offer. */
  #connectAll() {
    for (const sid of this.#o.others().keys()) {
      if (this.#mesh.has(sid)) this.#mesh.receives(sid, true)
      else this.#mesh.open(sid, this.#o.selfSid < sid)
    }
  }
}
