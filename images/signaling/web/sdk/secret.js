/**
 * Key material that can't end up in a log by accident: printing, string-building and JSON show a mark instead.
 *
 * @typedef {import('./types.js').Bytes} Bytes
 */

const MARK = '[secret]'

export class Secret {
  /** @type {Bytes} */
  #bytes
  #wiped = false

  /** @param {Uint8Array} bytes */
  constructor(bytes) {
    this.#bytes = new Uint8Array(bytes)
  }

  /** @param {number} length */
  static random(length) {
    return new Secret(crypto.getRandomValues(new Uint8Array(length)))
  }

  /**
   * @returns {Bytes}
   * @throws {Error} after `wipe()`: zeros must never serve as a key
   */
  reveal() {
    if (this.#wiped) throw new Error('this key was wiped')
    return this.#bytes
  }

  /** Overwrites the bytes. Copies that the browser's cryptography or a worker took are theirs to drop. */
  wipe() {
    this.#wiped = true
    this.#bytes.fill(0)
  }

  toString() {
    return MARK
  }

  toJSON() {
    return MARK
  }

  /** What Node's console shows. */
  [Symbol.for('nodejs.util.inspect.custom')]() {
    return MARK
  }
}
