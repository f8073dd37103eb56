import assert from 'node:assert/strict'
import { test } from 'node:test'

import * as sframe from '../../../images/signaling/web/sdk/sframe.js'
import { hex, unhex, vectors } from './vectors.mjs'

const published = vectors('sframe')
/** The other suite of RFC 9605 that its vectors cover. */
const AES_128_GCM_SHA256_128 = { id: 0x0004, hash: 'SHA-256', hashBytes: 32, keyBytes: 16 }
const suites = [AES_128_GCM_SHA256_128, sframe.AES_256_GCM_SHA512_128]
const big = (text) => BigInt(`0x${text}`)

test('headers are those of RFC 9605', () => {
  assert.ok(published.headers.length > 20)
  for (const { kid, counter, header } of published.headers) {
    const expected = { kid: big(kid), ctr: big(counter), length: header.length / 2 }
    assert.equal(hex(sframe.encodeHeader(expected.kid, expected.ctr)), header)
    assert.deepEqual(sframe.decodeHeader(unhex(header + 'aa')), expected)
  }
})

test('a truncated header is refused', () => {
  for (const { header } of published.headers) {
    for (let length = 0; length < header.length / 2; length += 1) {
      assert.throws(() => sframe.decodeHeader(unhex(header).subarray(0, length)), RangeError)
    }
  }
})

for (const vector of published.frames) {
  const suite = suites.find(({ id }) => id === vector.suite)

  test(`suite ${vector.suite} derives, seals and opens as RFC 9605 says`, async () => {
    const [kid, ctr] = [big(vector.kid), big(vector.counter)]
    const { key, salt } = await sframe.deriveKeyAndSalt(suite, kid, unhex(vector.baseKey))
    assert.equal(hex(key), vector.key)
    assert.equal(hex(salt), vector.salt)

    const sealing = await sframe.frameKey(suite, kid, unhex(vector.baseKey), 'encrypt')
    const frame = await sframe.sealFrame(sealing, ctr, unhex(vector.metadata), unhex(vector.plaintext))
    assert.equal(hex(frame), vector.sealed)

    const opening = await sframe.frameKey(suite, kid, unhex(vector.baseKey), 'decrypt')
    const header = sframe.decodeHeader(frame)
    assert.equal(hex(await sframe.openFrame(opening, header, unhex(vector.metadata), frame)), vector.plaintext)
  })

  test(`suite ${vector.suite} opens nothing that was changed`, async () => {
    const opening = await sframe.frameKey(suite, big(vector.kid), unhex(vector.baseKey), 'decrypt')
    const frame = unhex(vector.sealed)
    const metadata = unhex(vector.metadata)
    for (let at = sframe.decodeHeader(frame).length; at < frame.length; at += 1) {
      const changed = frame.slice()
      changed[at] ^= 1
      await assert.rejects(sframe.openFrame(opening, sframe.decodeHeader(changed), metadata, changed))
    }
    await assert.rejects(sframe.openFrame(opening, sframe.decodeHeader(frame), unhex('00'), frame))
    await assert.rejects(sframe.openFrame(opening, sframe.decodeHeader(frame), metadata, frame.subarray(0, 8)))
  })
}

test('a ratchet step depends on the step before and has the length of the hash', async () => {
  const suite = sframe.AES_256_GCM_SHA512_128
  const first = await sframe.ratchet(suite, new Uint8Array(64))
  const second = await sframe.ratchet(suite, first)
  assert.equal(first.length, 64)
  assert.notEqual(hex(first), hex(second))
  assert.equal(hex(first), hex(await sframe.ratchet(suite, new Uint8Array(64))))
})
