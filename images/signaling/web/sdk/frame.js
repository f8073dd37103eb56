/**
 * A frame as both ends of the encryption see it (docs/e2ee.md, section 5).
 *
 * @typedef {import('./types.js').Bytes} Bytes
 * @typedef {import('./types.js').Source} Source
 *
 * @typedef {object} Frame
 * @property {string} sid  The sender's.
 * @property {Source} source
 * @property {Uint8Array} data  As it stands on the wire.
 * @property {number} clear  How many bytes lead unencrypted.
 */

import { concat, encode } from './encode.js'

/**
 * @param {Frame} frame
 * @returns {{head: Uint8Array, rest: Uint8Array} | null} `null` for a frame that ends within its clear bytes: nothing
 *   of it would be encrypted.
 */
export function split({ data, clear }) {
  return data.length > clear ? { head: data.subarray(0, clear), rest: data.subarray(clear) } : null
}

/**
 * What a sealed frame is bound to.
 *
 * @param {Frame} frame
 * @param {Uint8Array} head
 * @returns {Bytes}
 */
export function metadata({ sid, source }, head) {
  return concat(encode('frame', sid, source), head)
}
