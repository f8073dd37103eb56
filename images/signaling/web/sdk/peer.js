import { Connection, allowedCodecs } from './connection.js'
import { LANES } from './lanes.js'
import { ConnectionStats } from './stats.js'

/**
 * @typedef {import('./frame_crypto.js').FrameCrypto} FrameCrypto
 * @typedef {import('./types.js').Source} Source
 *
 * @typedef {object} PeerOptions
 * @property {string} selfSid
 * @property {string} sid  The other member's.
 * @property {boolean} offers  Whether this member joined later: it makes the first offer.
 * @property {FrameCrypto} frames
 * @property {Readonly<Record<Source, MediaStreamTrack | null>>} tracks  What to send; read when the connection starts.
 * @property {RTCIceServer[]} iceServers
 * @property {'all' | 'relay'} iceTransportPolicy
 * @property {(type: 'offer' | 'answer' | 'ice' | 'restart', d: object) => Promise<unknown>} send
 * @property {(source: Source, track: MediaStreamTrack | null) => void} onTrack
 * @property {(source: Source) => void} onFlow  Frames of this track were opened since it was asked last.
 * @property {() => void} onIdle  Neither side wants to receive any more.
 * @property {(description: {type: 'offer' | 'answer', sdp: string}) => void} onReplaced  The other side made its end anew.
 * @property {(code: string, message: string) => void} onWarning
 */

const CANDIDATE_BATCH_MS = 20
const NO_OFFER_MS = 5_000

/**
 * The media connection to one other member: three lanes each way, made once, and never renegotiated but for ICE and for
 * a side that stops receiving.
 *
 * Perfect negotiation (W3C WebRTC, section 10.7): the member that makes the first offer is the polite one.
 */
export class Peer {
  #o
  #connection
  #pc
  #polite
  #receives = true
  /** @type {Map<Source, RTCRtpTransceiver>} */
  #lanes = new Map()
  /** @type {{source: Source, place: number, opened: number}[]} of the receiving transforms */
  #places = []
  /** @type {RTCIceCandidateInit[]} that came before the description which they belong to */
  #early = []
  /** @type {RTCIceCandidateInit[]} found and not yet sent */
  #found = []
  #foundTimer = 0
  #noOfferTimer = 0
  #stats = new ConnectionStats()

  /** @param {PeerOptions} options */
  constructor(options) {
    this.#o = options
    this.#polite = options.offers
    const { iceServers, iceTransportPolicy, onWarning } = options
    this.#connection = new Connection({
      iceServers,
      iceTransportPolicy,
      onPathLost: () => this.restartIce(),
      onFault: () => onWarning('negotiation_failed', 'The media connection to a member could not be set up.'),
    })
    this.#pc = this.#connection.pc
    this.#pc.onnegotiationneeded = () => this.#connection.do(() => this.#offer())
    this.#pc.onicecandidate = ({ candidate }) => this.#discovered(candidate)
  }

  start() {
    if (this.#o.offers) this.#addLanes()
    else this.#expectOffer()
  }

  /**
   * @param {'offer' | 'answer' | 'ice' | 'restart'} type
   * @param {any} d
   */
  receive(type, d) {
    this.#connection.do(async () => {
      if (type === 'restart') this.#restart()
      else if (type === 'ice') await this.#addCandidates(d.candidates ?? [])
      else await this.#describe({ type, sdp: d.sdp })
    })
  }

  /**
   * @param {Source} source
   * @param {MediaStreamTrack | null} track
   */
  async setTrack(source, track) {
    await this.#connection.send(this.#lanes.get(source)?.sender, track)
  }

  /**
   * Takes fresh TURN credentials, and moves to them where a relay is in use.
   *
   * @param {RTCIceServer[]} servers
   */
  setIceServers(servers) {
    this.#connection.do(async () => {
      this.#connection.setIceServers(servers)
      const { route } = await this.stats()
      if (route === 'relay') this.restartIce()
    })
  }

  /** Looks for a working path anew; media goes on over the old one as long as that works. */
  restartIce() {
    if (this.#connection.closed || !this.#lanes.size) return
    if (this.#pc.signalingState === 'have-local-offer') this.#sendDescription() // the first time it may have been lost
    this.#pc.restartIce()
  }

  /** @param {boolean} wanted  Whether the other side is to send. */
  receives(wanted) {
    if (this.#connection.closed || wanted === this.#receives) return
    this.#receives = wanted
    for (const transceiver of this.#lanes.values()) transceiver.direction = this.#direction
  }

  /**
   * Tells of tracks that flow, as the worker counted them.
   *
   * @param {Readonly<Record<number, number>>} opened  Frames by place.
   */
  counted(opened) {
    for (const each of this.#places) {
      const count = opened[each.place] ?? 0
      if (count > each.opened) this.#o.onFlow(each.source)
      each.opened = count
    }
  }

  async stats() {
    return this.#stats.read(await this.#pc.getStats())
  }

  close() {
    if (this.#connection.closed) return
    for (const timer of [this.#foundTimer, this.#noOfferTimer]) clearTimeout(timer)
    this.#connection.close()
    for (const { place } of this.#places) this.#o.frames.release(place)
    for (const source of this.#lanes.keys()) this.#o.onTrack(source, null)
  }

  /** @returns {RTCRtpTransceiverDirection} */
  get #direction() {
    return this.#receives ? 'sendrecv' : 'sendonly'
  }

  /** The offering side: makes the lanes, which makes an offer. */
  #addLanes() {
    for (const [source, kind] of LANES) {
      this.#adopt(source, this.#pc.addTransceiver(this.#o.tracks[source] ?? kind, { direction: this.#direction }))
    }
  }

  /**
   * The other side: takes the lanes from the first offer.
   *
   * @returns {Promise<void>}
   * @throws {TypeError} for other lanes than ours
   */
  async #takeLanes() {
    const transceivers = this.#pc.getTransceivers()
    if (transceivers.length !== LANES.length || LANES.some(([, kind], at) => transceivers[at].receiver.track.kind !== kind)) {
      throw new TypeError('an offer has one audio and two video lanes')
    }
    if (this.#lanes.size) return
    clearTimeout(this.#noOfferTimer)
    LANES.forEach(([source], at) => {
      transceivers[at].direction = this.#direction
      this.#adopt(source, transceivers[at])
    })
    await Promise.all(LANES.map(([source]) => this.setTrack(source, this.#o.tracks[source])))
  }

  /**
   * @param {Source} source
   * @param {RTCRtpTransceiver} transceiver
   */
  #adopt(source, transceiver) {
    const { selfSid, sid, frames, onTrack } = this.#o
    this.#places.push({ source, place: frames.attach(transceiver, { source, selfSid, sid }), opened: 0 })
    const kind = source === 'mic' ? 'audio' : 'video'
    transceiver.setCodecPreferences(allowedCodecs(kind))
    this.#lanes.set(source, transceiver)
    onTrack(source, transceiver.receiver.track)
  }

  async #offer() {
    if (this.#pc.signalingState !== 'stable' || !this.#lanes.size) return
    await this.#pc.setLocalDescription()
    this.#sendDescription()
  }

  /** @param {{type: 'offer' | 'answer', sdp: string}} description */
  async #describe(description) {
    const pc = this.#pc
    const awaited = description.type === 'offer' ? this.#polite || pc.signalingState === 'stable' : pc.signalingState === 'have-local-offer'
    if (!awaited) return
    if (pc.remoteDescription && fingerprintOf(pc.remoteDescription) !== fingerprintOf(description)) {
      return this.#o.onReplaced(description)
    }
    await pc.setRemoteDescription(description)
    if (description.type === 'offer') {
      await this.#takeLanes()
      await pc.setLocalDescription()
      this.#sendDescription()
    }
    await this.#addCandidates(this.#early.splice(0))
    if ([...this.#lanes.values()].every(({ currentDirection }) => currentDirection === 'inactive')) this.#o.onIdle()
  }

  #sendDescription() {
    const description = this.#pc.localDescription
    if (!description || this.#connection.closed) return
    const { type, sdp } = description
    void this.#send(/** @type {'offer' | 'answer'} */ (type), { sdp })
  }

  /** @param {RTCIceCandidateInit[]} candidates */
  async #addCandidates(candidates) {
    if (!this.#pc.remoteDescription) {
      this.#early.push(...candidates)
      return
    }
    for (const candidate of candidates) {
      try {
        await this.#pc.addIceCandidate(candidate)
      } catch {
        // Of a description that was ignored or replaced meanwhile: its successor brings its own.
      }
    }
  }

  /** @param {RTCIceCandidate | null} candidate */
  #discovered(candidate) {
    if (candidate?.candidate) this.#found.push(candidate.toJSON())
    if (candidate?.candidate && this.#foundTimer) return
    clearTimeout(this.#foundTimer)
    this.#foundTimer = setTimeout(() => {
      this.#foundTimer = 0
      const candidates = this.#found.splice(0)
      if (candidates.length || !candidate) void this.#send('ice', { candidates, end: !candidate })
    }, CANDIDATE_BATCH_MS)
  }

  /** The other member waits for an offer, or for another path. */
  #restart() {
    if (this.#pc.signalingState === 'have-local-offer') return this.#sendDescription()
    if (this.#lanes.size) return this.restartIce()
    // Each saw the other come, as after a roster that was lost and rebuilt: one of them has to begin.
    if (this.#o.selfSid < this.#o.sid) return
    this.#polite = true
    this.#addLanes()
  }

  #expectOffer() {
    this.#noOfferTimer = setTimeout(() => {
      if (this.#lanes.size) return
      void this.#send('restart', {})
      this.#expectOffer()
    }, NO_OFFER_MS)
  }

  /**
   * @param {'offer' | 'answer' | 'ice' | 'restart'} type
   * @param {object} d
   */
  async #send(type, d) {
    try {
      await this.#o.send(type, d)
    } catch {
      // The member is gone, or this session is: the roster will say so.
    }
  }
}

/**
 * What tells one end of a connection from another that took its place.
 *
 * @param {{sdp: string}} description
 */
function fingerprintOf({ sdp }) {
  return /^a=fingerprint:(.+)$/m.exec(sdp)?.[1].trim()
}
