/**
 * Envelopes: a media key sealed to one member and signed (docs/e2ee.md, section 4).
 *
 * @typedef {import('./types.js').Bytes} Bytes
 * @typedef {import('./bundle.js').PublicKeys} PublicKeys
 * @typedef {import('./identity.js').Identity} Identity
 */

import { concat, encode, fromB64, toB64, u64 } from './encode.js'
import * as hpke from './hpke.js'
import { Secret } from './secret.js'

const VERSION = 0x01
const HEAD_BYTES = 26
export const BASE_KEY_BYTES = 64
const CIPHERTEXT_BYTES = BASE_KEY_BYTES + hpke.TAG_BYTES
const SIGNATURE_BYTES = 64
const LENGTH = HEAD_BYTES + hpke.ENC_BYTES + CIPHERTEXT_BYTES + SIGNATURE_BYTES

/**
 * @typedef {object} Relation  Who seals to whom, where.
 * @property {string} room
 * @property {string} from
 * @property {string} to
 * @property {Secret | null} psk  `null` in a room without a secret.
 */

/**
 * @param {Relation} relation
 * @param {{kid: number, baseKey: Secret, seq: number, ts: number}} content
 * @param {{identity: Identity, recipient: PublicKeys}} keys
 * @returns {Promise<string>}
 */
export async function sealEnvelope(relation, { kid, baseKey, seq, ts }, { identity, recipient }) {
  const mode = relation.psk ? hpke.MODE_PSK : hpke.MODE_BASE
  const head = concat(Uint8Array.of(VERSION, mode), u64(kid), u64(seq), u64(ts))
  const { enc, ciphertext } = await hpke.seal(recipient.ek, baseKey.reveal(), hpkeContext(relation, head))
  const box = concat(head, enc, ciphertext)
  const sig = await crypto.subtle.sign({ name: 'Ed25519' }, identity.privateKey, toBeSigned(relation, box))
  return toB64(concat(box, new Uint8Array(sig)))
}

/**
 * Checks in the order of docs/e2ee.md.
 *
 * @param {Relation} relation
 * @param {string} body
 * @param {{sender: PublicKeys, keyPair: CryptoKeyPair, lastSeq: number}} keys
 * @returns {Promise<{kid: number, baseKey: Secret, seq: number} | null>} `null` for an envelope to drop.
 */
export async function openEnvelope(relation, body, { sender, keyPair, lastSeq }) {
  try {
    const bytes = fromB64(body)
    if (bytes.length !== LENGTH || bytes[0] !== VERSION) return null
    if (bytes[1] !== (relation.psk ? hpke.MODE_PSK : hpke.MODE_BASE)) return null
    const box = bytes.slice(0, LENGTH - SIGNATURE_BYTES)
    const sig = bytes.slice(LENGTH - SIGNATURE_BYTES)
    if (!(await crypto.subtle.verify({ name: 'Ed25519' }, sender.identity, sig, toBeSigned(relation, box)))) return null
    const view = new DataView(bytes.buffer)
    const kid = safeNumber(view.getBigUint64(2))
    const seq = safeNumber(view.getBigUint64(10))
    if (seq <= lastSeq) return null
    const head = box.slice(0, HEAD_BYTES)
    const enc = box.slice(HEAD_BYTES, HEAD_BYTES + hpke.ENC_BYTES)
    const opened = await hpke.open(keyPair, enc, box.slice(HEAD_BYTES + hpke.ENC_BYTES), hpkeContext(relation, head))
    return { kid, baseKey: new Secret(opened), seq }
  } catch {
    return null
  }
}

/**
 * @param {Relation} relation
 * @param {Bytes} head
 * @returns {hpke.Context}
 */
function hpkeContext({ room, from, to, psk }, head) {
  const context = { info: encode('key', room, from, to), aad: head }
  return psk ? { ...context, psk: psk.reveal(), pskId: encode('psk', room) } : context
}

/**
 * @param {Relation} relation
 * @param {Bytes} box
 */
function toBeSigned({ room, from, to }, box) {
  return encode('key', room, from, to, box)
}

/** @param {bigint} value */
function safeNumber(value) {
  if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw new RangeError('beyond 2^53')
  return Number(value)
}
