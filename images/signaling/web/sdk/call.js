import { Badge } from './badge.js'
import { fromB64 } from './encode.js'
import { FrameCrypto } from './frame_crypto.js'
import { loadIdentity } from './identity.js'
import { Room } from './room.js'
import { RoomSecret } from './room_secret.js'
import { Signal, SignalError } from './signal.js'
import { missingFeatures } from './support.js'

/**
 * @typedef {import('./types.js').Bytes} Bytes
 * @typedef {import('./types.js').MediaState} MediaState
 * @typedef {import('./types.js').MemberStats} MemberStats
 * @typedef {import('./types.js').Source} Source
 * @typedef {'connecting' | 'joined' | 'reconnecting' | 'ended'} CallState
 */

/**
 * @typedef {object} CallOptions
 * @property {string} url  WebSocket address of the signaling server, e.g. `wss://calls.example`.
 * @property {string} room
 * @property {Bytes | null} [secret]  32 bytes of the join link; without them members stay unverified.
 * @property {string | null} [token]  JWT; absent where the server lets guests in.
 * @property {string} [name]  Display name; sealed under the room secret, and not sent without one.
 * @property {'all' | 'relay'} [iceTransportPolicy]  `relay`: media goes through TURN only.
 */

const TICK_MS = 250
const TOKEN_WARNING_MS = 60_000

/**
 * One member's presence in one call.
 *
 * Events, each a `CustomEvent` with this `detail`:
 *
 * - `state` `{state, reason?, code?}`: `connecting`, `joined`, `reconnecting` (media goes on), `ended` (final).
 *   `reason` is a word such as `left`, `kicked`, `ended`, `room_full`; `code` is the WebSocket close code.
 * - `members` `{members: MemberView[]}`: the whole roster, this member first.
 * - `track` `{sid, source, track}`: a remote track, `null` when it is gone. All three tracks of a member come once,
 *   at the start; whether something is on them is in the member's `state`.
 * - `encryption` `EncryptionView`: once a second, from the worker's counters.
 * - `code` `{code}`: the security code, `null` while there is nobody to compare it with.
 * - `mute-request` `{kind}`: a moderator asks to mute `audio`, `video` or `screen`.
 * - `message` `{sid, data}`: what another member gave to `send()`.
 * - `warning` `{code, message}`: something that a person may want to know; the call goes on.
 */
export class Call extends EventTarget {
  /** @type {Required<CallOptions>} */
  #options
  /** @type {CallState | 'new'} */
  #state = 'new'
  #badge = new Badge()
  /** @type {Record<Source, MediaStreamTrack | null>} */
  #tracks = { mic: null, cam: null, screen: null }
  /** @type {MediaState} */
  #mediaState = { audio: false, video: false, screen: false, hand: false }
  /** @type {import('./keys.js').CallMemory} */
  #memory = { generations: new Set(), confirmed: new Set() }
  /** @type {string | null} */
  #code = null
  /** @type {RoomSecret | null} */
  #roomSecret = null
  /** @type {FrameCrypto | null} */
  #frames = null
  /** @type {Signal | null} */
  #signal = null
  /** @type {Room | null} from the join on */
  #room = null
  #tick = 0
  #tokenTimer = 0
  #onPageHide = () => this.leave()
  #onOnline = () => this.#networkChanged()

  /** @param {CallOptions} options */
  constructor({ url, room, secret = null, token = null, name = '', iceTransportPolicy = 'all' }) {
    super()
    this.#options = { url, room, secret, token, name, iceTransportPolicy }
  }

  /** Six groups of five digits; members who see the same code hold the same keys. */
  get securityCode() {
    return this.#code
  }

  /** This member's session id while it is in the call. */
  get selfSid() {
    return this.#room?.sid ?? null
  }

  /** @returns {CallState | 'new'} */
  get state() {
    return this.#state
  }

  /**
   * Enters the call. Resolves when the room's roster is known; media follows.
   *
   * @throws {Error} with the missing features where this browser cannot keep a call encrypted
   * @throws {SignalError} with the server's code where it refuses
   */
  async join() {
    if (this.#state !== 'new') throw new Error('A Call joins once; make a new one to join again.')
    this.#setState('connecting')
    const missing = await missingFeatures()
    if (missing.length) {
      this.#end('unsupported')
      throw new Error(`This browser cannot make encrypted calls; it lacks ${missing.join(', ')}.`)
    }
    try {
      await this.#enter()
    } catch (error) {
      if (error instanceof SignalError) this.#end(error.code, error.closeCode)
      else this.#end('failed')
      throw error
    }
  }

  /** Leaves the call and frees what it held. Tracks given to `setTrack` stay the caller's to stop. */
  leave() {
    this.#end('left')
  }

  /**
   * Sends a track, or nothing with `null`. Works before and during the call and never renegotiates.
   *
   * @param {Source} source
   * @param {MediaStreamTrack | null} track
   */
  async setTrack(source, track) {
    this.#tracks[source] = track
    await this.#room?.setTrack(source, track)
  }

  /**
   * Tells the others what this member sends.
   *
   * @param {Partial<MediaState>} state
   */
  async setState(state) {
    this.#mediaState = { ...this.#mediaState, ...state }
    this.#emitMembers()
    if (this.#room) await this.#tell('state', this.#mediaState)
  }

  /** @returns {Promise<{members: Record<string, MemberStats>}>} */
  async stats() {
    return { members: (await this.#room?.stats()) ?? {} }
  }

  /**
   * Sends a JSON value to all members, sealed under the room secret. At most about 6 KB.
   *
   * @param {unknown} data
   * @throws {Error} in a room without a secret
   */
  async send(data) {
    if (!this.#roomSecret || !this.selfSid) throw new Error('Messages need a joined room with a secret in its link.')
    const body = await this.#roomSecret.sealMessage(this.selfSid, data)
    await this.#signal?.request('msg', { to: 'room', d: { body } })
  }

  /** Says that the person compared the security code: who is present now counts as verified. */
  confirmCode() {
    this.#room?.confirmIdentities()
    this.#emitMembers()
  }

  /**
   * Removes a member; needs the grant `mod`.
   *
   * @param {string} sid
   * @param {number} [banSeconds]
   */
  async kick(sid, banSeconds = 0) {
    await this.#tell('mod.kick', { sid, ban_s: banSeconds })
  }

  /**
   * Asks a member to mute; needs the grant `mod`.
   *
   * @param {string} sid
   * @param {'audio' | 'video' | 'screen'} kind
   */
  async mute(sid, kind) {
    await this.#tell('mod.mute', { sid, kind })
  }

  /**
   * Locks the room for newcomers; needs the grant `mod`.
   *
   * @param {boolean} locked
   */
  async lock(locked) {
    await this.#tell('mod.lock', { locked })
  }

  /** Ends the call for everyone; needs the grant `mod`. */
  async end() {
    await this.#tell('mod.end', {})
  }

  /**
   * Hands in a fresh token before the old one expires (warning `token_expiring`).
   *
   * @param {string} token
   */
  async renewToken(token) {
    await this.#signal?.renewToken(token)
    this.#watchToken(expiryOf(token))
  }

  /**
   * Asks the server for something that needs no answer once the call is over.
   *
   * @param {string} type
   * @param {object} d
   */
  async #tell(type, d) {
    try {
      await this.#signal?.request(type, { d })
    } catch (error) {
      if (this.#state !== 'ended') throw error
    }
  }

  async #enter() {
    const { room, secret, url, token } = this.#options
    if (secret) this.#roomSecret = await RoomSecret.derive(room, secret)
    const identity = await loadIdentity()
    if (!identity.kept) this.#warn('identity_not_kept', 'This browser keeps no data: its security code changes with every visit.')
    const frames = await FrameCrypto.start({
      onReport: (report) => this.#reported(report),
      onMissing: (sid, kid) => this.#room?.missing(sid, kid),
      onBroken: () => this.#end('encryption_failed'),
    })
    if (this.#state === 'ended') {
      frames.stop()
      throw new SignalError('left', 'The call was left before it was joined.')
    }
    this.#frames = frames
    const signal = new Signal({
      url,
      token,
      onSession: (session) => this.#opened(session, { signal, frames, identity }),
      onResumed: (resumed) => {
        this.#setState('joined')
        this.#room?.resume(resumed)
      },
      onFrame: (frame) => this.#room?.receive(frame),
      onDown: () => this.#setState('reconnecting'),
      onClosed: (reason, code) => this.#end(reason, code),
    })
    this.#signal = signal
    this.#tick = setInterval(() => this.#room?.tick(), TICK_MS)
    addEventListener('pagehide', this.#onPageHide)
    addEventListener('online', this.#onOnline)
    await signal.open()
  }

  /**
   * A fresh session: the first one, or another after the server lost the old one.
   *
   * @param {{sid: string, exp?: number}} session
   * @param {{signal: Signal, frames: FrameCrypto, identity: import('./identity.js').Identity}} means
   */
  async #opened({ sid, exp }, means) {
    const { room: id, name, iceTransportPolicy } = this.#options
    this.#room?.close()
    this.#room = null
    const room = await Room.prepare({
      ...means,
      room: id,
      sid,
      roomSecret: this.#roomSecret,
      memory: this.#memory,
      tracks: this.#tracks,
      iceTransportPolicy,
      on: this.#roomHandlers(),
    })
    const meta = (await this.#roomSecret?.sealName(sid, name)) ?? ''
    const { d } = await means.signal.request('join', { d: { room: id, bundle: room.bundle, meta } })
    this.#room = room
    this.#watchToken(exp)
    this.#setState('joined')
    room.enter(d.snapshot.members, d.ice_servers ?? [])
    if (Object.values(this.#mediaState).some(Boolean)) await this.#tell('state', this.#mediaState)
  }

  /** @returns {import('./room.js').RoomHandlers} */
  #roomHandlers() {
    return {
      members: () => this.#emitMembers(),
      code: (code) => this.#codeChanged(code),
      track: (sid, source, track) => this.#emit('track', { sid, source, track }),
      message: (sid, data) => this.#emit('message', { sid, data }),
      muteRequest: (kind) => this.#emit('mute-request', { kind }),
      warning: (code, message) => this.#warn(code, message),
      ended: (reason) => this.#end(reason),
    }
  }

  #networkChanged() {
    this.#signal?.reconnectNow()
    this.#room?.restartIce()
  }

  /** @param {import('./frame_crypto.js').Report} report */
  #reported(report) {
    this.#room?.framesSealed(report)
    const sends = Object.values(this.#tracks).some(Boolean)
    this.#emit('encryption', this.#badge.update(report, { sends, receives: this.#room?.anyoneSends ?? false }))
  }

  /** @param {string | null} code */
  #codeChanged(code) {
    if (code === this.#code) return
    this.#code = code
    this.#emit('code', { code })
  }

  #emitMembers() {
    if (!this.#room) return
    const self = {
      sid: this.#room.sid,
      name: this.#options.name,
      isSelf: true,
      trusted: true,
      verified: true,
      state: { ...this.#mediaState },
      reconnecting: this.#state === 'reconnecting',
    }
    this.#emit('members', { members: [self, ...this.#room.others] })
  }

  /** @param {number | undefined} exp  Unix seconds. */
  #watchToken(exp) {
    clearTimeout(this.#tokenTimer)
    if (!exp) return
    const wait = Math.min(exp * 1000 - Date.now() - TOKEN_WARNING_MS, 2 ** 31 - 1)
    this.#tokenTimer = setTimeout(
      () => this.#warn('token_expiring', 'The access token expires within a minute; call renewToken().'),
      Math.max(0, wait),
    )
  }

  /**
   * @param {CallState} state
   * @param {{reason?: string, code?: number}} [why]
   */
  #setState(state, why = {}) {
    if (this.#state === state || this.#state === 'ended') return
    if (state === 'reconnecting' && this.#state === 'connecting') return
    this.#state = state
    this.#emit('state', { state, ...why })
    if (state !== 'ended') this.#emitMembers()
  }

  /**
   * @param {string} reason
   * @param {number} [code]
   */
  #end(reason, code) {
    if (this.#state === 'ended') return
    clearInterval(this.#tick)
    clearTimeout(this.#tokenTimer)
    removeEventListener('pagehide', this.#onPageHide)
    removeEventListener('online', this.#onOnline)
    this.#room?.close()
    this.#signal?.bye()
    this.#frames?.stop()
    this.#setState('ended', code === undefined ? { reason } : { reason, code })
  }

  /**
   * @param {string} code
   * @param {string} message
   */
  #warn(code, message) {
    this.#emit('warning', { code, message })
  }

  /**
   * @param {string} type
   * @param {object} detail
   */
  #emit(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }))
  }
}

/**
 * @param {string} token  A JWT.
 * @returns {number | undefined} Unix seconds.
 */
function expiryOf(token) {
  try {
    return JSON.parse(new TextDecoder().decode(fromB64(token.split('.')[1]))).exp
  } catch {
    return undefined
  }
}
