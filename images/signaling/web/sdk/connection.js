import { AUDIO_CODECS, VIDEO_CODECS } from './codecs.js'

/**
 * @typedef {object} ConnectionOptions
 * @property {RTCIceServer[]} iceServers
 * @property {'all' | 'relay'} iceTransportPolicy
 * @property {() => void} onPathLost  Nothing gets through any more: look for another path.
 * @property {(state: RTCPeerConnectionState) => void} [onState]
 * @property {() => void} onFault  A piece of work failed.
 */

const DISCONNECTED_MS = 3_000

/** A connection for media, the work on it one piece after the other, and the watch over its path. */
export class Connection {
  #o
  #pc
  #closed = false
  #disconnectedTimer = 0
  #queue = Promise.resolve()

  /** @param {ConnectionOptions} options */
  constructor(options) {
    this.#o = options
    this.#pc = new RTCPeerConnection(this.#configuration(options.iceServers))
    this.#pc.onconnectionstatechange = () => this.#changed()
  }

  get pc() {
    return this.#pc
  }

  get closed() {
    return this.#closed
  }

  /**
   * Takes fresh TURN credentials; a path by a relay has to be looked for anew to use them.
   *
   * @param {RTCIceServer[]} servers
   */
  setIceServers(servers) {
    this.#pc.setConfiguration(this.#configuration(servers))
  }

  /** @param {() => Promise<void> | void} work  Done after all work before it, unless the connection is closed by then. */
  do(work) {
    this.#queue = this.#queue.then(async () => {
      if (this.#closed) return
      try {
        await work()
      } catch {
        if (!this.#closed) this.#o.onFault()
      }
    })
  }

  /**
   * @param {RTCRtpSender | undefined} sender
   * @param {MediaStreamTrack | null} track
   */
  async send(sender, track) {
    if (this.#closed) return
    try {
      await sender?.replaceTrack(track)
    } catch (error) {
      if (!this.#closed) throw error
    }
  }

  close() {
    this.#closed = true
    clearTimeout(this.#disconnectedTimer)
    this.#pc.close()
  }

  /**
   * @param {RTCIceServer[]} iceServers
   * @returns {RTCConfiguration}
   */
  #configuration(iceServers) {
    /** @type {RTCConfiguration & {encodedInsertableStreams: true}} */
    const configuration = {
      iceServers,
      iceTransportPolicy: this.#o.iceTransportPolicy,
      bundlePolicy: 'max-bundle',
      encodedInsertableStreams: true, // Chromium: a sender without a transform then sends nothing, instead of plaintext
    }
    return configuration
  }

  #changed() {
    clearTimeout(this.#disconnectedTimer)
    const { connectionState } = this.#pc
    this.#o.onState?.(connectionState)
    if (connectionState === 'failed') this.#o.onPathLost()
    if (connectionState !== 'disconnected') return
    this.#disconnectedTimer = setTimeout(this.#o.onPathLost, DISCONNECTED_MS)
  }
}

/**
 * @param {'audio' | 'video'} kind
 * @returns {RTCRtpCodec[]}
 */
export function allowedCodecs(kind) {
  const wanted = kind === 'audio' ? AUDIO_CODECS : VIDEO_CODECS
  const { codecs = [] } = RTCRtpReceiver.getCapabilities(kind) ?? {}
  return wanted.flatMap((name) => codecs.filter(({ mimeType }) => mimeType.toLowerCase() === name.toLowerCase()))
}
