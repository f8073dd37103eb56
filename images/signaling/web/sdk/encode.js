/**
 * Byte encodings of docs/e2ee.md, section 1.
 *
 * @typedef {import('./types.js').Bytes} Bytes
 */

const utf8 = new TextEncoder()

/**
 * @param {string} text
 * @returns {Bytes}
 */
export function bytesOf(text) {
  return utf8.encode(text)
}

/**
 * @param {...Uint8Array} parts
 * @returns {Bytes}
 */
export function concat(...parts) {
  const whole = new Uint8Array(parts.reduce((length, part) => length + part.length, 0))
  let at = 0
  for (const part of parts) {
    whole.set(part, at)
    at += part.length
  }
  return whole
}

/**
 * Unsigned 64-bit big-endian.
 *
 * @param {number | bigint} value
 * @returns {Bytes}
 */
export function u64(value) {
  const bytes = new Uint8Array(8)
  new DataView(bytes.buffer).setBigUint64(0, BigInt(value))
  return bytes
}

/**
 * Length-prefixed: 16 bits of length, then the bytes.
 *
 * @param {Uint8Array} bytes
 * @returns {Bytes}
 * @throws {RangeError} above 65535 bytes
 */
export function lp(bytes) {
  if (bytes.length > 0xffff) throw new RangeError('a field is limited to 65535 bytes')
  return concat(Uint8Array.of(bytes.length >> 8, bytes.length & 0xff), bytes)
}

/**
 * `E(label, …)`: strings as UTF-8, integers as `u64`, bytes as they are, each length-prefixed.
 *
 * @param {string} label
 * @param {...(string | number | bigint | Uint8Array)} fields
 * @returns {Bytes}
 */
export function encode(label, ...fields) {
  return concat(lp(bytesOf(`callcluster/kx1/${label}`)), ...fields.map((field) => lp(fieldBytes(field))))
}

/** @param {string | number | bigint | Uint8Array} field */
function fieldBytes(field) {
  if (typeof field === 'string') return bytesOf(field)
  if (typeof field === 'number' || typeof field === 'bigint') return u64(field)
  return field
}

/**
 * base64url without padding.
 *
 * @param {Uint8Array} bytes
 * @returns {string}
 */
export function toB64(bytes) {
  let binary = ''
  for (const byte of bytes) binary += String.fromCharCode(byte)
  return btoa(binary).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '')
}

/**
 * Strict inverse of `toB64`: one text for each byte string.
 *
 * @param {string} text
 * @returns {Bytes}
 * @throws {SyntaxError} for anything that `toB64` does not produce
 */
export function fromB64(text) {
  if (!/^[A-Za-z0-9_-]*$/.test(text) || text.length % 4 === 1) throw new SyntaxError('not base64url')
  const binary = atob(text.replaceAll('-', '+').replaceAll('_', '/'))
  const bytes = Uint8Array.from(binary, (character) => character.charCodeAt(0))
  if (toB64(bytes) !== text) throw new SyntaxError('not canonical base64url')
  return bytes
}

/**
 * @param {Uint8Array} a
 * @param {Uint8Array} b
 * @returns {boolean}
 */
export function equal(a, b) {
  return a.length === b.length && a.every((byte, index) => byte === b[index])
}
