import { verifyBundle } from './bundle.js'
import { equal, fromB64 } from './encode.js'
import { securityCode } from './security_code.js'

/**
 * @typedef {import('./bundle.js').PublicKeys} PublicKeys
 * @typedef {import('./types.js').Bundle} Bundle
 * @typedef {import('./types.js').WireMember} WireMember
 *
 * @typedef {object} TrustOptions
 * @property {string} room
 * @property {string} ik  This member's identity key, base64url.
 * @property {import('./room_secret.js').RoomSecret | null} roomSecret
 * @property {Set<string>} confirmed  Identity keys that a person compared; added to.
 * @property {() => number} now  Unix milliseconds.
 */

/**
 * Which of the other members are trusted, and the code that people compare (docs/e2ee.md, sections 3 and 7).
 *
 * The server says who is there; whether that means anything is decided here, from bundles alone.
 */
export class Trust {
  #o
  /** @type {Map<string, PublicKeys>} */
  #trusted = new Map()
  /** @type {Map<string, PublicKeys>} the first keys of each sid that verified, also after it left */
  #pins = new Map()
  /** @type {Map<string, string>} identity keys as the roster shows them, trusted or not */
  #shown = new Map()
  /** @type {{code: string | null, identities: Set<string>}} what was handed out last */
  #coded = { code: null, identities: new Set() }

  /** @param {TrustOptions} options */
  constructor(options) {
    this.#o = options
  }

  /** @returns {string[]} */
  get trusted() {
    return [...this.#trusted.keys()]
  }

  /** @param {string} sid */
  keysOf(sid) {
    return this.#trusted.get(sid)
  }

  /**
   * Whether a trusted member's identity is proven as well: by the room secret, or by a comparison.
   *
   * @param {string} sid
   */
  verified(sid) {
    const keys = this.#trusted.get(sid)
    return keys !== undefined && (this.#o.roomSecret !== null || this.#o.confirmed.has(keys.ik))
  }

  /**
   * Looks at the bundles of members, of newcomers as well as of those who extend theirs.
   *
   * @param {WireMember[]} members
   * @returns {Promise<string[]>} Who is trusted now, and was not before.
   */
  async admit(members) {
    const { room, roomSecret, now } = this.#o
    const checked = await Promise.all(
      members.map(async ({ sid, bundle }) => ({
        sid,
        bundle,
        keys: await verifyBundle(bundle, { room, sid, roomSecret, now: now() }),
      })),
    )
    const fresh = []
    for (const { sid, bundle, keys } of checked) {
      if (bundle && isKey(bundle.ik)) this.#shown.set(sid, bundle.ik)
      const pin = this.#pins.get(sid)
      if (!keys || (pin && !isSame(pin, keys))) continue
      this.#pins.set(sid, pin ?? keys)
      const before = this.#trusted.get(sid)
      if (!before || keys.exp > before.exp) this.#trusted.set(sid, keys)
      if (!before) fresh.push(sid)
    }
    return fresh
  }

  /**
   * Ends the trust in members whose bundle has run out.
   *
   * @returns {string[]} Whom that concerns.
   */
  expire() {
    const seconds = this.#o.now() / 1000
    const over = [...this.#trusted].filter(([, { exp }]) => seconds >= exp).map(([sid]) => sid)
    for (const sid of over) this.#trusted.delete(sid)
    return over
  }

  /**
   * @param {string} sid  It left.
   * @returns {boolean} Whether it was trusted.
   */
  remove(sid) {
    this.#shown.delete(sid)
    return this.#trusted.delete(sid)
  }

  /** @returns {Promise<string | null>} The code of all identities shown, `null` where there is nobody else. */
  async code() {
    const others = [...this.#shown.values()]
    const code = others.length ? await securityCode(this.#o.room, [this.#o.ik, ...others]) : null
    this.#coded = { code, identities: new Set(others) }
    return code
  }

  /**
   * A person compared a code: the identities in it count as verified from now on.
   *
   * @param {string} code
   * @returns {boolean} False for one that is not the present code: it covers other members.
   */
  confirm(code) {
    if (code !== this.#coded.code) return false
    for (const { ik } of this.#trusted.values()) if (this.#coded.identities.has(ik)) this.#o.confirmed.add(ik)
    return true
  }

  /** Nobody is trusted any more. */
  clear() {
    this.#trusted.clear()
  }
}

/**
 * @param {PublicKeys} pin
 * @param {PublicKeys} keys
 */
function isSame(pin, keys) {
  return pin.ik === keys.ik && equal(pin.ek, keys.ek)
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
