import { fromB64, toB64 } from './encode.js'

/** @typedef {import('./types.js').Bytes} Bytes */

/**
 * @typedef {object} JoinLink
 * @property {string | null} room
 * @property {Bytes | null} secret  The room secret; `null` where the link has none.
 * @property {string | null} token
 * @property {boolean} relay  Whether media may only go through TURN.
 */

const ROOM = /^[A-Za-z0-9._~-]{1,128}$/

/**
 * Reads `#r=<room>&k=<secret>&t=<token>&relay=1`. Everything stands in the fragment, which browsers never send.
 *
 * @param {{hash: string}} location
 * @returns {JoinLink}
 * @throws {RangeError} for a room id or secret that can't be one: a mistyped secret must not become "no secret".
 */
export function parseJoinLink(location) {
  const fields = new URLSearchParams(location.hash.replace(/^#/, ''))
  const room = fields.get('r')
  if (room !== null && !ROOM.test(room)) {
    throw new RangeError('The room in this link has characters that a room id cannot have.')
  }
  const key = fields.get('k')
  return {
    room,
    secret: key === null ? null : secretOf(key),
    token: fields.get('t'),
    relay: fields.get('relay') === '1',
  }
}

/**
 * @param {string} origin  e.g. `https://calls.example`
 * @param {{room: string, secret?: Bytes | null, token?: string | null, relay?: boolean}} link
 * @returns {string}
 */
export function makeJoinLink(origin, { room, secret = null, token = null, relay = false }) {
  const fields = new URLSearchParams({ r: room })
  if (secret) fields.set('k', toB64(secret))
  if (token) fields.set('t', token)
  if (relay) fields.set('relay', '1')
  return `${new URL('/', origin).href}#${fields}`
}

/** @returns {Bytes} A new room secret. */
export function makeRoomSecret() {
  return crypto.getRandomValues(new Uint8Array(32))
}

/** @param {string} text */
function secretOf(text) {
  const problem = 'The room secret in this link is damaged. Ask for the link again and copy all of it.'
  /** @type {Bytes} */
  let bytes
  try {
    bytes = fromB64(text)
  } catch {
    throw new RangeError(problem)
  }
  if (bytes.length !== 32) throw new RangeError(problem)
  return bytes
}
