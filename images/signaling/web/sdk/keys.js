import { makeBundle, verifyBundle } from './bundle.js'
import { fromB64 } from './encode.js'
import { openEnvelope, sealEnvelope } from './envelope.js'
import { generateKeyPair } from './hpke.js'
import { OwnKey } from './own_key.js'
import { securityCode } from './security_code.js'

/**
 * @typedef {import('./bundle.js').PublicKeys} PublicKeys
 * @typedef {import('./identity.js').Identity} Identity
 * @typedef {import('./room_secret.js').RoomSecret} RoomSecret
 * @typedef {import('./secret.js').Secret} Secret
 * @typedef {import('./types.js').Bundle} Bundle
 * @typedef {import('./types.js').WireMember} WireMember
 */

/**
 * @typedef {object} KeyStore  Where media keys are put to use.
 * @property {(kid: number, baseKey: Secret) => void} use  Seals all further frames with this key.
 * @property {(sid: string, kid: number, baseKey: Secret) => void} learn
 * @property {(sid: string) => void} forget
 */

/**
 * @typedef {object} CallMemory  What outlives a session that the server lost.
 * @property {Set<number>} generations  Key generations used in this call.
 * @property {Set<string>} confirmed  Identity keys that a person compared.
 */

/**
 * @typedef {object} KeyExchangeOptions
 * @property {string} room
 * @property {string} sid
 * @property {RoomSecret | null} roomSecret
 * @property {Identity} identity
 * @property {KeyStore} frames
 * @property {CallMemory} memory
 * @property {(type: 'key.send' | 'key.ack' | 'key.request', frame: {to?: {sid: string}, d: object}) => void} send
 * @property {(code: string | null) => void} onChange  Trust or the security code may have changed.
 * @property {(error: unknown) => void} onBroken  Keys can't be made any more; the call has to end.
 * @property {() => number} [now]  Unix milliseconds.
 */

/**
 * @typedef {object} Peer
 * @property {PublicKeys} keys
 * @property {number} lastSeq
 * @property {number} since  When it came into the roster.
 * @property {boolean} hasKey  Whether one of its media keys arrived.
 * @property {number} askedAt
 * @property {number} answeredAt
 */

const REQUEST_INTERVAL_MS = 1_000
const ANSWER_INTERVAL_MS = 500
const FIRST_KEY_MS = 2_000
const MAX_ENTRIES = 128
const EARLY_ENVELOPES = 64

/**
 * Gives this member's media keys to those whom it trusts, and takes theirs (docs/e2ee.md, sections 3, 4 and 7).
 *
 * One object for one session id. Events are worked on one after the other, in the order of the calls; `tick`
 * several times a second lets time pass.
 */
export class KeyExchange {
  #o
  #now
  #keyPair
  /** @type {Map<string, Peer>} trusted members other than this one */
  #peers = new Map()
  /** @type {Map<string, {bundle: string, lastSeq: number}>} for the life of each sid, also after it left */
  #pins = new Map()
  /** @type {Map<string, string>} identity keys of others as the roster shows them, trusted or not */
  #shown = new Map()
  /** @type {Set<string>} identity keys of others in the code that was handed out last */
  #coded = new Set()
  /** @type {{from: string, body: string}[]} envelopes that overtook the roster event of their sender */
  #early = []
  #own
  #seq = 0
  #queue = Promise.resolve()
  #dropped = false
  #droppedEnvelopes = 0

  /**
   * @param {KeyExchangeOptions} options
   * @param {CryptoKeyPair} keyPair
   * @param {Bundle} bundle
   */
  constructor(options, keyPair, bundle) {
    this.#o = options
    this.#now = options.now ?? Date.now
    this.#keyPair = keyPair
    this.bundle = bundle
    this.#own = new OwnKey(options.memory.generations, this.#now())
  }

  /**
   * Makes the keys of a session and the bundle to join with.
   *
   * @param {KeyExchangeOptions} options
   */
  static async begin(options) {
    const { room, sid, identity, roomSecret, now = Date.now } = options
    const keyPair = await generateKeyPair()
    const ek = new Uint8Array(await crypto.subtle.exportKey('raw', keyPair.publicKey))
    return new KeyExchange(options, keyPair, await makeBundle({ room, sid, identity, ek, roomSecret, now: now() }))
  }

  /** Envelopes that were dropped because they did not verify or open. */
  get droppedEnvelopes() {
    return this.#droppedEnvelopes
  }

  /** @param {string} sid */
  trusts(sid) {
    return sid === this.#o.sid || this.#peers.has(sid)
  }

  /** @param {string} sid */
  verified(sid) {
    if (sid === this.#o.sid) return true
    const peer = this.#peers.get(sid)
    return peer !== undefined && (this.#o.roomSecret !== null || this.#o.memory.confirmed.has(peer.keys.ik))
  }

  /** A person compared the security code: the identities in the one last shown count as verified from now on. */
  confirmIdentities() {
    for (const { keys } of this.#peers.values()) {
      if (this.#coded.has(keys.ik)) this.#o.memory.confirmed.add(keys.ik)
    }
  }

  /**
   * Members that were in the room before this one: they get the first key as it is.
   *
   * @param {WireMember[]} members
   */
  found(members) {
    return this.#do(async () => {
      await this.#give(await this.#admit(members))
      await this.#changed()
    })
  }

  /**
   * Newcomers: they get the next step of the key, which opens nothing from before.
   *
   * @param {WireMember[]} members
   */
  joined(members) {
    return this.#do(async () => {
      const trusted = await this.#admit(members)
      if (trusted.length) await ((await this.#own.step()) ? this.#give(trusted) : this.#renew())
      await this.#changed()
    })
  }

  /**
   * @param {string} sid
   * @param {string} reason  `kicked` renews the key at once, others after a short while in which more may leave.
   */
  left(sid, reason) {
    return this.#do(async () => {
      this.#shown.delete(sid)
      if (this.#peers.delete(sid)) {
        this.#o.frames.forget(sid)
        this.#own.lost(sid, reason, this.#now())
        await this.#pass()
      }
      await this.#changed()
    })
  }

  /**
   * @param {string} from
   * @param {string} body
   */
  envelope(from, body) {
    return this.#do(() => this.#open(from, body))
  }

  /**
   * @param {string} from
   * @param {number} kid
   */
  acknowledged(from, kid) {
    return this.#do(async () => {
      this.#own.acknowledged(from, kid)
      await this.#pass()
    })
  }

  /** @param {string} from */
  requested(from) {
    return this.#do(async () => {
      const peer = this.#peers.get(from)
      if (!peer || this.#now() - peer.answeredAt < ANSWER_INTERVAL_MS) return
      peer.answeredAt = this.#now()
      await this.#seal([from])
    })
  }

  /**
   * A frame came for which there is no key.
   *
   * @param {string} sid
   * @param {number} kid
   */
  missing(sid, kid) {
    const peer = this.#peers.get(sid)
    if (peer) this.#ask(sid, peer, kid)
  }

  /**
   * @param {number} kid  The key in use.
   * @param {number} frames  Sealed with its generation.
   */
  framesSealed(kid, frames) {
    this.#own.sealed(kid, frames)
  }

  /** Lets time pass. */
  tick() {
    return this.#do(async () => {
      await this.#pass()
      const now = this.#now()
      for (const [sid, peer] of this.#peers) {
        if (!peer.hasKey && now - peer.since >= FIRST_KEY_MS) this.#ask(sid, peer, 0)
      }
    })
  }

  /** Ends the session: nothing is sealed, opened or sent any more. */
  drop() {
    this.#dropped = true
    for (const sid of this.#peers.keys()) this.#o.frames.forget(sid)
    this.#peers.clear()
  }

  /**
   * @param {() => Promise<void>} work
   * @returns {Promise<void>}
   */
  #do(work) {
    this.#queue = this.#queue.then(() => (this.#dropped ? undefined : work())).catch(this.#o.onBroken)
    return this.#queue
  }

  /**
   * Takes members into the roster and returns the session ids of those who are trusted.
   *
   * @param {WireMember[]} members
   */
  async #admit(members) {
    const { room, roomSecret, sid: self } = this.#o
    const now = this.#now()
    const others = members.filter(({ sid }) => sid !== self && !this.#peers.has(sid))
    const verified = await Promise.all(
      others.map(async ({ sid, bundle }) => ({ sid, keys: await verifyBundle(bundle, { room, sid, roomSecret, now }), bundle })),
    )
    const trusted = []
    for (const { sid, keys, bundle } of verified) {
      if (bundle && isKey(bundle.ik)) this.#shown.set(sid, bundle.ik)
      const shown = JSON.stringify(bundle)
      const pin = this.#pins.get(sid)
      if (!keys || this.#dropped || (pin && pin.bundle !== shown)) continue
      this.#pins.set(sid, { bundle: shown, lastSeq: pin?.lastSeq ?? 0 })
      this.#peers.set(sid, {
        keys,
        lastSeq: pin?.lastSeq ?? 0,
        since: now,
        hasKey: false,
        askedAt: -Infinity,
        answeredAt: -Infinity,
      })
      trusted.push(sid)
    }
    const known = new Set(others.map(({ sid }) => sid))
    const early = this.#early.filter(({ from }) => known.has(from))
    this.#early = this.#early.filter(({ from }) => !known.has(from))
    for (const { from, body } of early) await this.#open(from, body)
    return trusted
  }

  /** Does what is due: an old key is renewed, a new one that all acknowledged, or that waited long enough, is used. */
  async #pass() {
    if (this.#own.wantsRenewal(this.#now())) await this.#renew()
    const key = this.#own.takeForUse(this.#now())
    if (key) this.#o.frames.use(key.kid, key.baseKey)
  }

  async #renew() {
    this.#own.renew(this.#now())
    await this.#give([...this.#peers.keys()])
  }

  /**
   * Seals the newest key to members and waits for them before it is used.
   *
   * @param {string[]} recipients
   */
  async #give(recipients) {
    this.#own.share(recipients, this.#now())
    await this.#seal(recipients)
    await this.#pass()
  }

  /** @param {string[]} recipients */
  async #seal(recipients) {
    const { room, sid: from, identity, roomSecret } = this.#o
    const { kid, baseKey } = this.#own.newest
    const sealed = await Promise.all(
      recipients.map(async (to) => {
        const { keys: recipient } = /** @type {Peer} */ (this.#peers.get(to))
        const relation = { room, from, to, psk: roomSecret?.psk ?? null }
        const content = { kid, baseKey, seq: this.#nextSeq(), ts: this.#now() }
        try {
          return [{ to, body: await sealEnvelope(relation, content, { identity, recipient }) }]
        } catch {
          this.#own.skip(to) // its public key is of small order: nothing can be sealed to it
          return []
        }
      }),
    )
    if (this.#dropped) return
    const entries = sealed.flat()
    for (let at = 0; at < entries.length; at += MAX_ENTRIES) {
      this.#o.send('key.send', { d: { entries: entries.slice(at, at + MAX_ENTRIES) } })
    }
  }

  /** One sequence for all recipients, so that it rises for each of them. */
  #nextSeq() {
    this.#seq += 1
    return this.#seq
  }

  /**
   * @param {string} from
   * @param {string} body
   */
  async #open(from, body) {
    const peer = this.#peers.get(from)
    if (!peer) {
      // The roster event travels on another lane and may still come; an untrusted sender's stays unopened.
      this.#early.push({ from, body })
      if (this.#early.length > EARLY_ENVELOPES) {
        this.#early.shift()
        this.#droppedEnvelopes += 1
      }
      return
    }
    const { room, sid: to, roomSecret } = this.#o
    const relation = { room, from, to, psk: roomSecret?.psk ?? null }
    const opened = await openEnvelope(relation, body, { sender: peer.keys, keyPair: this.#keyPair, lastSeq: peer.lastSeq })
    if (!opened || this.#dropped) {
      this.#droppedEnvelopes += 1
      return
    }
    peer.lastSeq = opened.seq
    peer.hasKey = true
    const pin = this.#pins.get(from)
    if (pin) pin.lastSeq = opened.seq
    this.#o.frames.learn(from, opened.kid, opened.baseKey)
    this.#o.send('key.ack', { to: { sid: from }, d: { kid: opened.kid } })
  }

  /**
   * @param {string} sid
   * @param {Peer} peer
   * @param {number} kid
   */
  #ask(sid, peer, kid) {
    const now = this.#now()
    if (this.#dropped || now - peer.askedAt < REQUEST_INTERVAL_MS) return
    peer.askedAt = now
    this.#o.send('key.request', { to: { sid }, d: { kid } })
  }

  async #changed() {
    const others = [...this.#shown.values()]
    const code = others.length ? await securityCode(this.#o.room, [this.bundle.ik, ...others]) : null
    if (this.#dropped) return
    this.#coded = new Set(others)
    this.#o.onChange(code)
  }
}

/**
 * @param {unknown} text
 * @returns {text is string}
 */
function isKey(text) {
  try {
    return typeof text === 'string' && fromB64(text).length === 32
  } catch {
    return false
  }
}
