import { concat, encode, fromB64, lp } from './encode.js'

/**
 * The code that members compare (docs/e2ee.md, section 7).
 *
 * @param {string} room
 * @param {Iterable<string>} identities  Identity keys of all members, base64url.
 * @returns {Promise<string>} Six groups of five digits.
 */
export async function securityCode(room, identities) {
  const keys = [...new Set(identities)].map(fromB64).sort(bytewise)
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-512', concat(encode('code', room), ...keys.map(lp))))
  const groups = []
  for (let at = 0; at < 30; at += 5) {
    const value = digest.subarray(at, at + 5).reduce((sum, byte) => sum * 256 + byte, 0)
    groups.push(String(value % 100_000).padStart(5, '0'))
  }
  return groups.join(' ')
}

/**
 * @param {Uint8Array} a
 * @param {Uint8Array} b
 */
function bytewise(a, b) {
  const at = a.findIndex((byte, index) => byte !== b[index])
  return at === -1 ? 0 : a[at] - b[at]
}
