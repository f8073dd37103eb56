import assert from 'node:assert/strict'
import { test } from 'node:test'

import * as hpke from '../../../images/signaling/web/sdk/hpke.js'
import { hex, unhex, vectors } from './vectors.mjs'

const AEAD_NAMES = { 1: 'AES-128-GCM', 2: 'AES-256-GCM' }

/** Wraps a raw X25519 private key as WebCrypto imports it. */
async function keyPair(privateKey, publicKey) {
  const pkcs8 = unhex('302e020100300506032b656e04220420' + privateKey)
  return {
    privateKey: await crypto.subtle.importKey('pkcs8', pkcs8, { name: 'X25519' }, false, ['deriveBits']),
    publicKey: await crypto.subtle.importKey('raw', unhex(publicKey), { name: 'X25519' }, true, []),
  }
}

for (const vector of vectors('hpke').messages) {
  const context = {
    info: unhex(vector.info),
    aad: unhex(vector.aad),
    psk: unhex(vector.psk ?? ''),
    pskId: unhex(vector.pskId ?? ''),
    aead: AEAD_NAMES[vector.aead],
  }

  test(`mode ${vector.mode} with ${context.aead} seals and opens as RFC 9180 says`, async () => {
    const ephemeral = await keyPair(vector.ephemeralPrivate, vector.enc)
    const sealed = await hpke.seal(unhex(vector.recipientPublic), unhex(vector.plaintext), { ...context, ephemeral })
    assert.equal(hex(sealed.enc), vector.enc)
    assert.equal(hex(sealed.ciphertext), vector.ciphertext)

    const recipient = await keyPair(vector.recipientPrivate, vector.recipientPublic)
    const opened = await hpke.open(recipient, unhex(vector.enc), unhex(vector.ciphertext), context)
    assert.equal(hex(opened), vector.plaintext)
  })
}

const message = new TextEncoder().encode('key')
const context = { info: new Uint8Array([1]), aad: new Uint8Array([2]) }
const psk = { psk: new Uint8Array(32).fill(7), pskId: new Uint8Array([9]) }

test('a message opens only with the recipient, info, aad, PSK and PSK id that it was sealed for', async () => {
  const recipient = await hpke.generateKeyPair()
  const publicKey = new Uint8Array(await crypto.subtle.exportKey('raw', recipient.publicKey))
  const { enc, ciphertext } = await hpke.seal(publicKey, message, { ...context, ...psk })
  const open = (changes, by = recipient) => hpke.open(by, enc, ciphertext, { ...context, ...psk, ...changes })

  assert.deepEqual(await open({}), message)
  await assert.rejects(open({ info: new Uint8Array([3]) }))
  await assert.rejects(open({ aad: new Uint8Array([3]) }))
  await assert.rejects(open({ psk: new Uint8Array(32).fill(8) }))
  await assert.rejects(open({ pskId: new Uint8Array([8]) }))
  await assert.rejects(open({ psk: new Uint8Array(0), pskId: new Uint8Array(0) }))
  await assert.rejects(open({}, await hpke.generateKeyPair()))
})

test('a public key of low order is refused', async () => {
  await assert.rejects(hpke.seal(new Uint8Array(32), message, context), hpke.UnusableKeyError)
})

test('a PSK without an id, or too short, is refused', async () => {
  const recipient = unhex('3948cfe0ad1ddb695d780e59077195da6c56506b027329794ab02bca80815c4d')
  await assert.rejects(hpke.seal(recipient, message, { ...context, psk: psk.psk }), TypeError)
  await assert.rejects(hpke.seal(recipient, message, { ...context, psk: new Uint8Array(16), pskId: psk.pskId }), TypeError)
})
