const REQUEST_INTERVAL_MS = 1_000
/** Below the interval of requests, so that a punctual asker is always answered. */
const ANSWER_INTERVAL_MS = 500
const FIRST_KEY_MS = 2_000
/** A new key comes within two seconds after a leave; a while more, as not all hear of the leave at once. */
const RENEWAL_MS = 4_000
const VOUCHED_MS = 8_000

/** How the exchange of keys with one trusted member stands (docs/e2ee.md, section 4). Times are milliseconds. */
export class Partner {
  #askFrom
  #askedAt = -Infinity
  #answeredAt = -Infinity
  #generation = -1
  /** Whether its generation was known to someone who is not in the call any more. */
  #outdated = false

  /** @param {number} now  When it became trusted. */
  constructor(now) {
    this.#askFrom = now + FIRST_KEY_MS
  }

  /** Whether it gave a key. That was sealed to this session's own key: only who is there now can have done so. */
  get isPresent() {
    return this.#generation !== -1
  }

  /**
   * One of its keys arrived.
   *
   * @param {number} generation
   * @param {number} now
   */
  gave(generation, now) {
    if (generation !== this.#generation) this.#outdated = false
    this.#generation = generation
    this.#askFrom = this.#outdated ? now + VOUCHED_MS : Infinity
  }

  /**
   * Someone left who held its key: without a new one the present one does not live long.
   *
   * @param {number} now
   */
  hasToRenew(now) {
    if (!this.isPresent) return
    this.#outdated = true
    this.#askFrom = now + RENEWAL_MS
  }

  /**
   * Whether a key of it should have come by now.
   *
   * @param {number} now
   */
  isOverdue(now) {
    return now >= this.#askFrom
  }

  /**
   * Whether it may be asked for a key now; true once a second.
   *
   * @param {number} now
   */
  mayAsk(now) {
    if (now - this.#askedAt < REQUEST_INTERVAL_MS) return false
    this.#askedAt = now
    return true
  }

  /**
   * Whether a request of it is to be answered now.
   *
   * @param {number} now
   */
  mayAnswer(now) {
    if (now - this.#answeredAt < ANSWER_INTERVAL_MS) return false
    this.#answeredAt = now
    return true
  }
}
