/** What a signaling server can try with keys and roster alone; frames that a server alters are in keyring.test.mjs. */

import assert from 'node:assert/strict'
import { test } from 'node:test'

import { makeBundle } from '../../../images/signaling/web/sdk/bundle.js'
import { fromB64 } from '../../../images/signaling/web/sdk/encode.js'
import { callOf, carry, Clock, makeIdentity, Member, ROOM } from './members.mjs'

const ADA = 'ada-1234'
const BOB = 'bob-1234'
const CID = 'cid-1234'

test('a member of an earlier call whose bundle a server shows again is not taken for one that is there', async () => {
  const clock = new Clock()
  const [, , cid] = await callOf(clock, [ADA, BOB, CID])
  const recorded = cid.line
  clock.ms += 3_600_000

  const [dan, eve] = await callOf(clock, ['dan-1234', 'eve-1234'])
  await dan.keys.joined([recorded])
  await carry(dan, eve)
  assert.equal(dan.keys.present(CID), false)
  assert.equal(dan.keys.verified(CID), false)
  assert.equal(dan.keys.verified(eve.sid), true, 'who gave a key is there')
})

test('someone is shown as verified as soon as its first key opens, and the page is told', async () => {
  const clock = new Clock()
  const ada = await Member.make(ADA, clock)
  const bob = await Member.make(BOB, clock)
  await bob.keys.found([ada.line])
  await ada.keys.joined([bob.line])
  assert.equal(ada.keys.verified(BOB), false)
  const told = ada.codes.length
  await carry(ada, bob)
  assert.equal(ada.keys.verified(BOB), true)
  assert.ok(ada.codes.length > told)
})

test('who left cannot speak as one who stays, though a server withholds the new key', async () => {
  const clock = new Clock()
  const [ada, bob, eve] = await callOf(clock, [ADA, BOB, CID])
  assert.equal(await bob.open(ADA, await ada.seal('ada')), 'ada')

  // Eve leaves and keeps what she held. The server gives Bob no key any more, but frames that she seals with Ada's.
  await bob.keys.left(CID, 'left')
  clock.ms += 12_000
  assert.equal(await bob.open(ADA, await ada.seal('late, but from before')), 'late, but from before', 'the control')
  clock.ms += 2_000
  const forged = await ada.seal('forged') // sealed as she could have done it: the key is the same
  assert.notEqual(forged, null)
  assert.equal(await bob.open(ADA, forged), null)
  assert.ok(bob.sent.some(({ t, to }) => t === 'key.request' && to.sid === ADA), 'it asks')

  await ada.keys.left(CID, 'left')
  clock.ms += 2_000
  await carry(ada, bob)
  assert.equal(await bob.open(ADA, await ada.seal('again')), 'again', 'it goes on when the key comes')
  assert.equal(await eve.open(ADA, await ada.seal('not for eve')), null)
})

test('a key that came just before the news of a leave stays in use, as its sender vouches for it', async () => {
  const clock = new Clock()
  const [ada, bob] = await callOf(clock, [ADA, BOB, CID])
  await ada.keys.left(CID, 'kicked')
  await carry(ada, bob)
  await bob.keys.left(CID, 'kicked')
  for (let second = 0; second < 60; second += 1) {
    clock.ms += 1_000
    await carry(ada, bob)
    assert.equal(await bob.open(ADA, await ada.seal('on')), 'on')
  }
})

test('a member that never heard of a leave is asked until it has a new key, and no more then', async () => {
  const clock = new Clock()
  const [ada, bob] = await callOf(clock, [ADA, BOB, CID])
  await bob.keys.left(CID, 'left')
  const requests = async (seconds) => {
    let count = 0
    for (let second = 0; second < seconds; second += 1) {
      clock.ms += 1_000
      await bob.settled()
      count += bob.sent.filter(({ t }) => t === 'key.request').length
      await carry(ada, bob)
    }
    return count
  }
  const asked = await requests(40)
  assert.ok(asked >= 4 && asked <= 6, `${asked} times`)
  assert.equal(await bob.open(ADA, await ada.seal('vouched for')), 'vouched for')
  await ada.keys.left(CID, 'left')
  await requests(12)
  assert.equal(await requests(40), 0)
  assert.equal(await bob.open(ADA, await ada.seal('new')), 'new')
})

test('with keys of its own in the middle a server reads a call without a secret, and the codes tell', async () => {
  for (const [secret, reads] of [[null, true], [new Uint8Array(32).fill(5), false]]) {
    const clock = new Clock()
    const ada = await Member.make(ADA, clock, { secret })
    const bob = await Member.make(BOB, clock, { secret })
    // To each, the server is the other one.
    const asAda = await Member.make(ADA, clock, { secret: null })
    const asBob = await Member.make(BOB, clock, { secret: null })
    await bob.keys.found([asAda.line])
    await ada.keys.joined([asBob.line])
    await asAda.keys.joined([bob.line])
    await asBob.keys.found([ada.line])
    await carry(ada, asBob)
    await carry(bob, asAda)
    const frame = await ada.seal('hi')
    assert.equal(frame && (await asBob.open(ADA, frame)), reads ? 'hi' : null, 'to nobody that it trusts it says nothing')
    assert.equal(ada.keys.trusts(BOB), reads)
    assert.equal(ada.keys.verified(BOB), false)
    assert.notEqual(ada.codes.at(-1), bob.codes.at(-1))
  }
})

test('a ghost gets no key without the secret, whatever it shows, and changes the code', async () => {
  const clock = new Clock()
  const [ada, bob] = await callOf(clock, [ADA, BOB])
  const code = ada.codes.at(-1)
  const identity = await makeIdentity()
  const ghost = await makeBundle({ room: ROOM, sid: 'ghost-123', identity, ek: new Uint8Array(32).fill(9), roomSecret: null, now: clock.now() })
  const borrowed = { ...ghost, mac: bob.keys.bundle.mac }
  for (const [index, bundle] of [ghost, borrowed, { ...bob.keys.bundle }].entries()) {
    const sid = index === 2 ? 'ghost-456' : 'ghost-123'
    await ada.keys.joined([{ sid, bundle }])
    assert.deepEqual([ada.keys.trusts(sid), ada.keys.verified(sid)], [false, false])
    assert.deepEqual(ada.sent.filter(({ t }) => t === 'key.send'), [])
  }
  assert.notEqual(ada.codes.at(-1), code)
})

test('forged acknowledgements and requests make nobody seal to a stranger or without a key', async () => {
  const clock = new Clock()
  const [ada, bob] = await callOf(clock, [ADA, BOB])
  clock.ms += 15 * 60_000
  await ada.settled()
  const [{ d }] = ada.sent.splice(0) // withheld
  const kid = Number(new DataView(fromB64(d.entries[0].body).buffer).getBigUint64(2)) // it stands there to be read
  await ada.keys.acknowledged(BOB, kid)
  assert.equal(ada.used.at(-1), kid)
  await ada.keys.acknowledged('nobody-12', kid)
  await ada.keys.requested('nobody-12')
  const early = await ada.seal('early')
  assert.notEqual(early, null)
  for (const { t, d } of ada.sent) if (t === 'key.send') for (const { to } of d.entries) assert.equal(to, BOB)
  await bob.keys.envelope(ADA, d.entries[0].body)
  await carry(ada, bob)
  assert.equal(await bob.open(ADA, await ada.seal('on')), 'on')
})

test('a session that is over seals nothing more, though its worker lives on for the next', async () => {
  const clock = new Clock()
  const [ada, bob] = await callOf(clock, [ADA, BOB])
  assert.notEqual(await ada.seal('on'), null)
  ada.keys.drop()
  assert.equal(await ada.seal('after'), null)
  const late = await Member.make('late-1234', clock)
  late.sending = bob.sending
  late.keys.drop() // it never came into the room: what seals now is another session's
  await late.settled()
  assert.notEqual(await bob.seal('still'), null)
})
