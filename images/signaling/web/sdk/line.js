/**
 * One WebSocket of the protocol `sig.v1`, and the watch over whether it still lives.
 *
 * @typedef {import('./types.js').ServerFrame} ServerFrame
 */

const SUBPROTOCOL = 'sig.v1'
const OPEN_MS = 8_000
const PING_MS = 10_000
const PONG_MS = 5_000
const PROBE_MS = 2_000
const NORMAL = 1000
const ABNORMAL = 1006

export class Line {
  #socket
  #on
  #timer
  #quiet = true
  #over = false

  /**
   * @param {string} url
   * @param {object} on
   * @param {() => void} on.onWelcome  The server is ready for `hello` or `resume`.
   * @param {(frame: ServerFrame) => void} on.onFrame
   * @param {(code: number) => void} on.onClose  Once; not after `close()`.
   */
  constructor(url, on) {
    this.#on = on
    this.#socket = new WebSocket(url, [SUBPROTOCOL])
    this.#socket.onmessage = ({ data }) => this.#received(data)
    this.#socket.onclose = ({ code }) => this.#closed(code)
    this.#timer = setTimeout(() => this.#closed(ABNORMAL), OPEN_MS)
  }

  /** @param {object} frame */
  say(frame) {
    if (this.#socket.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(frame))
  }

  /** Finds out soon whether the socket still works. */
  probe() {
    this.#ping(PROBE_MS)
  }

  close() {
    this.#over = true
    clearTimeout(this.#timer)
    this.#socket.close(NORMAL)
  }

  /** @param {unknown} data */
  #received(data) {
    if (this.#over) return
    this.#quiet = false
    const frame = parse(data)
    if (!frame || frame.t === 'pong') return
    if (frame.t === 'welcome') {
      clearTimeout(this.#timer)
      this.#watch()
      return this.#on.onWelcome()
    }
    this.#on.onFrame(frame)
  }

  #watch() {
    this.#timer = setTimeout(() => this.#ping(PONG_MS), PING_MS)
  }

  /** @param {number} patience */
  #ping(patience) {
    clearTimeout(this.#timer)
    this.#quiet = true
    this.say({ t: 'ping', d: { ts: Date.now() } })
    this.#timer = setTimeout(() => (this.#quiet ? this.#closed(ABNORMAL) : this.#watch()), patience)
  }

  /** @param {number} code */
  #closed(code) {
    if (this.#over) return
    this.close()
    this.#on.onClose(code)
  }
}

/**
 * @param {unknown} data
 * @returns {ServerFrame | null} `null` for what is no frame of this protocol.
 */
function parse(data) {
  if (typeof data !== 'string') return null
  try {
    const frame = JSON.parse(data)
    return typeof frame?.t === 'string' && typeof frame.d === 'object' && frame.d ? frame : null
  } catch {
    return null
  }
}
