import { openEnvelope, sealEnvelope } from './envelope.js'
import { UnusableKeyError } from './hpke.js'
import { generationOf } from './kid.js'
import { OwnBundle } from './own_bundle.js'
import { OwnKey } from './own_key.js'
import { Partner } from './partner.js'
import { Trust } from './trust.js'

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
 * @property {() => void} silence  Seals no further frames.
 * @property {(sid: string, kid: number, baseKey: Secret) => void} learn
 * @property {(sid: string) => void} outdate  Someone is gone who held that member's keys.
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
 * @property {KeyStore} frames  Keys given to it are its own to copy at once: they are wiped here.
 * @property {CallMemory} memory
 * @property {(type: 'key.send' | 'key.ack' | 'key.request', frame: {to?: {sid: string}, d: object}) => void} send
 * @property {(bundle: Bundle) => Promise<unknown>} publish  Replaces this member's bundle in the roster.
 * @property {(code: string | null) => void} onChange  Trust or the security code may have changed.
 * @property {(error: unknown) => void} onBroken  Keys can't be made any more; the call has to end.
 * @property {() => number} [now]  Unix milliseconds.
 */

const MAX_ENTRIES = 128
const EARLY_ENVELOPES = 64

/**
 * Gives this member's media keys to those whom it trusts, and takes theirs (docs/e2ee.md, section 4).
 *
 * One object for one session id. Events are worked on one after the other, in the order of the calls; `tick`
 * several times a second lets time pass.
 */
export class KeyExchange {
  #o
  #now
  #ownBundle
  #trust
  #own
  /** @type {Map<string, Partner>} the trusted members */
  #partners = new Map()
  /** @type {Map<string, number>} highest envelope number of each sid, also after it left */
  #lastSeqs = new Map()
  /** @type {{from: string, body: string}[]} envelopes that overtook the roster event of their sender */
  #early = []
  #seq = 0
  #queue = Promise.resolve()
  #dropped = false
  #droppedEnvelopes = 0

  /**
   * @param {KeyExchangeOptions} options
   * @param {OwnBundle} ownBundle
   */
  constructor(options, ownBundle) {
    const { room, roomSecret, memory, now = Date.now } = options
    this.#o = options
    this.#now = now
    this.#ownBundle = ownBundle
    this.#trust = new Trust({ room, ik: ownBundle.bundle.ik, roomSecret, confirmed: memory.confirmed, now })
    this.#own = new OwnKey(memory.generations, now())
  }

  /**
   * Makes the keys of a session and the bundle to join with.
   *
   * @param {KeyExchangeOptions} options
   */
  static async begin(options) {
    const { now = Date.now } = options
    return new KeyExchange(options, await OwnBundle.make(options, now()))
  }

  /** This member's, as it is to be shown to the others. */
  get bundle() {
    return this.#ownBundle.bundle
  }

  /** Envelopes that were dropped because they did not verify or open. */
  get droppedEnvelopes() {
    return this.#droppedEnvelopes
  }

  /** @param {string} sid */
  trusts(sid) {
    return sid === this.#o.sid || (!this.#dropped && this.#trust.keysOf(sid) !== undefined)
  }

  /**
   * Whether a member's identity is proven, and that it is there: old bundles and what was said under them are easily
   * shown again.
   *
   * @param {string} sid
   */
  verified(sid) {
    return sid === this.#o.sid || (this.present(sid) && this.#trust.verified(sid))
  }

  /**
   * Whether a trusted member gave this session a key, which nobody can do in its name.
   *
   * @param {string} sid
   */
  present(sid) {
    return this.#partners.get(sid)?.isPresent ?? false
  }

  /**
   * See `Trust.confirm`.
   *
   * @param {string} code
   */
  confirm(code) {
    return this.#trust.confirm(code)
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
      if (this.#trust.remove(sid)) await this.#part([sid], reason)
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
      const partner = this.#partners.get(from)
      if (partner?.mayAnswer(this.#now())) await this.#seal([from])
    })
  }

  /**
   * A frame came for which there is no key.
   *
   * @param {string} sid
   * @param {number} kid
   */
  missing(sid, kid) {
    const partner = this.#partners.get(sid)
    if (partner) this.#ask(sid, partner, kid)
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
      await this.#expire()
      await this.#pass()
      const now = this.#now()
      if (this.#ownBundle.isDue(now)) await this.#refreshBundle(now)
      for (const [sid, partner] of this.#partners) if (partner.isOverdue(now)) this.#ask(sid, partner, 0)
    })
  }

  /** Ends the session: nothing is sealed, opened or sent any more, and this member's key is overwritten. */
  drop() {
    this.#dropped = true
    for (const sid of this.#partners.keys()) this.#o.frames.forget(sid)
    if (this.#own.wasUsed) this.#o.frames.silence()
    this.#partners.clear()
    this.#trust.clear()
    this.#own.wipe()
  }

  /**
   * @param {() => Promise<void>} work
   * @returns {Promise<void>}
   */
  #do(work) {
    this.#queue = this.#queue
      .then(() => (this.#dropped ? undefined : work()))
      .catch((error) => {
        if (!this.#dropped) this.#o.onBroken(error)
      })
    return this.#queue
  }

  /**
   * Takes members into the roster and returns the session ids of those who are newly trusted.
   *
   * @param {WireMember[]} members
   */
  async #admit(members) {
    const others = members.filter(({ sid }) => sid !== this.#o.sid)
    const trusted = await this.#trust.admit(others)
    if (this.#dropped) return []
    for (const sid of trusted) this.#partners.set(sid, new Partner(this.#now()))
    const early = this.#early.filter(({ from }) => this.#partners.has(from))
    this.#early = this.#early.filter(({ from }) => !this.#partners.has(from))
    for (const { from, body } of early) await this.#open(from, body)
    return trusted
  }

  /** Parts with members whose bundle has run out: they get no key and none of theirs counts. */
  async #expire() {
    const over = this.#trust.expire()
    if (!over.length) return
    await this.#part(over, 'timeout')
    await this.#changed()
  }

  /**
   * Members that were trusted are so no more.
   *
   * @param {string[]} sids
   * @param {string} reason
   */
  async #part(sids, reason) {
    // All before the next step, which may renew the key: it would be sealed to one that is trusted no more.
    for (const sid of sids) {
      this.#partners.delete(sid)
      this.#o.frames.forget(sid)
      this.#own.lost(sid, reason, this.#now())
    }
    for (const [sid, partner] of this.#partners) {
      partner.hasToRenew(this.#now())
      this.#o.frames.outdate(sid)
    }
    await this.#pass()
  }

  /** @param {number} now */
  async #refreshBundle(now) {
    await this.#ownBundle.refresh(now)
    if (this.#dropped) return
    this.#o.publish(this.bundle).then(
      () => this.#ownBundle.published(this.#now()),
      () => undefined, // it stays due, and is tried again
    )
  }

  /** Does what is due: an old key is renewed, a new one that all acknowledged, or that waited long enough, is used. */
  async #pass() {
    if (this.#own.wantsRenewal(this.#now())) await this.#renew()
    const key = this.#dropped ? null : this.#own.takeForUse(this.#now())
    if (key) this.#o.frames.use(key.kid, key.baseKey)
  }

  async #renew() {
    this.#own.renew(this.#now())
    await this.#give([...this.#partners.keys()])
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
        const recipient = /** @type {PublicKeys} */ (this.#trust.keysOf(to))
        const relation = { room, from, to, psk: roomSecret?.psk ?? null }
        const content = { kid, baseKey, seq: this.#nextSeq(), ts: this.#now() }
        try {
          return [{ to, body: await sealEnvelope(relation, content, { identity, recipient }) }]
        } catch (error) {
          if (!(error instanceof UnusableKeyError)) throw error
          this.#own.skip(to) // the others get theirs none the less
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
    const partner = this.#partners.get(from)
    const sender = this.#trust.keysOf(from)
    if (!partner || !sender) {
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
    const lastSeq = this.#lastSeqs.get(from) ?? 0
    const opened = await openEnvelope(relation, body, { sender, keyPair: this.#ownBundle.keyPair, lastSeq })
    if (!opened || this.#dropped) {
      this.#droppedEnvelopes += 1
      return
    }
    this.#lastSeqs.set(from, opened.seq)
    this.#o.frames.learn(from, opened.kid, opened.baseKey)
    opened.baseKey.wipe()
    this.#o.send('key.ack', { to: { sid: from }, d: { kid: opened.kid } })
    const wasPresent = partner.isPresent
    partner.gave(generationOf(opened.kid), this.#now())
    if (!wasPresent) await this.#changed()
  }

  /**
   * @param {string} sid
   * @param {Partner} partner
   * @param {number} kid
   */
  #ask(sid, partner, kid) {
    if (this.#dropped || !partner.mayAsk(this.#now())) return
    this.#o.send('key.request', { to: { sid }, d: { kid } })
  }

  async #changed() {
    const code = await this.#trust.code()
    if (!this.#dropped) this.#o.onChange(code)
  }
}
