import { Badge } from './badge.js'
import { FrameCrypto } from './frame_crypto.js'
import { loadIdentity } from './identity.js'
import { Moderation } from './moderation.js'
import { OwnMedia } from './own_media.js'
import { Room } from './room.js'
import { RoomSecret } from './room_secret.js'
import { Signal, SignalError } from './signal.js'
import { missingFeatures } from './support.js'
import { TokenWatch, expiryOf } from './token_watch.js'

/**
 * @typedef {import('./types.js').Bytes} Bytes
 * @typedef {import('./types.js').Grants} Grants
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

/**
 * One member's presence in one call.
 *
 * Events, each a `CustomEvent` with this `detail`:
 *
 * - `state` `{state, reason?, code?}`: `connecting`, `joined`, `reconnecting` (media goes on), `ended` (final).
 *   `reason` is a word such as `left`, `kicked`, `ended`, `room_full`; `code` is the WebSocket close code.
 * - `members` `{members: MemberView[]}`: the whole roster, this member first.
 * - `room` `RoomView`: whether newcomers are kept out, and what this member may do; at each join and change.
 * - `track` `{sid, source, track}`: a remote track, `null` when it is gone; whether something is on it is in the member's
 *   `state`. Another track for the same source takes its place, as when an SFU begins to serve the room.
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
  #media = new OwnMedia()
  /** @type {import('./keys.js').CallMemory} */
  #memory = { generations: new Set(), confirmed: new Set() }
  /** @type {import('./types.js').Views} */
  #views = {}
  /** @type {string | null} */
  #code = null
  /** @type {Grants | null} from the join on */
  #grants = null
  /** The session that is being entered or has been. */
  #session = ''
  /** @type {RoomSecret | null} */
  #roomSecret = null
  /** @type {FrameCrypto | null} */
  #frames = null
  /** @type {Signal | null} */
  #signal = null
  /** @type {Room | null} from the join on */
  #room = null
  #tick = 0
  #tokenWatch = new TokenWatch(() =>
    this.#warn('token_expiring', 'The access token expires within a minute; call renewToken().'),
  )
  /** What the page goes through, and what the call does then. @type {[EventTarget, string, () => void][]} */
  #moments = [
    [window, 'pagehide', () => this.leave()],
    [window, 'online', () => this.#networkChanged()],
    [document, 'visibilitychange', () => document.hidden || this.#signal?.reconnectNow()],
  ]

  /** For members whose `grants.mod` is set. */
  moderation = new Moderation((type, d) => this.#tell(type, d))

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
   * @throws {SignalError} `forbidden` for a source that the token does not allow; one set before the join is let go of
   *   with the warning `may_not_send`
   */
  async setTrack(source, track) {
    if (track && !this.#media.allows(source)) throw new SignalError('forbidden', `The token does not allow ${source}.`)
    this.#media.tracks[source] = track
    await this.#room?.setTrack(source, track)
  }

  /**
   * Tells the others what this member sends, as far as its token allows that.
   *
   * @param {Partial<MediaState>} state
   */
  async setState(state) {
    this.#media.say(state)
    this.#emitMembers()
    if (this.#room) await this.#tell('state', this.#media.state)
  }

  /**
   * Says how large the pictures of others are shown, so that an SFU sends no better ones than are of use.
   *
   * @param {import('./types.js').Views} views
   */
  show(views) {
    this.#views = views
    this.#room?.show(views)
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

  /**
   * Says that the person compared a security code: those whom it covers count as verified.
   *
   * @param {string} code  The one that was compared.
   * @returns {boolean} False where it is not the present one any more: nobody is verified by it.
   */
  confirmCode(code) {
    const confirmed = this.#room?.confirm(code) ?? false
    this.#emitMembers()
    return confirmed
  }

  /**
   * Hands in a fresh token before the old one expires (warning `token_expiring`).
   *
   * @param {string} token
   */
  async renewToken(token) {
    await this.#signal?.renewToken(token)
    this.#tokenWatch.watch(expiryOf(token))
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
    const roomSecret = secret ? await RoomSecret.derive(room, secret) : null
    const identity = await loadIdentity()
    if (!identity.kept) this.#warn('identity_not_kept', 'This browser keeps no data: its security code changes with every visit.')
    const frames = await FrameCrypto.start({
      onReport: (report) => this.#reported(report),
      onMissing: (sid, kid) => this.#room?.missing(sid, kid),
      onBroken: () => this.#end('encryption_failed'),
    })
    if (this.#state === 'ended') {
      frames.stop()
      roomSecret?.wipe()
      throw new SignalError('left', 'The call was left before it was joined.')
    }
    this.#frames = frames
    this.#roomSecret = roomSecret
    const signal = new Signal({
      url,
      token,
      onSession: (session) => this.#opened(session, { signal, frames, identity, roomSecret }),
      onResumed: (resumed) => this.#resumed(resumed),
      onFrame: (frame) => this.#room?.receive(frame),
      onDown: () => this.#setState('reconnecting'),
      onClosed: (reason, code) => this.#end(reason, code),
    })
    this.#signal = signal
    this.#tick = setInterval(() => this.#room?.tick(), TICK_MS)
    for (const [target, type, react] of this.#moments) target.addEventListener(type, react)
    await signal.open()
  }

  /**
   * A fresh session: the first one, or another after the server lost the old one.
   *
   * @param {{sid: string, exp?: number}} session
   * @param {Pick<import('./room.js').RoomOptions, 'signal' | 'frames' | 'identity' | 'roomSecret'>} means
   */
  async #opened({ sid, exp }, means) {
    const { room: id, name, iceTransportPolicy } = this.#options
    this.#room?.close()
    this.#room = null
    this.#session = sid
    const room = await Room.prepare({
      ...means,
      room: id,
      sid,
      memory: this.#memory,
      tracks: this.#media.tracks,
      iceTransportPolicy,
      on: this.#roomHandlers(),
    })
    try {
      const meta = (await means.roomSecret?.sealName(sid, name)) ?? ''
      // This bundle must not come into the room by a session that took the place of its own meanwhile.
      if (this.#session !== sid) throw new SignalError('session_lost', 'The server lost this session.')
      const { d } = await means.signal.request('join', { d: { room: id, bundle: room.bundle, meta } })
      this.#granted(d.grants)
      this.#room = room
      this.#tokenWatch.watch(exp)
      this.#setState('joined')
      room.show(this.#views)
      room.enter(d.snapshot, d.ice_servers ?? [])
    } catch (error) {
      room.close()
      throw error
    }
    const { state } = this.#media
    if (!Object.values(state).some(Boolean)) return
    this.#tell('state', state).catch(() => undefined) // for display alone: no reason to end a call that stands
  }

  /** @param {Grants} grants */
  #granted(grants) {
    this.#grants = grants
    const refused = this.#media.allow(grants.pub)
    if (refused.length) this.#warn('may_not_send', `The access token does not allow sending ${refused.join(', ')}.`)
  }

  /** @param {Parameters<Room['resume']>[0]} resumed */
  #resumed(resumed) {
    if (!this.#room) return // the join is still to come
    this.#setState('joined')
    this.#room.resume(resumed)
  }

  /** @returns {import('./room.js').RoomHandlers} */
  #roomHandlers() {
    return {
      members: () => this.#emitMembers(),
      code: (code) => this.#codeChanged(code),
      locked: (locked) => this.#emit('room', { locked, grants: this.#grants }),
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
    this.#room?.counted(report)
    const expected = { sends: this.#media.sends, receives: this.#room?.anyoneSends ?? false }
    this.#emit('encryption', this.#badge.update(report, expected))
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
      state: this.#media.state,
      reconnecting: this.#state === 'reconnecting',
    }
    this.#emit('members', { members: [self, ...this.#room.others] })
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
    this.#tokenWatch.stop()
    for (const [target, type, react] of this.#moments) target.removeEventListener(type, react)
    this.#room?.close()
    this.#room = null
    this.#signal?.bye()
    this.#frames?.stop()
    this.#roomSecret?.wipe()
    this.#roomSecret = null
    this.#options.secret = null
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
