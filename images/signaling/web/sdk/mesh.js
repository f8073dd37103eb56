import { Peer } from './peer.js'

/**
 * @typedef {import('./types.js').MemberStats} MemberStats
 * @typedef {import('./types.js').Source} Source
 *
 * @typedef {object} MeshOptions
 * @property {string} selfSid
 * @property {import('./frame_crypto.js').FrameCrypto} frames
 * @property {'all' | 'relay'} iceTransportPolicy
 * @property {(sid: string, type: 'offer' | 'answer' | 'ice' | 'restart', d: object) => Promise<unknown>} send
 * @property {(sid: string, source: Source, track: MediaStreamTrack | null) => void} onTrack
 * @property {(sid: string, source: Source) => void} onFlow
 * @property {(code: string, message: string) => void} onWarning
 */

/** The media connections of a call: one to each other member, all with the same tracks. */
export class Mesh {
  #o
  /** @type {Map<string, Peer>} */
  #peers = new Map()
  /** @type {RTCIceServer[]} */
  #iceServers = []
  #tracks

  /**
   * @param {MeshOptions} options
   * @param {Readonly<Record<Source, MediaStreamTrack | null>>} tracks  What to send; read when a connection starts.
   */
  constructor(options, tracks) {
    this.#o = options
    this.#tracks = tracks
  }

  /** @param {string} sid */
  has(sid) {
    return this.#peers.has(sid)
  }

  /**
   * @param {string} sid
   * @param {boolean} offers  Whether this member makes the first offer.
   */
  open(sid, offers) {
    const { send, onTrack, onFlow, ...shared } = this.#o
    const peer = new Peer({
      ...shared,
      sid,
      offers,
      tracks: this.#tracks,
      iceServers: this.#iceServers,
      send: (type, d) => send(sid, type, d),
      onTrack: (source, track) => onTrack(sid, source, track),
      onFlow: (source) => onFlow(sid, source),
      onIdle: () => this.#peers.get(sid) === peer && this.close(sid),
      onReplaced: (description) => this.#peers.get(sid) === peer && this.#replace(sid, description),
    })
    this.#peers.set(sid, peer)
    peer.start()
  }

  /**
   * @param {string} sid
   * @param {boolean} wanted  Whether the other member is to send; it may still be sent to.
   */
  receives(sid, wanted) {
    this.#peers.get(sid)?.receives(wanted)
  }

  /** @param {Readonly<Record<number, number>>} opened  See `Peer.counted`. */
  counted(opened) {
    for (const peer of this.#peers.values()) peer.counted(opened)
  }

  /** @param {string} sid */
  close(sid) {
    this.#peers.get(sid)?.close()
    this.#peers.delete(sid)
  }

  closeAll() {
    for (const sid of [...this.#peers.keys()]) this.close(sid)
  }

  /**
   * @param {string} sid
   * @param {'offer' | 'answer' | 'ice' | 'restart'} type
   * @param {object} d
   */
  receive(sid, type, d) {
    this.#peers.get(sid)?.receive(type, d)
  }

  /**
   * @param {Source} source
   * @param {MediaStreamTrack | null} track
   */
  async setTrack(source, track) {
    await Promise.all([...this.#peers.values()].map((peer) => peer.setTrack(source, track)))
  }

  /** @param {RTCIceServer[]} servers */
  setIceServers(servers) {
    this.#iceServers = servers
    for (const peer of this.#peers.values()) peer.setIceServers(servers)
  }

  restartIce() {
    for (const peer of this.#peers.values()) peer.restartIce()
  }

  /** @returns {Promise<Record<string, MemberStats>>} */
  async stats() {
    return Object.fromEntries(
      await Promise.all([...this.#peers].map(async ([sid, peer]) => [sid, await peer.stats()])),
    )
  }

  /**
   * The other member speaks of a connection that it made anew.
   *
   * @param {string} sid
   * @param {{type: 'offer' | 'answer', sdp: string}} description
   */
  #replace(sid, { type, sdp }) {
    this.close(sid)
    this.open(sid, type === 'answer')
    if (type === 'offer') this.receive(sid, type, { sdp })
  }
}
