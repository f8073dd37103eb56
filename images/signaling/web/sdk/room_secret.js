/**
 * What members derive from the room secret of the join link (docs/e2ee.md, sections 2 and 3).
 *
 * @typedef {import('./types.js').Bytes} Bytes
 */

import { bytesOf, concat, encode, fromB64, toB64 } from './encode.js'
import { expand, extract } from './hkdf.js'
import { Secret } from './secret.js'

const NONCE_BYTES = 12
const MAX_NAME_CHARACTERS = 80
/** Breaks, and marks that hide or turn round what stands next to them: one name could look like another. Joiners and variation selectors belong to scripts and emoji. */
const DECEPTIVE = /(?:[\p{Cc}\p{Zl}\p{Zp}\u2800]|(?![\u200c\u200d\ufe00-\ufe0f])\p{Default_Ignorable_Code_Point})+/gu

export class RoomSecret {
  #room
  #meta
  #message
  #mac

  /**
   * @param {string} room
   * @param {{psk: Secret, mac: CryptoKey, meta: CryptoKey, message: CryptoKey}} keys
   */
  constructor(room, { psk, mac, meta, message }) {
    this.#room = room
    this.psk = psk
    this.#mac = mac
    this.#meta = meta
    this.#message = message
  }

  /**
   * @param {string} room
   * @param {Uint8Array} secret
   */
  static async derive(room, secret) {
    const prk = await extract('SHA-256', new Uint8Array(0), secret)
    /** @param {string} label */
    const derive = (label) => expand('SHA-256', prk, encode(label, room), 32)
    /**
     * @param {string} label
     * @param {AlgorithmIdentifier | HmacImportParams} algorithm
     * @param {KeyUsage[]} usages
     */
    const key = async (label, algorithm, usages) =>
      crypto.subtle.importKey('raw', await derive(label), algorithm, false, usages)
    return new RoomSecret(room, {
      psk: new Secret(await derive('psk')),
      mac: await key('roster', { name: 'HMAC', hash: 'SHA-256' }, ['sign', 'verify']),
      meta: await key('meta', 'AES-GCM', ['encrypt', 'decrypt']),
      message: await key('msg', 'AES-GCM', ['encrypt', 'decrypt']),
    })
  }

  /** Overwrites what can be overwritten: the call is over. */
  wipe() {
    this.psk.wipe()
  }

  /**
   * @param {Bytes} bytes
   * @returns {Promise<Bytes>}
   */
  async authenticate(bytes) {
    return new Uint8Array(await crypto.subtle.sign('HMAC', this.#mac, bytes))
  }

  /**
   * @param {Bytes} bytes
   * @param {Bytes} mac
   */
  async isAuthentic(bytes, mac) {
    return crypto.subtle.verify('HMAC', this.#mac, mac, bytes)
  }

  /**
   * @param {string} sid  This member's.
   * @param {string} name
   */
  async sealName(sid, name) {
    return sealJson(this.#meta, encode('meta', this.#room, sid), { name: plain(name) })
  }

  /**
   * @param {string} sid
   * @param {string} meta
   * @returns {Promise<string>} Empty where nothing opens.
   */
  async openName(sid, meta) {
    const opened = await openJson(this.#meta, encode('meta', this.#room, sid), meta)
    const name = opened?.data?.name
    return typeof name === 'string' ? plain(name) : ''
  }

  /**
   * @param {string} sid  This member's.
   * @param {unknown} data
   */
  async sealMessage(sid, data) {
    return sealJson(this.#message, encode('msg', this.#room, sid), data)
  }

  /**
   * @param {string} sid  The sender's.
   * @param {string} body
   * @returns {Promise<{data: any} | null>} `null` where nothing opens.
   */
  async openMessage(sid, body) {
    return openJson(this.#message, encode('msg', this.#room, sid), body)
  }
}

/** @param {string} name */
function plain(name) {
  const visible = name.replace(DECEPTIVE, ' ').trim()
  return [...visible].slice(0, MAX_NAME_CHARACTERS).join('')
}

/**
 * @param {CryptoKey} key
 * @param {Bytes} additionalData
 * @param {unknown} data
 */
async function sealJson(key, additionalData, data) {
  const iv = crypto.getRandomValues(new Uint8Array(NONCE_BYTES))
  const sealed = await crypto.subtle.encrypt({ name: 'AES-GCM', iv, additionalData }, key, bytesOf(JSON.stringify(data)))
  return toB64(concat(iv, new Uint8Array(sealed)))
}

/**
 * @param {CryptoKey} key
 * @param {Bytes} additionalData
 * @param {string} text
 * @returns {Promise<{data: any} | null>}
 */
async function openJson(key, additionalData, text) {
  try {
    const bytes = fromB64(text)
    const iv = bytes.slice(0, NONCE_BYTES)
    const opened = await crypto.subtle.decrypt({ name: 'AES-GCM', iv, additionalData }, key, bytes.slice(NONCE_BYTES))
    return { data: JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(opened)) }
  } catch {
    return null // forged, sealed under another secret, or no JSON: the same to a reader
  }
}
