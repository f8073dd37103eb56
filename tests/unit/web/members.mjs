/** Members of one call in one process: real keys and real frames, frames of the protocol handed over by hand. */

import { RoomSecret } from '../../../images/signaling/web/sdk/room_secret.js'
import { KeyExchange } from '../../../images/signaling/web/sdk/keys.js'
import { ReceivingKeys } from '../../../images/signaling/web/sdk/receiving_keys.js'
import { SendingKey } from '../../../images/signaling/web/sdk/sending_key.js'

export const ROOM = 'r-test'
export const SECRET = new Uint8Array(32).fill(5)

export async function makeIdentity() {
  const pair = await crypto.subtle.generateKey({ name: 'Ed25519' }, false, ['sign', 'verify'])
  return {
    privateKey: pair.privateKey,
    publicKey: new Uint8Array(await crypto.subtle.exportKey('raw', pair.publicKey)),
    kept: true,
  }
}

/** A clock that moves when it is told to. */
export class Clock {
  ms = 1_700_000_000_000
  now = () => this.ms
}

export class Member {
  /** Frames that it sent, oldest first. */
  sent = []
  /** Bundles that it put into the roster while it was there. */
  published = []
  /** What the server makes of the next one. */
  publishing = Promise.resolve()
  codes = []
  used = []
  broken = []
  sending = new SendingKey()
  receiving = new Map()
  memory = { generations: new Set(), confirmed: new Set() }
  #work = Promise.resolve()

  constructor(sid, clock) {
    this.sid = sid
    this.clock = clock
  }

  static async make(sid, clock, { secret = SECRET, identity, room = ROOM } = {}) {
    const member = new Member(sid, clock)
    member.keys = await KeyExchange.begin({
      room,
      sid,
      roomSecret: secret && (await RoomSecret.derive(room, secret)),
      identity: identity ?? (await makeIdentity()),
      memory: member.memory,
      now: clock.now,
      send: (t, frame) => member.sent.push({ t, ...frame }),
      publish: (bundle) => {
        member.published.push(bundle)
        return member.publishing
      },
      onChange: (code) => member.codes.push(code),
      onBroken: (error) => member.broken.push(error),
      frames: {
        use: (kid, baseKey) => {
          const copy = baseKey.reveal().slice()
          member.used.push(kid)
          member.#work = member.#work.then(() => member.sending.use(kid, copy))
        },
        learn: (from, kid, baseKey) => {
          const copy = baseKey.reveal().slice()
          member.#work = member.#work.then(() => member.from(from).learn(kid, copy))
        },
        silence: () => (member.#work = member.#work.then(() => member.sending.silence())),
        outdate: (from) => (member.#work = member.#work.then(() => member.from(from).outdate())),
        forget: (from) => member.from(from).forget(),
      },
    })
    return member
  }

  get line() {
    return { sid: this.sid, bundle: this.keys.bundle }
  }

  /** The keys that this member holds of another. */
  from(sid) {
    if (!this.receiving.has(sid)) this.receiving.set(sid, new ReceivingKeys(this.clock.now))
    return this.receiving.get(sid)
  }

  async settled() {
    await this.keys.tick()
    await this.#work
  }

  /** A frame as it leaves, or `null`. */
  async seal(text, source = 'mic') {
    await this.settled()
    return this.sending.seal({ sid: this.sid, source, data: new TextEncoder().encode(text), clear: 0 })
  }

  /** What this member reads in a frame of another, or `null`. */
  async open(sid, frame, source = 'mic') {
    await this.settled()
    const opened = await this.from(sid).open({ sid, source, data: frame, clear: 0 })
    return 'data' in opened ? new TextDecoder().decode(opened.data) : null
  }
}

/** Carries what members sent to those whom it is meant for, until nobody says anything more. */
export async function carry(...members) {
  const bySid = new Map(members.map((member) => [member.sid, member]))
  for (let moved = true; moved; ) {
    moved = false
    for (const member of members) {
      await member.settled()
      for (const { t, to, d } of member.sent.splice(0)) {
        moved = true
        if (t === 'key.send') for (const entry of d.entries) await bySid.get(entry.to)?.keys.envelope(member.sid, entry.body)
        if (t === 'key.ack') await bySid.get(to.sid)?.keys.acknowledged(member.sid, d.kid)
        if (t === 'key.request') await bySid.get(to.sid)?.keys.requested(member.sid)
      }
    }
  }
}

/** A call in which everybody joined one after the other. */
export async function callOf(clock, sids, options = {}) {
  const members = []
  for (const sid of sids) {
    const member = await Member.make(sid, clock, options)
    await member.keys.found(members.map(({ line }) => line))
    for (const other of members) await other.keys.joined([member.line])
    members.push(member)
    await carry(...members)
  }
  return members
}
