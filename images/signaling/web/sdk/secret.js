/**
 * Key material that can't end up in a log by accident: printing, string-building and JSON show a mark instead.
 *
 * @typedef {import('./types.js').Bytes} Bytes
 */

const MARK = '[secret]'

export class Secret {
  /** @type {Bytes} */
  #bytes

  /** @param {Uint8Array} bytes */
  constructor(bytes) {
    this.#bytes = new Uint8Array(bytes)
  }

  /** @param {number} length */
  static random(length) {
    return new Secret(crypto.getRandomValues(new Uint8Array(length)))
  }

  /** @returns {Bytes} */
  reveal() {
    return this.#bytes
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
