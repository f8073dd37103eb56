import { Backoff } from './backoff.js'
import { toB64 } from './encode.js'
import { Line } from './line.js'

/**
 * @typedef {import('./types.js').ServerFrame} ServerFrame
 *
 * @typedef {object} Request
 * @property {{t: string, id: string}} frame
 * @property {(reply: ServerFrame) => void} resolve
 * @property {(error: SignalError) => void} reject
 * @property {number} tries
 *
 * @typedef {object} SignalHandlers
 * @property {(session: {sid: string, exp?: number}) => Promise<void>} onSession  A fresh session: join now. The server
 *   knows nothing of an earlier one.
 * @property {(data: any) => void} onResumed  The session goes on, on a new socket.
 * @property {(frame: ServerFrame) => void} onFrame  Everything else that the server says, each durable frame once.
 * @property {() => void} onDown  No socket for now; requests wait.
 * @property {(reason: string, code?: number) => void} onClosed  Over for good.
 */

/** A request that the server refused, or a connection that it ended. */
export class SignalError extends Error {
  /**
   * @param {string} code  A code of `error` frames, or a word for a close code.
   * @param {string} message
   * @param {number} [closeCode]
   */
  constructor(code, message, closeCode) {
    super(message)
    this.name = 'SignalError'
    this.code = code
    this.closeCode = closeCode
  }
}

const REPLACED = 4005
/** Close codes that are final. */
const FINAL = new Map([
  [REPLACED, 'replaced'],
  [4500, 'bad_token'],
  [4501, 'token_expired'],
  [4502, 'kicked'],
  [4503, 'ended'],
  [4504, 'protocol_error'],
  [4505, 'unsupported_version'],
  [4506, 'duplicate_identity'],
  [4507, 'banned'],
])
const HELLO = 'hello'
const RESUME = 'resume'
const RATE_LIMITED = 4006
const RATE_LIMITED_WAIT_MS = 5_000
const HEALTHY_MS = 30_000
const GIVE_UP_OPENING_MS = 20_000
const MAX_TRIES = 8
const DEFAULT_RETRY_MS = 1_000

/**
 * A session with the signaling server that outlives its sockets.
 *
 * Requests get exactly one reply. Those under way when a socket breaks are repeated on the next one with the same id,
 * which the server acts on once.
 */
export class Signal {
  #url
  #token
  #handlers
  #cid = toB64(crypto.getRandomValues(new Uint8Array(16)))
  #attempt = 0
  #requests = 0
  /** @type {Map<string, Request>} */
  #pending = new Map()
  /** @type {Line | null} the one that requests go out on */
  #line = null
  /** @type {Line | null} */
  #opening = null
  #backoff = new Backoff()
  #retryTimer = 0
  #healthyTimer = 0
  #resumeToken = ''
  #epoch = ''
  #off = 0
  #closed = false
  /** @type {{resolve: () => void, reject: (error: Error) => void, deadline: number} | null} */
  #first = null

  /** @param {{url: string, token: string | null} & SignalHandlers} options */
  constructor({ url, token, ...handlers }) {
    this.#url = url
    this.#token = token
    this.#handlers = handlers
  }

  /**
   * Opens the first session; resolves when `onSession` is done with it.
   *
   * @returns {Promise<void>}
   */
  open() {
    return new Promise((resolve, reject) => {
      this.#first = { resolve, reject, deadline: Date.now() + GIVE_UP_OPENING_MS }
      this.#dial()
    })
  }

  /**
   * @param {string} type
   * @param {{to?: {sid: string} | 'room', d: object}} content
   * @returns {Promise<ServerFrame>} The reply.
   * @throws {SignalError} where the server refuses, or the session is lost
   */
  request(type, content) {
    if (this.#closed) return Promise.reject(new SignalError('closed', 'The call is over.'))
    this.#requests += 1
    const frame = { t: type, id: `c${this.#requests}`, ...content }
    return new Promise((resolve, reject) => {
      this.#pending.set(frame.id, { frame, resolve, reject, tries: 1 })
      this.#line?.say(frame)
    })
  }

  /**
   * Sends what is worthless later: nothing happens where there is no socket, and nobody waits for the reply.
   *
   * @param {string} type
   * @param {{to?: {sid: string} | 'sfu', d: object}} content
   */
  mention(type, content) {
    this.#line?.say({ t: type, ...content })
  }

  /** @param {string} token */
  async renewToken(token) {
    this.#token = token
    await this.request('token.refresh', { d: { token } })
  }

  /** The network changed: don't wait, find out now whether the socket still works. */
  reconnectNow() {
    if (this.#closed) return
    if (this.#line) this.#line.probe()
    else if (!this.#opening) this.#dial()
  }

  /** Ends the session at the server, too. */
  bye() {
    this.#line?.say({ t: 'bye', d: {} })
    this.close()
  }

  close() {
    this.#closed = true
    this.#first?.reject(new SignalError('closed', 'The call is over.'))
    this.#first = null
    clearTimeout(this.#retryTimer)
    clearTimeout(this.#healthyTimer)
    this.#opening?.close()
    this.#line?.close()
    this.#line = this.#opening = null
    this.#rejectPending('closed', 'The call is over.')
  }

  #dial() {
    clearTimeout(this.#retryTimer)
    if (this.#closed || this.#opening) return
    this.#attempt += 1
    const line = new Line(this.#url, {
      onWelcome: () => this.#greet(line),
      onFrame: (frame) => this.#received(line, frame),
      onClose: (code) => this.#broken(line, code),
    })
    this.#opening = line
  }

  /** @param {Line} line */
  #greet(line) {
    const attempt = { cid: this.#cid, attempt: this.#attempt }
    if (this.#resumeToken) {
      const d = { ...attempt, resume_token: this.#resumeToken, epoch: this.#epoch, off: this.#off }
      line.say({ t: 'resume', id: RESUME, d })
    } else {
      line.say({ t: 'hello', id: HELLO, d: { ...attempt, token: this.#token ?? undefined } })
    }
  }

  /**
   * @param {Line} line
   * @param {ServerFrame} frame
   */
  #received(line, frame) {
    if (this.#closed) return
    if (frame.re === HELLO || frame.re === RESUME) return this.#answered(line, frame)
    if (frame.re !== undefined) return this.#replied(frame)
    if (frame.t === 'goaway') return this.#goAway(line, frame.d)
    if (frame.t === 'snapshot') {
      this.#epoch = frame.d.epoch
      this.#off = frame.d.off
    } else if (frame.off !== undefined) {
      if (frame.off <= this.#off) return // came before, on the socket that this one replaces
      this.#off = frame.off
    }
    this.#handlers.onFrame(frame)
  }

  /**
   * The reply to `hello` or `resume`.
   *
   * @param {Line} line
   * @param {ServerFrame} frame
   */
  #answered(line, { t: type, d }) {
    if (type === 'error') return this.#refused(line, d)
    const old = this.#line
    this.#line = line
    this.#opening = null
    if (old !== line) old?.close()
    clearTimeout(this.#retryTimer)
    clearTimeout(this.#healthyTimer)
    this.#healthyTimer = setTimeout(() => this.#backoff.reset(), HEALTHY_MS)
    this.#resumeToken = d.resume_token
    if (type === 'hello.ok') return void this.#begin(d)
    if (this.#epoch && !d.room) return this.#beginAnew(line)
    this.#epoch = d.epoch ?? this.#epoch
    if (d.snapshot) this.#off = d.off ?? 0
    this.#handlers.onResumed(d)
    for (const { frame } of this.#pending.values()) line.say(frame)
  }

  /**
   * The session is there and its place in the room is not. Others may have pinned what it showed, so that it can't come
   * in again: another session can.
   *
   * @param {Line} line
   */
  #beginAnew(line) {
    line.say({ t: 'bye', d: {} })
    line.close()
    this.#line = null
    this.#resumeToken = ''
    this.#handlers.onDown()
    this.#dial()
  }

  /** @param {{sid: string, exp?: number}} session */
  async #begin(session) {
    this.#epoch = ''
    this.#off = 0
    this.#rejectPending('session_lost', 'The server lost this session.')
    try {
      await this.#handlers.onSession(session)
      this.#first?.resolve()
      this.#first = null
    } catch (error) {
      const known = error instanceof SignalError
      if (known && error.code === 'session_lost') return // its successor is on its way
      this.#finish(known ? error.code : 'failed', undefined, String(/** @type {Error} */ (error).message))
    }
  }

  /**
   * @param {Line} line
   * @param {any} error
   */
  #refused(line, { code, message, retryable, retry_after_ms: wait, next }) {
    if (retryable) {
      line.close()
      this.#opening = null
      return this.#retry(wait ?? this.#backoff.next())
    }
    if (next === 'rejoin' && this.#resumeToken) {
      this.#resumeToken = ''
      return this.#greet(line)
    }
    this.#finish(next === 'new_token' ? 'token_expired' : code, undefined, message)
  }

  /** @param {ServerFrame} frame */
  #replied(frame) {
    const request = this.#pending.get(/** @type {string} */ (frame.re))
    if (!request) return
    if (frame.t === 'error' && frame.d.retryable && request.tries < MAX_TRIES) {
      request.tries += 1
      const wait = (frame.d.retry_after_ms ?? DEFAULT_RETRY_MS) * (1 + Math.random() / 2)
      setTimeout(() => this.#pending.has(request.frame.id) && this.#line?.say(request.frame), wait)
      return
    }
    this.#pending.delete(request.frame.id)
    if (frame.t === 'error') return request.reject(new SignalError(frame.d.code, frame.d.message))
    if (frame.t === 'join.ok') {
      this.#epoch = frame.d.epoch
      this.#off = frame.d.off
    }
    request.resolve(frame)
  }

  /**
   * Make before break: the old socket works until the new one has taken over.
   *
   * @param {Line} line
   * @param {{reconnect_after_ms: number}} goaway
   */
  #goAway(line, { reconnect_after_ms: wait }) {
    if (line !== this.#line) return
    clearTimeout(this.#retryTimer)
    this.#retryTimer = setTimeout(() => this.#dial(), wait)
  }

  /**
   * @param {Line} line
   * @param {number} code
   */
  #broken(line, code) {
    if (this.#closed) return
    if (line === this.#opening) this.#opening = null
    else if (line === this.#line) this.#line = null
    else return
    if (code === REPLACED && this.#opening) return // by that one: its word that it took over is still on the way
    const reason = FINAL.get(code)
    if (reason) return this.#finish(reason, code, `The server ended the session: ${reason}.`)
    clearTimeout(this.#healthyTimer)
    if (!this.#line) this.#handlers.onDown()
    if (!this.#opening) this.#retry(code === RATE_LIMITED ? RATE_LIMITED_WAIT_MS : this.#backoff.next())
  }

  /** @param {number} wait */
  #retry(wait) {
    if (this.#first && Date.now() > this.#first.deadline) {
      return this.#finish('unreachable', undefined, 'The signaling server cannot be reached.')
    }
    clearTimeout(this.#retryTimer)
    this.#retryTimer = setTimeout(() => this.#dial(), wait)
  }

  /**
   * @param {string} reason
   * @param {number | undefined} code
   * @param {string} message
   */
  #finish(reason, code, message) {
    const first = this.#first
    this.#first = null
    this.close()
    if (first) first.reject(new SignalError(reason, message, code))
    else this.#handlers.onClosed(reason, code)
  }

  /**
   * @param {string} code
   * @param {string} message
   */
  #rejectPending(code, message) {
    const requests = [...this.#pending.values()]
    this.#pending.clear()
    for (const { reject } of requests) reject(new SignalError(code, message))
  }
}
