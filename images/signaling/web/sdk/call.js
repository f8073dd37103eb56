import { Badge } from './badge.js'
import { FrameCrypto } from './frame_crypto.js'
import { loadIdentity } from './identity.js'
import { KeyExchange } from './keys.js'
import { Peer } from './peer.js'
import { RoomSecret } from './room_secret.js'
import { Roster } from './roster.js'
import { Signal, SignalError } from './signal.js'
import { missingFeatures } from './support.js'

/**
 * @typedef {import('./types.js').Bytes} Bytes
 * @typedef {import('./types.js').MediaState} MediaState
 * @typedef {import('./types.js').MemberStats} MemberStats
 * @typedef {import('./types.js').ServerFrame} ServerFrame
 * @typedef {import('./types.js').Source} Source
 * @typedef {import('./types.js').WireMember} WireMember
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
  #roster = new Roster()
  #badge = new Badge()
  /** @type {Map<string, Peer>} */
  #peers = new Map()
  /** @type {Record<Source, MediaStreamTrack | null>} */
  #tracks = { mic: null, cam: null, screen: null }
  /** @type {MediaState} */
  #mediaState = { audio: false, video: false, screen: false, hand: false }
  /** @type {RTCIceServer[]} */
  #iceServers = []
  /** @type {string | null} */
  #code = null
  /** @type {RoomSecret | null} */
  #roomSecret = null
  /** @type {FrameCrypto | null} */
  #frames = null
  /** @type {import('./identity.js').Identity | null} */
  #identity = null
  /** @type {import('./keys.js').CallMemory} */
  #memory = { generations: new Set(), confirmed: new Set() }
  /** @type {string | null} */
  #selfSid = null
  /** @type {KeyExchange | null} */
  #keys = null
  /** @type {Signal | null} */
  #signal = null
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
    return this.#selfSid
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
    try {
      const missing = await missingFeatures()
      if (missing.length) throw new Error(`This browser cannot make encrypted calls; it lacks ${missing.join(', ')}.`)
      await this.#enter()
    } catch (error) {
      this.#end(error instanceof SignalError ? error.code : 'failed', error instanceof SignalError ? error.closeCode : undefined)
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
    await Promise.all([...this.#peers.values()].map((peer) => peer.setTrack(source, track)))
  }

  /**
   * Tells the others what this member sends.
   *
   * @param {Partial<MediaState>} state
   */
  async setState(state) {
    this.#mediaState = { ...this.#mediaState, ...state }
    this.#emitMembers()
    if (this.#state === 'joined' || this.#state === 'reconnecting') {
      await this.#tell('state', this.#mediaState)
    }
  }

  /** @returns {Promise<{members: Record<string, MemberStats>}>} */
  async stats() {
    const lines = await Promise.all([...this.#peers].map(async ([sid, peer]) => [sid, await peer.stats()]))
    return { members: Object.fromEntries(lines) }
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
    this.#keys?.confirmIdentities()
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
    this.#options.token = token
    await this.#signal?.renewToken(token)
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
    this.#identity = await loadIdentity()
    if (!this.#identity.kept) this.#warn('identity_not_kept', 'This browser keeps no data: its security code changes with every visit.')
    this.#frames = await FrameCrypto.start({
      onReport: (report) => this.#reported(report),
      onMissing: (sid, kid) => this.#keys?.missing(sid, kid),
      onBroken: () => this.#end('encryption_failed'),
    })
    this.#signal = new Signal({
      url,
      token,
      onSession: (session) => this.#opened(session),
      onResumed: (data) => this.#resumed(data),
      onFrame: (frame) => this.#received(frame),
      onDown: () => this.#setState('reconnecting'),
      onClosed: (reason, code) => this.#end(reason, code),
    })
    this.#tick = setInterval(() => this.#keys?.tick(), TICK_MS)
    addEventListener('pagehide', this.#onPageHide)
    addEventListener('online', this.#onOnline)
    await this.#signal.open()
  }

  /**
   * A fresh session: the first one, or another after the server lost the old one.
   *
   * @param {{sid: string, exp?: number}} session
   */
  async #opened({ sid, exp }) {
    const [signal, frames, identity] = [this.#signal, this.#frames, this.#identity]
    if (!signal || !frames || !identity || this.#state === 'ended') return
    const { room, name } = this.#options
    for (const gone of this.#roster.clear()) this.#removed(gone, 'left')
    this.#keys?.drop()
    this.#keys = await KeyExchange.begin({
      room,
      sid,
      roomSecret: this.#roomSecret,
      identity,
      frames,
      memory: this.#memory,
      send: (type, content) => this.#sendKeys(signal, type, content),
      onChange: (code) => this.#trustChanged(code),
      onBroken: () => this.#end('encryption_failed'),
    })
    const meta = this.#roomSecret ? await this.#roomSecret.sealName(sid, name) : ''
    const { d } = await signal.request('join', { d: { room, bundle: this.#keys.bundle, meta } })
    this.#selfSid = sid
    this.#iceServers = d.ice_servers ?? []
    this.#watchToken(exp)
    this.#setState('joined')
    this.#reconcile(d.snapshot.members, true)
    if (Object.values(this.#mediaState).some(Boolean)) await signal.request('state', { d: this.#mediaState })
  }

  /** @param {{snapshot?: {members: WireMember[]}, ice_servers?: RTCIceServer[]}} data */
  #resumed(data) {
    if (data.ice_servers?.length) this.#turn(data.ice_servers)
    this.#setState('joined')
    if (data.snapshot) this.#reconcile(data.snapshot.members, false)
  }

  /**
   * @param {Signal} signal
   * @param {'key.send' | 'key.ack' | 'key.request'} type
   * @param {{to?: {sid: string}, d: object}} content
   */
  #sendKeys(signal, type, content) {
    if (type !== 'key.send') return signal.mention(type, content)
    signal.request(type, content).catch(() => undefined) // who lacks a key asks for it
  }

  /** @param {ServerFrame} frame */
  #received({ t: type, from = '', d }) {
    switch (type) {
      case 'ev':
        return this.#event(d)
      case 'snapshot':
        return this.#reconcile(d.members, false)
      case 'offer':
      case 'answer':
      case 'ice':
      case 'restart':
        return this.#peers.get(from)?.receive(type, d)
      case 'key.deliver':
        return void this.#keys?.envelope(from, d.body)
      case 'key.ack':
        return void this.#keys?.acknowledged(from, d.kid)
      case 'key.request':
        return void this.#keys?.requested(from)
      case 'msg':
        return void this.#message(from, d.body)
      case 'mute.request':
        return this.#emit('mute-request', { kind: d.kind })
      case 'turn':
        return this.#turn(d.ice_servers)
      default: // a newer server may say more than this client knows
    }
  }

  /** @param {any} event */
  #event(event) {
    switch (event.kind) {
      case 'joined':
        if (event.member.sid === this.selfSid) return
        if (this.#roster.remove(event.member.sid)) this.#removed(event.member.sid, 'left')
        this.#added([event.member], false)
        break
      case 'left':
        if (event.sid === this.selfSid) return
        this.#roster.remove(event.sid)
        this.#removed(event.sid, event.reason)
        break
      case 'updated':
        this.#roster.update(event.sid, { state: event.state })
        break
      case 'reconnecting':
      case 'resumed':
        this.#roster.update(event.sid, { reconnecting: event.kind === 'reconnecting' })
        break
      case 'ended':
        return this.#end('ended')
      default:
        return
    }
    this.#emitMembers()
  }

  /**
   * Makes the roster equal to a snapshot.
   *
   * @param {WireMember[]} members
   * @param {boolean} justJoined  Whether this member is the later one, who offers.
   */
  #reconcile(members, justJoined) {
    const { joined, left } = this.#roster.compare(members.filter(({ sid }) => sid !== this.#selfSid))
    for (const sid of left) {
      this.#roster.remove(sid)
      this.#removed(sid, 'timeout')
    }
    this.#added(joined, justJoined)
    this.#emitMembers()
  }

  /**
   * @param {WireMember[]} members
   * @param {boolean} justJoined
   */
  #added(members, justJoined) {
    const [frames, signal, selfSid] = [this.#frames, this.#signal, this.#selfSid]
    if (!frames || !signal || !selfSid) return
    if (justJoined) void this.#keys?.found(members)
    else if (members.length) void this.#keys?.joined(members)
    for (const member of members) {
      const { sid } = member
      this.#roster.add(member)
      void this.#openName(member)
      const peer = new Peer({
        selfSid,
        sid,
        offers: justJoined,
        frames,
        tracks: this.#tracks,
        iceServers: this.#iceServers,
        iceTransportPolicy: this.#options.iceTransportPolicy,
        send: (type, d) => signal.request(type, { to: { sid }, d }),
        onTrack: (source, track) => this.#emit('track', { sid, source, track }),
        onWarning: (code, message) => this.#warn(code, message),
      })
      this.#peers.set(sid, peer)
      peer.start()
    }
  }

  /**
   * @param {string} sid
   * @param {string} reason
   */
  #removed(sid, reason) {
    void this.#keys?.left(sid, reason)
    this.#peers.get(sid)?.close()
    this.#peers.delete(sid)
  }

  /** @param {WireMember} member */
  async #openName({ sid, meta }) {
    if (!this.#roomSecret || !meta) return
    const name = await this.#roomSecret.openName(sid, meta)
    if (!name) return
    this.#roster.update(sid, { name })
    this.#emitMembers()
  }

  /**
   * @param {string} from
   * @param {string} body
   */
  async #message(from, body) {
    const opened = await this.#roomSecret?.openMessage(from, body)
    if (opened) this.#emit('message', { sid: from, data: opened.data })
  }

  /** @param {RTCIceServer[]} servers */
  #turn(servers) {
    this.#iceServers = servers
    for (const peer of this.#peers.values()) void peer.setIceServers(servers)
  }

  #networkChanged() {
    this.#signal?.reconnectNow()
    for (const peer of this.#peers.values()) peer.restartIce()
  }

  /** @param {import('./frame_crypto.js').Report} report */
  #reported(report) {
    this.#keys?.framesSealed(report.kid, report.framesOfGeneration)
    const sends = Object.values(this.#tracks).some(Boolean)
    this.#emit('encryption', this.#badge.update(report, { sends, receives: this.#roster.anyoneSends }))
  }

  /** @param {string | null} code */
  #trustChanged(code) {
    this.#emitMembers()
    if (code === this.#code) return
    this.#code = code
    this.#emit('code', { code })
  }

  #emitMembers() {
    if (!this.#selfSid) return
    const self = {
      sid: this.#selfSid,
      name: this.#options.name,
      isSelf: true,
      trusted: true,
      verified: true,
      state: { ...this.#mediaState },
      reconnecting: this.#state === 'reconnecting',
    }
    const others = this.#roster.view((sid) => ({
      trusted: this.#keys?.trusts(sid) ?? false,
      verified: this.#keys?.verified(sid) ?? false,
    }))
    this.#emit('members', { members: [self, ...others] })
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
    for (const peer of this.#peers.values()) peer.close()
    this.#peers.clear()
    this.#signal?.bye()
    this.#keys?.drop()
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
