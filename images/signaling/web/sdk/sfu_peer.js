import { Connection, allowedCodecs } from './connection.js'
import { LANES } from './lanes.js'
import { changesOf } from './sfu_wants.js'
import { SfuStats } from './stats.js'

/**
 * @typedef {import('./sfu_wants.js').Wanted} Wanted
 * @typedef {import('./types.js').Source} Source
 *
 * @typedef {object} SfuPeerOptions
 * @property {string} route  The SFU's name for this connection.
 * @property {string} selfSid
 * @property {import('./frame_crypto.js').FrameCrypto} frames
 * @property {Readonly<Record<Source, MediaStreamTrack | null>>} tracks  What to send; read when the connection starts.
 * @property {RTCIceServer[]} iceServers
 * @property {'all' | 'relay'} iceTransportPolicy
 * @property {(offer: Offer & {route: string}) => void} sendOffer
 * @property {(sid: string, source: Source, track: MediaStreamTrack | null) => void} onTrack
 * @property {(sid: string, source: Source) => void} onFlow  Frames of this track were opened since it was asked last.
 * @property {(state: RTCPeerConnectionState) => void} onState
 * @property {(code: string, message: string) => void} onWarning
 *
 * @typedef {{sdp: string, seq: number, wants: Record<string, string>}} Offer
 *
 * @typedef {object} Place  A receiving section and what it is for, from its beginning to its end.
 * @property {string} sid
 * @property {Source} source
 * @property {RTCRtpTransceiver} transceiver
 * @property {number} place  Of the transform that opens its frames.
 * @property {number} opened
 */

const FIRST_REPEAT_MS = 2_000
const LAST_REPEAT_MS = 8_000
const RIDS = ['q', 'h', 'f']
/** Bits per second, of the layers from the best one down. */
const RATES = [1_700_000, 500_000, 150_000]
/** Pixels from which on a browser sends as many layers: it leaves out the best ones first. */
const PIXELS_OF_THREE = 960 * 540
const PIXELS_OF_TWO = 480 * 270
/** Header extensions of receiving sections; others would only make offers longer. */
const EXTENSIONS = [
  'urn:ietf:params:rtp-hdrext:sdes:mid',
  'http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01',
  'https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension',
]

/**
 * One connection with an SFU. The client always offers; what each receiving section is for is said beside the offer.
 *
 * A receiving section serves one track of one member, and its transform is bound to that member. When the track goes,
 * the section is stopped; the browser uses its m-line again for another one.
 */
export class SfuPeer {
  #o
  #connection
  #pc
  /** @type {Map<Source, RTCRtpTransceiver>} */
  #lanes = new Map()
  /** @type {Map<string, Place>} by track */
  #places = new Map()
  /** @type {RTCRtpTransceiver[]} dropped before they were offered */
  #unoffered = []
  #seq = 0
  /** @type {Offer | null} that has no answer yet */
  #open = null
  #repeatTimer = 0
  #stats = new SfuStats()

  /** @param {SfuPeerOptions} options */
  constructor(options) {
    const { iceServers, iceTransportPolicy, onState } = (this.#o = options)
    this.#connection = new Connection({
      iceServers,
      iceTransportPolicy,
      onPathLost: () => this.restartIce(),
      onState,
      onFault: () => this.#warn('The media connection to the SFU could not be set up.'),
    })
    this.#pc = this.#connection.pc
    this.#pc.onnegotiationneeded = () => this.#connection.do(() => this.#negotiate())
    for (const [source, kind] of LANES) this.#addLane(source, kind)
  }

  get route() {
    return this.#o.route
  }

  /** @returns {boolean} Whether media gets through. */
  get connected() {
    return this.#pc.connectionState === 'connected'
  }

  /**
   * Receives these tracks and no others.
   *
   * @param {readonly Wanted[]} wanted
   */
  want(wanted) {
    const { add, drop } = changesOf(this.#places, wanted)
    for (const track of drop) this.#drop(track)
    for (const each of add) this.#add(each)
  }

  /** What the SFU refused or could not serve before it may serve now, and nothing else would ask for it again. */
  askAgain() {
    const isRefused = !this.#open && this.#pc.signalingState === 'have-local-offer'
    const lacks = [...this.#places.values()].some(({ transceiver: { currentDirection } }) => currentDirection === 'inactive')
    if (isRefused || lacks) this.#reoffer()
  }

  /** @param {{seq: number, sdp: string}} answer */
  answered({ seq, sdp }) {
    this.#connection.do(async () => {
      if (this.#open?.seq !== seq || this.#pc.signalingState !== 'have-local-offer') return
      this.#settle()
      await this.#pc.setRemoteDescription({ type: 'answer', sdp })
      for (const transceiver of this.#unoffered.splice(0)) this.#stop(transceiver)
    })
  }

  /** The SFU took an offer for one that breaks a rule. @param {{seq: number}} refusal */
  refused({ seq }) {
    if (this.#open?.seq !== seq) return
    this.#settle()
    this.#warn('The SFU refused a media connection.')
  }

  /** Says again what is unanswered: what was said before may be lost. */
  repeat() {
    if (this.#open) this.#say(FIRST_REPEAT_MS)
    else this.askAgain()
  }

  /**
   * Tells of tracks that flow, as the worker counted them.
   *
   * @param {Readonly<Record<number, number>>} opened  Frames by place.
   */
  counted(opened) {
    for (const each of this.#places.values()) {
      const count = opened[each.place] ?? 0
      if (count > each.opened && this.connected) this.#o.onFlow(each.sid, each.source)
      each.opened = count
    }
  }

  /**
   * @param {Source} source
   * @param {MediaStreamTrack | null} track
   */
  async setTrack(source, track) {
    const sender = this.#lanes.get(source)?.sender
    await this.#connection.send(sender, fit(source, track))
    if (source === 'cam' && sender) this.#connection.do(() => setLayers(sender, track))
  }

  /** @param {RTCIceServer[]} servers */
  setIceServers(servers) {
    this.#connection.do(async () => {
      this.#connection.setIceServers(servers)
      const { localCandidateType } = this.#stats.path(await this.#pc.getStats())
      if (localCandidateType === 'relay') this.restartIce()
    })
  }

  /** Looks for a working path anew; media goes on over the old one as long as that works. */
  restartIce() {
    if (this.#connection.closed) return
    this.repeat()
    this.#pc.restartIce()
  }

  /** @returns {Promise<Record<string, import('./types.js').MemberStats>>} By member. */
  async stats() {
    const mids = [...this.#places.values()].map(({ sid, transceiver: { mid } }) => ({ sid, mid }))
    return this.#stats.read(await this.#pc.getStats(), mids)
  }

  close() {
    if (this.#connection.closed) return
    this.#settle()
    this.#connection.close()
    for (const track of this.#places.keys()) this.#drop(track)
  }

  /**
   * @param {Source} source
   * @param {'audio' | 'video'} kind
   */
  #addLane(source, kind) {
    const { selfSid, frames, tracks } = this.#o
    const encodings = source === 'cam' ? { sendEncodings: layersOf(tracks.cam) } : {}
    const transceiver = this.#pc.addTransceiver(fit(source, tracks[source]) ?? kind, { direction: 'sendonly', ...encodings })
    frames.attachSender(transceiver.sender, { source, sid: selfSid })
    transceiver.setCodecPreferences(codecs(kind))
    this.#lanes.set(source, transceiver)
  }

  /** @param {Wanted} wanted */
  #add({ track, sid, source }) {
    const kind = source === 'mic' ? 'audio' : 'video'
    const transceiver = this.#pc.addTransceiver(kind, { direction: 'recvonly' })
    const place = this.#o.frames.attachReceiver(transceiver.receiver, { source, sid })
    transceiver.setCodecPreferences(codecs(kind))
    shorten(transceiver)
    this.#places.set(track, { sid, source, transceiver, place, opened: 0 })
    this.#o.onTrack(sid, source, transceiver.receiver.track)
  }

  /** @param {string} track */
  #drop(track) {
    const { sid, source, transceiver, place } = /** @type {Place} */ (this.#places.get(track))
    this.#places.delete(track)
    this.#stop(transceiver)
    this.#o.frames.release(place)
    this.#o.onTrack(sid, source, null)
  }

  /**
   * Chromium asks for negotiation for ever on account of a transceiver that was stopped before its first offer.
   *
   * @param {RTCRtpTransceiver} transceiver
   */
  #stop(transceiver) {
    if (transceiver.mid === null) this.#unoffered.push(transceiver)
    else if (!this.#connection.closed) transceiver.stop()
  }

  /** One offer at a time: the browser asks for the next one by itself when this one is answered. */
  async #negotiate() {
    if (this.#pc.signalingState === 'stable') await this.#offer()
  }

  #reoffer() {
    this.#connection.do(async () => {
      if (!this.#open) await this.#offer()
    })
  }

  async #offer() {
    await this.#pc.setLocalDescription()
    const sdp = this.#pc.localDescription?.sdp
    if (!sdp) return
    const bound = [...this.#places].filter(([, { transceiver }]) => transceiver.mid !== null)
    this.#seq += 1
    this.#open = { sdp, seq: this.#seq, wants: Object.fromEntries(bound.map(([track, { transceiver }]) => [transceiver.mid, track])) }
    this.#say(FIRST_REPEAT_MS)
  }

  /** @param {number} patience  Milliseconds until it is said again. */
  #say(patience) {
    if (!this.#open || this.#connection.closed) return
    clearTimeout(this.#repeatTimer)
    this.#o.sendOffer({ route: this.#o.route, ...this.#open })
    this.#repeatTimer = setTimeout(() => this.#say(Math.min(2 * patience, LAST_REPEAT_MS)), patience)
  }

  #settle() {
    clearTimeout(this.#repeatTimer)
    this.#open = null
  }

  /** @param {string} message */
  #warn(message) {
    this.#o.onWarning('sfu_failed', message)
  }
}

/**
 * The codecs that an SFU forwards: VP9 in its first profile alone.
 *
 * @param {'audio' | 'video'} kind
 */
function codecs(kind) {
  return allowedCodecs(kind).filter(({ sdpFmtpLine = '' }) => !/profile-id=[1-9]/.test(sdpFmtpLine))
}

/** @param {RTCRtpTransceiver} transceiver */
function shorten(transceiver) {
  /** @type {any} Chromium's; not in the types yet. */
  const it = transceiver
  const extensions = it.getHeaderExtensionsToNegotiate?.()
  if (!extensions) return
  for (const extension of extensions) if (!EXTENSIONS.includes(extension.uri)) extension.direction = 'stopped'
  it.setHeaderExtensionsToNegotiate(extensions)
}

/**
 * Lets an encoder know that a screen is to be sharp rather than smooth.
 *
 * @param {Source} source
 * @param {MediaStreamTrack | null} track
 */
function fit(source, track) {
  if (source === 'screen' && track?.contentHint === '') track.contentHint = 'detail'
  return track
}

/**
 * The layers of a camera, lowest first: a small picture fills fewer, and its best layer is still all of it.
 *
 * @param {MediaStreamTrack | null} track
 */
function layersOf(track) {
  const { width = 1280, height = 720 } = track?.getSettings() ?? {}
  const pixels = width * height
  const best = pixels >= PIXELS_OF_THREE ? 2 : pixels >= PIXELS_OF_TWO ? 1 : 0
  return RIDS.map((rid, at) => {
    const below = Math.max(0, best - at)
    return { rid, active: at <= best, scaleResolutionDownBy: 2 ** below, maxBitrate: RATES[below], scalabilityMode: 'L1T1' }
  })
}

/**
 * @param {RTCRtpSender} sender
 * @param {MediaStreamTrack | null} track
 */
async function setLayers(sender, track) {
  if (!track) return
  const parameters = sender.getParameters()
  const layers = layersOf(track)
  parameters.encodings.forEach((encoding, at) => Object.assign(encoding, layers[at]))
  await sender.setParameters(parameters)
}
