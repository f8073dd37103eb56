/**
 * HKDF (RFC 5869) by its two halves, which HPKE and SFrame use apart; WebCrypto offers only both at once.
 *
 * @typedef {import('./types.js').Bytes} Bytes
 * @typedef {'SHA-256' | 'SHA-512'} Hash
 */

import { concat } from './encode.js'

const HASH_BYTES = { 'SHA-256': 32, 'SHA-512': 64 }

/**
 * @param {Hash} hash
 * @param {Uint8Array} salt
 * @param {Uint8Array} material
 * @returns {Promise<Bytes>}
 */
export function extract(hash, salt, material) {
  return hmac(hash, salt, material)
}

/**
 * @param {Hash} hash
 * @param {Uint8Array} pseudoRandomKey
 * @param {Uint8Array} info
 * @param {number} length
 * @returns {Promise<Bytes>}
 */
export async function expand(hash, pseudoRandomKey, info, length) {
  let block = new Uint8Array(0)
  let output = new Uint8Array(0)
  for (let counter = 1; output.length < length; counter += 1) {
    block = await hmac(hash, pseudoRandomKey, concat(block, info, Uint8Array.of(counter)))
    output = concat(output, block)
  }
  return output.slice(0, length)
}

/**
 * @param {Hash} hash
 * @param {Uint8Array} key
 * @param {Uint8Array} data
 */
async function hmac(hash, key, data) {
  // WebCrypto refuses an empty key; HMAC pads keys with zeros, so a block of zeros is the same key.
  const material = key.length ? concat(key) : new Uint8Array(HASH_BYTES[hash])
  const imported = await crypto.subtle.importKey('raw', material, { name: 'HMAC', hash }, false, ['sign'])
  return new Uint8Array(await crypto.subtle.sign('HMAC', imported, concat(data)))
}
