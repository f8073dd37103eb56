import { makeBundle } from './bundle.js'
import { generateKeyPair } from './hpke.js'

/**
 * @typedef {import('./types.js').Bundle} Bundle
 * @typedef {import('./types.js').Bytes} Bytes
 *
 * @typedef {object} BundleSubject  What a bundle is made for.
 * @property {string} room
 * @property {string} sid
 * @property {import('./identity.js').Identity} identity
 * @property {import('./room_secret.js').RoomSecret | null} roomSecret
 */

const HOUR_MS = 3_600_000
/** Well before half of a bundle's life is over; not at once for all who joined together. */
const REFRESH_AFTER_MS = 10 * HOUR_MS
const REFRESH_SPREAD_MS = 2 * HOUR_MS
const RETRY_MS = HOUR_MS / 6

/**
 * This member's bundle and the key pair behind it. The keys stay for the session; the bundle's time is extended while
 * the session lasts (docs/e2ee.md, section 3). Times are Unix milliseconds.
 */
export class OwnBundle {
  #subject
  #ek
  #refreshAt

  /**
   * @param {BundleSubject} subject
   * @param {{keyPair: CryptoKeyPair, ek: Bytes, bundle: Bundle}} made
   * @param {number} now
   */
  constructor(subject, { keyPair, ek, bundle }, now) {
    this.#subject = subject
    this.#ek = ek
    this.keyPair = keyPair
    this.bundle = bundle
    this.#refreshAt = nextRefresh(now)
  }

  /**
   * @param {BundleSubject} subject
   * @param {number} now
   */
  static async make(subject, now) {
    const keyPair = await generateKeyPair()
    const ek = new Uint8Array(await crypto.subtle.exportKey('raw', keyPair.publicKey))
    return new OwnBundle(subject, { keyPair, ek, bundle: await makeBundle({ ...subject, ek, now }) }, now)
  }

  /** @param {number} now */
  isDue(now) {
    return now >= this.#refreshAt
  }

  /**
   * Signs the same keys for another day. Due again soon, unless `published` says that the others can see it.
   *
   * @param {number} now
   */
  async refresh(now) {
    this.#refreshAt = now + RETRY_MS
    this.bundle = await makeBundle({ ...this.#subject, ek: this.#ek, now })
  }

  /** @param {number} now */
  published(now) {
    this.#refreshAt = nextRefresh(now)
  }
}

/** @param {number} now */
function nextRefresh(now) {
  return now + REFRESH_AFTER_MS + Math.random() * REFRESH_SPREAD_MS
}
