import { Inbox } from './inbox.js'
import { KeyExchange } from './keys.js'
import { Paths } from './paths.js'
import { Roster } from './roster.js'

/**
 * @typedef {import('./paths.js').PathsOptions} PathsOptions
 * @typedef {import('./room_secret.js').RoomSecret} RoomSecret
 * @typedef {import('./signal.js').Signal} Signal
 * @typedef {import('./types.js').MediaState} MediaState
 * @typedef {import('./types.js').MemberView} MemberView
 * @typedef {import('./types.js').ServerFrame} ServerFrame
 * @typedef {import('./types.js').Source} Source
 * @typedef {import('./types.js').WireMember} WireMember
 *
 * @typedef {{members: WireMember[], locked: boolean, sfu?: string}} Snapshot  `sfu`: who serves it, empty for nobody.
 *
 * @typedef {object} RoomOptions
 * @property {string} room
 * @property {string} sid  This member's.
 * @property {RoomSecret | null} roomSecret
 * @property {import('./identity.js').Identity} identity
 * @property {import('./keys.js').CallMemory} memory
 * @property {import('./frame_crypto.js').FrameCrypto} frames
 * @property {Signal} signal
 * @property {Readonly<Record<Source, MediaStreamTrack | null>>} tracks
 * @property {'all' | 'relay'} iceTransportPolicy
 * @property {RoomHandlers} on
 *
 * @typedef {object} RoomHandlers
 * @property {() => void} members  The roster, a name or trust changed.
 * @property {(code: string | null) => void} code
 * @property {(locked: boolean) => void} locked  Whether newcomers are kept out.
 * @property {PathsOptions['onTrack']} track
 * @property {(sid: string, data: unknown) => void} message
 * @property {(kind: string) => void} muteRequest
 * @property {PathsOptions['onWarning']} warning
 * @property {(reason: string) => void} ended
 */

/** A room as one session of this member sees it: who is in it, their keys, the connections to them. */
export class Room {
  #o
  #keys
  #paths
  #inbox
  #roster = new Roster()

  /**
   * @param {RoomOptions} options
   * @param {KeyExchange} keys
   */
  constructor(options, keys) {
    const { sid: selfSid, roomSecret, signal, on, frames, iceTransportPolicy, tracks } = options
    this.#o = options
    this.#keys = keys
    this.#inbox = new Inbox({
      isPresent: (sid) => keys.present(sid),
      open: async (sid, body) => (await roomSecret?.openMessage(sid, body)) ?? null,
      onMessage: on.message,
    })
    this.#paths = new Paths(
      {
        selfSid,
        frames,
        iceTransportPolicy,
        others: () => this.#roster.states,
        send: (sid, type, d) => signal.request(type, { to: { sid }, d }),
        sendToSfu: (type, d) => signal.mention(type, type === 'offer' ? { to: 'sfu', d } : { d }),
        onTrack: on.track,
        onWarning: on.warning,
      },
      tracks,
    )
  }

  /**
   * Makes the keys of a session; `bundle` is then what to join with.
   *
   * @param {RoomOptions} options
   */
  static async prepare(options) {
    const { room, sid, roomSecret, identity, memory, frames, signal, on } = options
    const keys = await KeyExchange.begin({
      room,
      sid,
      roomSecret,
      identity,
      frames,
      memory,
      send: (type, content) => {
        if (type !== 'key.send') signal.mention(type, content)
        else signal.request(type, content).catch(() => undefined) // who lacks a key asks for it
      },
      publish: (bundle) => signal.request('bundle.refresh', { d: { bundle } }),
      onChange: (code) => {
        on.members()
        on.code(code)
        void made.#inbox.presenceChanged()
      },
      onBroken: () => on.ended('encryption_failed'),
    })
    const made = new Room(options, keys)
    return made
  }

  get bundle() {
    return this.#keys.bundle
  }

  get sid() {
    return this.#o.sid
  }

  /** Whether any other member says that it sends. */
  get anyoneSends() {
    return this.#roster.anyoneSends
  }

  /** @returns {MemberView[]} The others. */
  get others() {
    return this.#roster.view((sid) => ({ trusted: this.#keys.trusts(sid), verified: this.#keys.verified(sid) }))
  }

  /**
   * This member joined, as the last one: it makes the offers.
   *
   * @param {Snapshot} snapshot
   * @param {RTCIceServer[]} iceServers
   */
  enter(snapshot, iceServers) {
    this.#paths.setIceServers(iceServers)
    this.#reconcile(snapshot, true)
  }

  /** @param {{snapshot?: Snapshot, ice_servers?: RTCIceServer[]}} resumed */
  resume({ snapshot, ice_servers: iceServers }) {
    if (iceServers?.length) this.#paths.setIceServers(iceServers)
    if (snapshot) this.#reconcile(snapshot, false)
    this.#paths.resumed()
  }

  /** @param {ServerFrame} frame */
  receive({ t: type, from = '', d }) {
    switch (type) {
      case 'ev':
        return this.#event(d)
      case 'snapshot':
        return this.#reconcile(d, false)
      case 'sfu':
      case 'sfu.refused':
        return this.#paths.receiveFromSfu(type, d)
      case 'offer':
      case 'answer':
        return from === 'sfu' ? this.#paths.receiveFromSfu('answer', d) : this.#paths.receive(from, type, d)
      case 'ice':
      case 'restart':
        return this.#paths.receive(from, type, d)
      case 'key.deliver':
        return void this.#keys.envelope(from, d.body)
      case 'key.ack':
        return void this.#keys.acknowledged(from, d.kid)
      case 'key.request':
        return void this.#keys.requested(from)
      case 'msg':
        return void this.#inbox.take(from, d.body)
      case 'mute.request':
        return this.#o.on.muteRequest(d.kind)
      case 'turn':
        return this.#paths.setIceServers(d.ice_servers)
      default: // a newer server may say more than this client knows
    }
  }

  /**
   * @param {Source} source
   * @param {MediaStreamTrack | null} track
   */
  setTrack(source, track) {
    return this.#paths.setTrack(source, track)
  }

  /** @param {import('./types.js').Views} views */
  show(views) {
    this.#paths.show(views)
  }

  stats() {
    return this.#paths.stats()
  }

  restartIce() {
    this.#paths.restartIce()
  }

  tick() {
    void this.#keys.tick()
  }

  /**
   * @param {string} sid
   * @param {number} kid
   */
  missing(sid, kid) {
    this.#keys.missing(sid, kid)
  }

  /** @param {import('./frame_crypto.js').Report} report */
  counted({ kid, framesOfGeneration, places }) {
    this.#keys.framesSealed(kid, framesOfGeneration)
    this.#paths.counted(places)
  }

  /** @param {string} code */
  confirm(code) {
    return this.#keys.confirm(code)
  }

  /** Takes everything down; nothing of this session is used any more. */
  close() {
    this.#paths.closeAll()
    this.#keys.drop()
  }

  /** @param {any} event */
  #event(event) {
    switch (event.kind) {
      case 'joined':
        this.#remove(event.member.sid, 'left')
        this.#welcome(withoutSelf([event.member], this.sid))
        break
      case 'renewed':
        if (this.#roster.has(event.sid)) void this.#keys.joined([event])
        break
      case 'left':
        this.#remove(event.sid, event.reason)
        break
      case 'updated':
        this.#roster.says(event.sid, event.state)
        this.#paths.changed()
        break
      case 'reconnecting':
      case 'resumed':
        this.#roster.update(event.sid, { reconnecting: event.kind === 'reconnecting' })
        break
      case 'sfu':
        return this.#paths.seated(event.sfu ?? '')
      case 'locked':
        return this.#o.on.locked(event.locked)
      case 'ended':
        return this.#o.on.ended('ended')
      default:
        return
    }
    this.#o.on.members()
  }

  /**
   * Makes the roster equal to a snapshot.
   *
   * @param {Snapshot} snapshot
   * @param {boolean} justJoined
   */
  #reconcile({ members, locked, sfu }, justJoined) {
    this.#paths.seated(sfu ?? '')
    const others = withoutSelf(members, this.sid)
    const { joined, left } = this.#roster.compare(others)
    for (const sid of left) this.#remove(sid, 'timeout')
    // All of them: the bundles of those who stay may have been renewed.
    void (justJoined ? this.#keys.found(others) : this.#keys.joined(others))
    this.#add(joined, justJoined)
    this.#paths.changed()
    this.#o.on.members()
    this.#o.on.locked(locked)
  }

  /** @param {WireMember[]} newcomers */
  #welcome(newcomers) {
    void this.#keys.joined(newcomers)
    this.#add(newcomers, false)
  }

  /**
   * @param {WireMember[]} members
   * @param {boolean} offers  Whether this member makes the first offer to them.
   */
  #add(members, offers) {
    for (const member of members) {
      this.#roster.add(member)
      void this.#openName(member)
      this.#paths.open(member.sid, offers)
    }
  }

  /**
   * @param {string} sid
   * @param {string} reason
   */
  #remove(sid, reason) {
    if (!this.#roster.remove(sid)) return
    void this.#keys.left(sid, reason)
    this.#paths.close(sid)
  }

  /** @param {WireMember} member */
  async #openName({ sid, meta }) {
    const name = meta && (await this.#o.roomSecret?.openName(sid, meta))
    if (!name) return
    this.#roster.update(sid, { name })
    this.#o.on.members()
  }
}

/**
 * @param {WireMember[]} members
 * @param {string} sid  This member's.
 */
function withoutSelf(members, sid) {
  return members.filter((member) => member.sid !== sid)
}
