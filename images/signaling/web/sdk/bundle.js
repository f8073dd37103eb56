/**
 * Member bundles: the public keys of one join, signed by the identity (docs/e2ee.md, section 3).
 *
 * @typedef {import('./types.js').Bytes} Bytes
 * @typedef {import('./types.js').Bundle} Bundle
 * @typedef {import('./identity.js').Identity} Identity
 * @typedef {import('./room_secret.js').RoomSecret} RoomSecret
 */

import { encode, fromB64, toB64 } from './encode.js'

/** Longest life of a bundle, seconds. */
const MAX_LIFE_S = 86_400
/** A bundle starts this many seconds early, so that a member whose clock is behind accepts it, too. */
const CLOCK_SKEW_S = 3_600

/**
 * @typedef {object} PublicKeys  Of a bundle that verified.
 * @property {string} ik  Identity key, base64url.
 * @property {CryptoKey} identity
 * @property {Bytes} ek
 * @property {number} exp  Unix seconds.
 */

/**
 * @param {{room: string, sid: string, identity: Identity, ek: Uint8Array, roomSecret: RoomSecret | null, now: number}} join
 *   `now` in Unix milliseconds.
 * @returns {Promise<Bundle>}
 */
export async function makeBundle({ room, sid, identity, ek, roomSecret, now }) {
  const nbf = Math.floor(now / 1000) - CLOCK_SKEW_S
  const exp = nbf + MAX_LIFE_S
  const signed = toBeSigned(room, sid, identity.publicKey, ek, nbf, exp)
  const sig = new Uint8Array(await crypto.subtle.sign({ name: 'Ed25519' }, identity.privateKey, signed))
  /** @type {Bundle} */
  const bundle = { suite: 'kx1', ik: toB64(identity.publicKey), ek: toB64(ek), nbf, exp, sig: toB64(sig) }
  if (roomSecret) bundle.mac = toB64(await roomSecret.authenticate(signed))
  return bundle
}

/**
 * @param {Bundle | undefined} bundle
 * @param {{room: string, sid: string, roomSecret: RoomSecret | null, now: number}} expected
 * @returns {Promise<PublicKeys | null>} `null` for a member that must not be trusted.
 */
export async function verifyBundle(bundle, { room, sid, roomSecret, now }) {
  try {
    if (bundle?.suite !== 'kx1' || !lives(bundle, now / 1000)) return null
    const ik = fromB64(bundle.ik)
    const ek = fromB64(bundle.ek)
    if (ik.length !== 32 || ek.length !== 32) return null
    const signed = toBeSigned(room, sid, ik, ek, bundle.nbf, bundle.exp)
    const identity = await crypto.subtle.importKey('raw', ik, { name: 'Ed25519' }, true, ['verify'])
    if (!(await crypto.subtle.verify({ name: 'Ed25519' }, identity, fromB64(bundle.sig), signed))) return null
    if (roomSecret && !(await roomSecret.isAuthentic(signed, fromB64(bundle.mac ?? '')))) return null
    return { ik: bundle.ik, identity, ek, exp: bundle.exp }
  } catch {
    return null // malformed fields and points off the curve
  }
}

/**
 * @param {Bundle} bundle
 * @param {number} seconds
 */
function lives({ nbf, exp }, seconds) {
  return Number.isSafeInteger(nbf) && Number.isSafeInteger(exp) && exp - nbf <= MAX_LIFE_S && nbf <= seconds && seconds < exp
}

/**
 * @param {string} room
 * @param {string} sid
 * @param {Uint8Array} ik
 * @param {Uint8Array} ek
 * @param {number} nbf
 * @param {number} exp
 */
function toBeSigned(room, sid, ik, ek, nbf, exp) {
  return encode('bundle', room, sid, ik, ek, nbf, exp)
}
