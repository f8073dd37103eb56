import { generationOf } from './kid.js'
import { SenderKey } from './sender_key.js'

const USE_AFTER_MS = 1_000
const LEAVE_DEBOUNCE_MS = 1_000
const MAX_AGE_MS = 15 * 60_000
const FRAMES_BEFORE_RENEWAL = 2 ** 24 - 2 ** 16

/**
 * When this member's own key changes, and when a changed one is used (docs/e2ee.md, section 4). Keeps time and
 * acknowledgements; who is trusted and what is sent is the business of the key exchange. Times are milliseconds.
 */
export class OwnKey {
  #generations
  /** @type {SenderKey} */
  #newest
  #bornAt
  #inUse = -1
  /** @type {Set<string>} members that have not acknowledged the newest key */
  #waiting = new Set()
  #useBy = Infinity
  #renewAt = Infinity

  /**
   * @param {Set<number>} generations  Used in this call; new ones are added.
   * @param {number} now
   */
  constructor(generations, now) {
    this.#generations = generations
    this.#newest = SenderKey.fresh(generations)
    this.#bornAt = now
  }

  /** Whether any key of this member was put to use. */
  get wasUsed() {
    return this.#inUse !== -1
  }

  /** The key that members should hold. */
  get newest() {
    return this.#newest
  }

  /**
   * The newest key is about to be given to members.
   *
   * @param {string[]} sids
   * @param {number} now
   */
  share(sids, now) {
    for (const sid of sids) this.#waiting.add(sid)
    this.#useBy = Math.min(this.#useBy, now + USE_AFTER_MS)
  }

  /**
   * Ratchets, so that a newcomer opens nothing from before.
   *
   * @returns {Promise<boolean>} False where a new generation is due instead.
   */
  async step() {
    if (this.#newest.isLastStep || this.#renewAt !== Infinity) return false
    const last = this.#newest
    this.#newest = await last.next()
    last.baseKey.wipe()
    return true
  }

  /** @param {number} now */
  renew(now) {
    this.#newest.baseKey.wipe()
    this.#newest = SenderKey.fresh(this.#generations)
    this.#bornAt = now
    this.#renewAt = Infinity
    this.#useBy = Infinity
    this.#waiting.clear()
  }

  /**
   * A member that held the key is gone.
   *
   * @param {string} sid
   * @param {string} reason  `kicked` wants a new key at once, others after a while in which more may leave.
   * @param {number} now
   */
  lost(sid, reason, now) {
    this.#waiting.delete(sid)
    this.#renewAt = Math.min(this.#renewAt, now + (reason === 'kicked' ? 0 : LEAVE_DEBOUNCE_MS))
  }

  /**
   * @param {string} sid
   * @param {number} kid
   */
  acknowledged(sid, kid) {
    // An earlier step of the same generation will do: its holder ratchets forward by itself.
    if (generationOf(kid) === this.#newest.generation && kid <= this.#newest.kid) this.#waiting.delete(sid)
  }

  /** @param {string} sid  A member that can't be given a key. */
  skip(sid) {
    this.#waiting.delete(sid)
  }

  /**
   * @param {number} kid
   * @param {number} frames  Sealed with its generation.
   */
  sealed(kid, frames) {
    if (generationOf(kid) === this.#newest.generation && frames >= FRAMES_BEFORE_RENEWAL) this.#renewAt = -Infinity
  }

  /** @param {number} now */
  wantsRenewal(now) {
    return now >= this.#renewAt || now - this.#bornAt >= MAX_AGE_MS
  }

  /**
   * The newest key when its time to be used has come: once, and after it was shared.
   *
   * @param {number} now
   * @returns {SenderKey | null}
   */
  takeForUse(now) {
    if (this.#newest.kid === this.#inUse || this.#useBy === Infinity) return null
    if (this.#waiting.size && now < this.#useBy) return null
    this.#inUse = this.#newest.kid
    this.#useBy = Infinity
    this.#waiting.clear()
    return this.#newest
  }

  /** Overwrites the key: the session is over. */
  wipe() {
    this.#newest.baseKey.wipe()
  }
}
