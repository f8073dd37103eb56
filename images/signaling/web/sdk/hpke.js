/**
 * HPKE (RFC 9180), single shot, modes base and psk, with DHKEM(X25519, HKDF-SHA256) and HKDF-SHA256.
 *
 * @typedef {import('./types.js').Bytes} Bytes
 */

import { bytesOf, concat } from './encode.js'
import { expand, extract } from './hkdf.js'

const KEM = 0x0020
const KDF = 0x0001
const HASH = 'SHA-256'
const NONCE_BYTES = 12
export const ENC_BYTES = 32
export const TAG_BYTES = 16

/** @type {Record<string, {id: number, keyBytes: number}>} */
const AEADS = {
  'AES-128-GCM': { id: 0x0001, keyBytes: 16 },
  'AES-256-GCM': { id: 0x0002, keyBytes: 32 },
}

export const MODE_BASE = 0x00
export const MODE_PSK = 0x01

const NONE = new Uint8Array(0)

/** A public key with which no secret can be shared, for instance a point of small order. */
export class UnusableKeyError extends Error {}

/**
 * @typedef {object} Context
 * @property {Uint8Array} info
 * @property {Uint8Array} aad
 * @property {Uint8Array} [psk]  At least 32 bytes; with it the mode is psk, without it base.
 * @property {Uint8Array} [pskId]
 * @property {string} [aead]  A key of `AEADS`.
 */

/** @returns {Promise<CryptoKeyPair>} An X25519 pair whose private half can't leave the browser. */
export async function generateKeyPair() {
  return /** @type {Promise<CryptoKeyPair>} */ (crypto.subtle.generateKey({ name: 'X25519' }, false, ['deriveBits']))
}

/**
 * @param {Uint8Array} recipient  Its X25519 public key.
 * @param {Uint8Array} plaintext
 * @param {Context & {ephemeral?: CryptoKeyPair}} context  `ephemeral` is for published vectors alone.
 * @returns {Promise<{enc: Bytes, ciphertext: Bytes}>}
 * @throws {UnusableKeyError} where the recipient's key is at fault
 */
export async function seal(recipient, plaintext, context) {
  const ephemeral = context.ephemeral ?? (await generateKeyPair())
  const enc = new Uint8Array(await crypto.subtle.exportKey('raw', ephemeral.publicKey))
  const shared = await sharedSecret(ephemeral.privateKey, recipient, concat(enc, recipient))
  const { key, nonce } = await schedule(shared, context, ['encrypt'])
  const ciphertext = await crypto.subtle.encrypt(
    { name: 'AES-GCM', iv: nonce, additionalData: concat(context.aad) },
    key,
    concat(plaintext),
  )
  return { enc, ciphertext: new Uint8Array(ciphertext) }
}

/**
 * @param {CryptoKeyPair} recipient
 * @param {Uint8Array} enc
 * @param {Uint8Array} ciphertext
 * @param {Context} context
 * @returns {Promise<Bytes>}
 * @throws {UnusableKeyError | DOMException} `OperationError` where anything else does not fit
 */
export async function open(recipient, enc, ciphertext, context) {
  const publicKey = new Uint8Array(await crypto.subtle.exportKey('raw', recipient.publicKey))
  const shared = await sharedSecret(recipient.privateKey, enc, concat(enc, publicKey))
  const { key, nonce } = await schedule(shared, context, ['decrypt'])
  const plaintext = await crypto.subtle.decrypt(
    { name: 'AES-GCM', iv: nonce, additionalData: concat(context.aad) },
    key,
    concat(ciphertext),
  )
  return new Uint8Array(plaintext)
}

/**
 * @param {CryptoKey} privateKey
 * @param {Uint8Array} publicKey
 * @param {Bytes} kemContext
 */
async function sharedSecret(privateKey, publicKey, kemContext) {
  const dh = await diffieHellman(privateKey, publicKey)
  const suite = concat(bytesOf('KEM'), u16(KEM))
  const prk = await labeledExtract(suite, NONE, 'eae_prk', dh)
  return labeledExpand(suite, prk, 'shared_secret', kemContext, 32)
}

/**
 * @param {CryptoKey} privateKey
 * @param {Uint8Array} publicKey
 */
async function diffieHellman(privateKey, publicKey) {
  try {
    const peer = await crypto.subtle.importKey('raw', concat(publicKey), { name: 'X25519' }, true, [])
    // WebCrypto refuses the all-zero result of a low-order point, as RFC 9180 section 7.1.4 demands.
    return new Uint8Array(await crypto.subtle.deriveBits({ name: 'X25519', public: peer }, privateKey, 256))
  } catch (error) {
    const isOfKey = error instanceof DOMException && ['DataError', 'OperationError'].includes(error.name)
    throw isOfKey ? new UnusableKeyError('nothing can be sealed with this public key', { cause: error }) : error
  }
}

/**
 * The key schedule of RFC 9180, section 5.1, as far as one message needs it.
 *
 * @param {Bytes} shared
 * @param {Context} context
 * @param {KeyUsage[]} usages
 */
async function schedule(shared, { info, psk = NONE, pskId = NONE, aead = 'AES-256-GCM' }, usages) {
  if (psk.length === 0 !== (pskId.length === 0)) throw new TypeError('a PSK and its id go together')
  if (psk.length > 0 && psk.length < 32) throw new TypeError('a PSK has at least 32 bytes')
  const mode = psk.length ? MODE_PSK : MODE_BASE
  const { id, keyBytes } = AEADS[aead]
  const suite = concat(bytesOf('HPKE'), u16(KEM), u16(KDF), u16(id))
  const keyContext = concat(
    Uint8Array.of(mode),
    await labeledExtract(suite, NONE, 'psk_id_hash', pskId),
    await labeledExtract(suite, NONE, 'info_hash', info),
  )
  const secret = await labeledExtract(suite, shared, 'secret', psk)
  const key = await labeledExpand(suite, secret, 'key', keyContext, keyBytes)
  return {
    key: await crypto.subtle.importKey('raw', key, 'AES-GCM', false, usages),
    nonce: await labeledExpand(suite, secret, 'base_nonce', keyContext, NONCE_BYTES),
  }
}

/**
 * @param {Uint8Array} suite
 * @param {Uint8Array} salt
 * @param {string} label
 * @param {Uint8Array} material
 */
function labeledExtract(suite, salt, label, material) {
  return extract(HASH, salt, concat(bytesOf('HPKE-v1'), suite, bytesOf(label), material))
}

/**
 * @param {Uint8Array} suite
 * @param {Uint8Array} prk
 * @param {string} label
 * @param {Uint8Array} info
 * @param {number} length
 */
function labeledExpand(suite, prk, label, info, length) {
  return expand(HASH, prk, concat(u16(length), bytesOf('HPKE-v1'), suite, bytesOf(label), info), length)
}

/** @param {number} value */
function u16(value) {
  return Uint8Array.of(value >> 8, value & 0xff)
}
