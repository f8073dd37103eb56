/**
 * SFrame (RFC 9605) with its AES-GCM cipher suites.
 *
 * @typedef {import('./types.js').Bytes} Bytes
 *
 * @typedef {object} Suite
 * @property {number} id
 * @property {import('./hkdf.js').Hash} hash
 * @property {number} hashBytes  `Nh`
 * @property {number} keyBytes  `Nk`
 *
 * @typedef {object} FrameKey  A key ready for use; what it was derived from is not in it.
 * @property {bigint} kid
 * @property {CryptoKey} key
 * @property {Bytes} salt
 */

import { bytesOf, concat, u64 } from './encode.js'
import { expand, extract } from './hkdf.js'

/** @type {Suite} */
export const AES_256_GCM_SHA512_128 = { id: 0x0005, hash: 'SHA-512', hashBytes: 64, keyBytes: 32 }

const NONCE_BYTES = 12
const TAG_BYTES = 16
const NONE = new Uint8Array(0)

/**
 * The header of RFC 9605, section 4.3: small values inside the first byte, others behind it in as few bytes as hold them.
 *
 * @param {bigint} kid
 * @param {bigint} ctr
 * @returns {Bytes}
 */
export function encodeHeader(kid, ctr) {
  const [kidBits, kidBytes] = headerField(kid)
  const [ctrBits, ctrBytes] = headerField(ctr)
  return concat(Uint8Array.of((kidBits << 4) | ctrBits), kidBytes, ctrBytes)
}

/**
 * @param {Uint8Array} data
 * @returns {{kid: bigint, ctr: bigint, length: number}}
 * @throws {RangeError} where `data` is shorter than the header that it announces
 */
export function decodeHeader(data) {
  if (data.length < 1) throw new RangeError('no SFrame header')
  let at = 1
  /** @param {number} bits */
  const field = (bits) => {
    if (bits < 8) return BigInt(bits)
    const end = at + bits - 7
    if (end > data.length) throw new RangeError('truncated SFrame header')
    let value = 0n
    while (at < end) value = (value << 8n) | BigInt(data[at++])
    return value
  }
  const kid = field(data[0] >> 4)
  const ctr = field(data[0] & 0x0f)
  return { kid, ctr, length: at }
}

/**
 * @param {Suite} suite
 * @param {bigint} kid
 * @param {Uint8Array} baseKey
 * @returns {Promise<{key: Bytes, salt: Bytes}>}
 */
export async function deriveKeyAndSalt(suite, kid, baseKey) {
  const secret = await extract(suite.hash, NONE, baseKey)
  const context = concat(u64(kid), Uint8Array.of(suite.id >> 8, suite.id & 0xff))
  return {
    key: await expand(suite.hash, secret, concat(bytesOf('SFrame 1.0 Secret key '), context), suite.keyBytes),
    salt: await expand(suite.hash, secret, concat(bytesOf('SFrame 1.0 Secret salt '), context), NONCE_BYTES),
  }
}

/**
 * @param {Suite} suite
 * @param {bigint} kid
 * @param {Uint8Array} baseKey
 * @param {'encrypt' | 'decrypt'} usage
 * @returns {Promise<FrameKey>}
 */
export async function frameKey(suite, kid, baseKey, usage) {
  const { key, salt } = await deriveKeyAndSalt(suite, kid, baseKey)
  return { kid, key: await crypto.subtle.importKey('raw', key, 'AES-GCM', false, [usage]), salt }
}

/**
 * The next step of a sender's key (RFC 9605, section 5.1).
 *
 * @param {Suite} suite
 * @param {Uint8Array} baseKey
 * @returns {Promise<Bytes>}
 */
export async function ratchet(suite, baseKey) {
  const secret = await extract(suite.hash, NONE, baseKey)
  return expand(suite.hash, secret, bytesOf('SFrame 1.0 Ratchet'), suite.hashBytes)
}

/**
 * The caller must never give the same counter twice with one key.
 *
 * @param {FrameKey} key
 * @param {bigint} ctr
 * @param {Uint8Array} metadata
 * @param {Uint8Array} plaintext
 * @returns {Promise<Bytes>}
 */
export async function sealFrame({ kid, key, salt }, ctr, metadata, plaintext) {
  const header = encodeHeader(kid, ctr)
  const sealed = await crypto.subtle.encrypt(parameters(salt, ctr, concat(header, metadata)), key, concat(plaintext))
  return concat(header, new Uint8Array(sealed))
}

/**
 * @param {FrameKey} key
 * @param {{ctr: bigint, length: number}} header  As `decodeHeader` read it from `frame`.
 * @param {Uint8Array} metadata
 * @param {Uint8Array} frame
 * @returns {Promise<Bytes>}
 * @throws {DOMException} `OperationError` where the frame is not authentic
 */
export async function openFrame({ key, salt }, { ctr, length }, metadata, frame) {
  const aad = concat(frame.subarray(0, length), metadata)
  return new Uint8Array(await crypto.subtle.decrypt(parameters(salt, ctr, aad), key, concat(frame.subarray(length))))
}

/**
 * @param {Bytes} salt
 * @param {bigint} ctr
 * @param {Bytes} additionalData
 * @returns {AesGcmParams}
 */
function parameters(salt, ctr, additionalData) {
  const iv = salt.slice()
  u64(ctr).forEach((byte, index) => (iv[NONCE_BYTES - 8 + index] ^= byte))
  return { name: 'AES-GCM', iv, additionalData, tagLength: TAG_BYTES * 8 }
}

/**
 * @param {bigint} value
 * @returns {[number, Uint8Array]}
 */
function headerField(value) {
  if (value < 8n) return [Number(value), NONE]
  const bytes = u64(value)
  const first = bytes.findIndex((byte) => byte !== 0)
  return [8 | (7 - first), bytes.subarray(first)]
}
