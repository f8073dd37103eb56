import assert from 'node:assert/strict'
import { inspect } from 'node:util'
import { test } from 'node:test'

import { encode, fromB64, lp, toB64, u64 } from '../../../images/signaling/web/sdk/encode.js'
import { makeJoinLink, makeRoomSecret, parseJoinLink } from '../../../images/signaling/web/sdk/links.js'
import { RoomSecret } from '../../../images/signaling/web/sdk/room_secret.js'
import { Secret } from '../../../images/signaling/web/sdk/secret.js'
import { securityCode } from '../../../images/signaling/web/sdk/security_code.js'
import { hex } from './vectors.mjs'

const at = (link) => parseJoinLink({ hash: new URL(link).hash })

test('fields are length-prefixed behind a label that names the suite', () => {
  assert.equal(hex(lp(Uint8Array.of(1, 2))), '00020102')
  assert.equal(hex(u64(258)), '0000000000000102')
  const label = Buffer.from('callcluster/kx1/x').toString('hex')
  assert.equal(hex(encode('x', 'ä', 7, Uint8Array.of(9))), `0011${label}0002c3a4000800000000000000070001` + '09')
  assert.notDeepEqual(encode('x', 'ab', 'c'), encode('x', 'a', 'bc'))
  assert.throws(() => lp(new Uint8Array(65_536)), RangeError)
})

test('base64url has one text for each byte string', () => {
  for (let length = 0; length < 70; length += 1) {
    const bytes = crypto.getRandomValues(new Uint8Array(length))
    assert.deepEqual(fromB64(toB64(bytes)), bytes)
  }
  for (const text of ['=', 'AA==', 'A', 'AB', 'A+', 'A/', 'A A', 'AAAAA']) assert.throws(() => fromB64(text), SyntaxError)
})

test('a join link carries room, secret, token and relay in its fragment alone', () => {
  const secret = makeRoomSecret()
  const link = makeJoinLink('https://calls.example', { room: 'a.b~c-1', secret, token: 'x.y-z_0', relay: true })
  assert.ok(link.startsWith('https://calls.example/#'))
  assert.deepEqual(at(link), { room: 'a.b~c-1', secret, token: 'x.y-z_0', relay: true })
  assert.deepEqual(at('https://calls.example/'), { room: null, secret: null, token: null, relay: false })
  assert.deepEqual(at(makeJoinLink('https://calls.example', { room: 'r' })), { room: 'r', secret: null, token: null, relay: false })
})

test('a damaged secret or room is an error, never a call without a secret', () => {
  for (const key of ['', 'AAAA', 'A'.repeat(42), 'A'.repeat(44), '!'.repeat(43)]) {
    assert.throws(() => at(`https://calls.example/#r=x&k=${key}`), RangeError)
  }
  assert.throws(() => at('https://calls.example/#r=a b'), RangeError)
  assert.throws(() => at(`https://calls.example/#r=${'a'.repeat(129)}`), RangeError)
})

test('a secret shows nothing of itself', () => {
  const secret = new Secret(new Uint8Array(32).fill(0xab))
  for (const text of [`${secret}`, JSON.stringify({ secret }), inspect(secret), inspect({ deep: [secret] })]) {
    assert.match(text, /\[secret\]/)
    assert.doesNotMatch(text, /171|ab|q6ur/i)
  }
})

test('a wiped secret is zeros that serve for nothing', () => {
  const secret = new Secret(new Uint8Array(32).fill(0xab))
  const bytes = secret.reveal()
  secret.wipe()
  assert.deepEqual(bytes, new Uint8Array(32))
  assert.throws(() => secret.reveal(), /wiped/)
})

test('a name shows what it is: no breaks, no hidden or turning marks, whole characters', async () => {
  const secret = await RoomSecret.derive('r', new Uint8Array(32).fill(1))
  for (const [given, seen] of [
    ['  Ada  ', 'Ada'],
    ['Ada\u202e adamiT', 'Ada  adamiT'],
    ['A\u200bd\u2066a\n(you)', 'A d a (you)'],
    ['👩🏽‍🔬 Zoë', '👩🏽‍🔬 Zoë'],
    ['\u200b', ''],
    ['A\u00add\u3164a\u{e0041}', 'A d a'],
    ['🎩'.repeat(100), '🎩'.repeat(80)],
  ]) {
    assert.equal(await secret.openName('ada-1234', await secret.sealName('ada-1234', given)), seen)
  }
})

test('names and messages open for holders of the room secret, and only as what they were sealed for', async () => {
  const ours = await RoomSecret.derive('r', new Uint8Array(32).fill(1))
  const others = await RoomSecret.derive('r', new Uint8Array(32).fill(2))
  const elsewhere = await RoomSecret.derive('q', new Uint8Array(32).fill(1))
  const meta = await ours.sealName('ada-1234', 'Ada Lovelace 🎩')
  assert.match(meta, /^[A-Za-z0-9_-]{1,2048}$/)
  assert.equal(await ours.openName('ada-1234', meta), 'Ada Lovelace 🎩')
  assert.equal(await ours.openName('bob-1234', meta), '')
  assert.equal(await others.openName('ada-1234', meta), '')
  assert.equal(await elsewhere.openName('ada-1234', meta), '')
  assert.equal(await ours.openName('ada-1234', 'nonsense'), '')

  const body = await ours.sealMessage('ada-1234', { text: 'hi' })
  assert.deepEqual(await ours.openMessage('ada-1234', body), { data: { text: 'hi' } })
  assert.equal(await ours.openMessage('bob-1234', body), null)
  assert.equal(await ours.openName('ada-1234', body), '')
})

test('the security code depends on the room and the set of identities, not on their order', async () => {
  const [a, b, c] = [1, 2, 3].map((seed) => toB64(new Uint8Array(32).fill(seed)))
  const code = await securityCode('r', [a, b])
  assert.match(code, /^\d{5}( \d{5}){5}$/)
  assert.equal(await securityCode('r', [b, a, b]), code)
  assert.notEqual(await securityCode('r', [a, c]), code)
  assert.notEqual(await securityCode('q', [a, b]), code)
})
