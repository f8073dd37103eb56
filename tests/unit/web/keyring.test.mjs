import assert from 'node:assert/strict'
import { test } from 'node:test'

import { MAX_KID, makeKid } from '../../../images/signaling/web/sdk/kid.js'
import { ReceivingKeys } from '../../../images/signaling/web/sdk/receiving_keys.js'
import { SendingKey } from '../../../images/signaling/web/sdk/sending_key.js'
import { AES_256_GCM_SHA512_128 as SUITE, decodeHeader, ratchet } from '../../../images/signaling/web/sdk/sframe.js'
import { hex } from './vectors.mjs'

const base = (seed) => new Uint8Array(64).fill(seed)
const frame = (data, changes = {}) => ({ sid: 'ada-1234', source: 'cam', clear: 3, data, ...changes })
const plain = Uint8Array.from({ length: 50 }, (_, index) => index)
const KID = makeKid(7, 0)

async function pair() {
  const clock = { ms: 0 }
  const sending = new SendingKey()
  const receiving = new ReceivingKeys(() => clock.ms)
  await sending.use(KID, base(1))
  await receiving.learn(KID, base(1))
  return { clock, sending, receiving }
}

const data = (opened) => ('data' in opened ? hex(opened.data) : null)

test('a frame opens to what was sealed, and its clear bytes lead it', async () => {
  const { sending, receiving } = await pair()
  const sealed = await sending.seal(frame(plain))
  assert.deepEqual(sealed.subarray(0, 3), plain.subarray(0, 3))
  assert.ok(!hex(sealed).includes(hex(plain.subarray(3, 11))))
  assert.equal(data(await receiving.open(frame(sealed))), hex(plain))
})

test('without a key nothing is sealed and nothing is opened', async () => {
  assert.equal(await new SendingKey().seal(frame(plain)), null)
  const { sending } = await pair()
  const stranger = new ReceivingKeys(() => 0)
  assert.deepEqual(await stranger.open(frame(await sending.seal(frame(plain)))), { missing: KID })
  assert.deepEqual([stranger.opened, stranger.early, stranger.failed], [0, 1, 0])
})

test('plaintext, noise and stumps do not open', async () => {
  const { receiving } = await pair()
  for (const bytes of [plain, plain.subarray(0, 3), plain.subarray(0, 4), crypto.getRandomValues(new Uint8Array(500))]) {
    assert.equal(data(await receiving.open(frame(bytes))), null)
  }
  assert.equal(receiving.opened, 0)
})

test('a frame does not open twice', async () => {
  const { sending, receiving } = await pair()
  const sealed = await sending.seal(frame(plain))
  const together = await Promise.all([receiving.open(frame(sealed)), receiving.open(frame(sealed))])
  assert.equal(together.filter((opened) => 'data' in opened).length, 1)
  assert.equal(data(await receiving.open(frame(sealed))), null)
  assert.deepEqual([receiving.opened, receiving.repeated, receiving.failed], [1, 2, 0], 'packets sent again are no alarm')
})

test('a frame from before the replay window is refused', async () => {
  const { sending, receiving } = await pair()
  const [late, lost] = [await sending.seal(frame(plain)), await sending.seal(frame(plain))]
  await receiving.open(frame(late))
  for (let n = 0; n < 1023; n += 1) await sending.seal(frame(plain))
  assert.ok(data(await receiving.open(frame(await sending.seal(frame(plain))))))
  for (const old of [late, lost]) assert.equal(data(await receiving.open(frame(old))), null)
  assert.deepEqual([receiving.repeated, receiving.failed], [0, 2])
})

test('a frame does not open as one of another member, track or with other clear bytes', async () => {
  const { sending, receiving } = await pair()
  const sealed = await sending.seal(frame(plain))
  assert.equal(data(await receiving.open(frame(sealed, { sid: 'bob-1234' }))), null)
  assert.equal(data(await receiving.open(frame(sealed, { source: 'screen' }))), null)
  assert.equal(data(await receiving.open(frame(sealed, { clear: 0 }))), null)
  const altered = sealed.slice()
  altered[1] ^= 1
  assert.equal(data(await receiving.open(frame(altered))), null)
  assert.equal(data(await receiving.open(frame(sealed))), hex(plain), 'failures cost the true frame nothing')
})

test('all tracks share one counter, also when they seal at the same time', async () => {
  const { sending } = await pair()
  const sources = ['mic', 'cam', 'screen']
  const sealed = await Promise.all(Array.from({ length: 300 }, (_, n) => sending.seal(frame(plain, { source: sources[n % 3] }))))
  assert.equal(new Set(sealed.map((bytes) => decodeHeader(bytes.subarray(3)).ctr)).size, 300)
})

test('a key is never used twice', async () => {
  const { sending } = await pair()
  await assert.rejects(sending.use(KID, base(1)))
  await sending.use(makeKid(8, 0), base(2))
  await assert.rejects(sending.use(KID, base(3)))
})

test('a generation that has sealed its frames seals no more, also after a ratchet', async () => {
  const sending = new SendingKey(3)
  await sending.use(KID, base(1))
  for (let n = 0; n < 3; n += 1) assert.ok(await sending.seal(frame(plain)))
  assert.equal(await sending.seal(frame(plain)), null)
  await sending.use(KID + 1, await ratchet(SUITE, base(1)))
  assert.equal(await sending.seal(frame(plain)), null)
  await sending.use(makeKid(8, 0), base(2))
  assert.ok(await sending.seal(frame(plain)))
})

test('a receiver follows up to 64 ratchet steps, and not one more', async () => {
  for (const [steps, opens] of [[1, true], [64, true], [65, false]]) {
    const { receiving } = await pair()
    let key = base(1)
    for (let step = 0; step < steps; step += 1) key = await ratchet(SUITE, key)
    const ahead = new SendingKey()
    await ahead.use(KID + steps, key)
    const opened = await receiving.open(frame(await ahead.seal(frame(plain))))
    assert.equal(data(opened), opens ? hex(plain) : null, `${steps} steps`)
  }
})

test('a forged step is not kept and makes no work for a while', async () => {
  const { clock, receiving } = await pair()
  const forger = new SendingKey()
  await forger.use(KID + 5, base(9))
  assert.equal(data(await receiving.open(frame(await forger.seal(frame(plain))))), null)

  const honest = new SendingKey()
  await honest.use(KID + 1, await ratchet(SUITE, base(1)))
  assert.equal(data(await receiving.open(frame(await honest.seal(frame(plain))))), null, 'still pausing')
  clock.ms += 250
  assert.equal(data(await receiving.open(frame(await honest.seal(frame(plain))))), hex(plain))
})

test('the old key opens late frames for ten seconds after a new one came', async () => {
  for (const replace of [
    (receiving) => receiving.learn(makeKid(8, 0), base(2)),
    async (receiving) => {
      const next = new SendingKey()
      await next.use(KID + 1, await ratchet(SUITE, base(1)))
      assert.ok(data(await receiving.open(frame(await next.seal(frame(plain))))))
    },
  ]) {
    const { clock, sending, receiving } = await pair()
    clock.ms = 1_000_000
    await replace(receiving)
    clock.ms += 9_999
    assert.equal(data(await receiving.open(frame(await sending.seal(frame(plain))))), hex(plain))
    clock.ms += 1
    assert.deepEqual(await receiving.open(frame(await sending.seal(frame(plain)))), { missing: KID })
  }
})

test('steps of a replaced generation do not outlive it, nor shorten the life of its successor', async () => {
  const { clock, receiving } = await pair()
  await receiving.learn(makeKid(8, 0), base(2))
  const late = new SendingKey()
  await late.use(KID + 1, await ratchet(SUITE, base(1)))
  assert.ok(data(await receiving.open(frame(await late.seal(frame(plain))))))
  clock.ms += 10_000
  assert.equal(data(await receiving.open(frame(await late.seal(frame(plain))))), null)
  const current = new SendingKey()
  await current.use(makeKid(8, 0), base(2))
  assert.equal(data(await receiving.open(frame(await current.seal(frame(plain))))), hex(plain))
})

test('being given a key again, even after it was forgotten, does not reopen its frames', async () => {
  for (const between of [() => undefined, (receiving) => receiving.forget()]) {
    const { sending, receiving } = await pair()
    const sealed = await sending.seal(frame(plain))
    assert.ok(data(await receiving.open(frame(sealed))))
    await between(receiving)
    await receiving.learn(KID, base(1))
    assert.equal(data(await receiving.open(frame(sealed))), null)
    assert.ok(data(await receiving.open(frame(await sending.seal(frame(plain))))))
  }
})

test('frames that come before their key are early, what does not open is not', async () => {
  const { clock, sending, receiving } = await pair()
  const sealed = await sending.seal(frame(plain))
  const fresh = new ReceivingKeys(() => clock.ms)
  await fresh.open(frame(sealed))
  await fresh.learn(KID, base(1))
  assert.ok(data(await fresh.open(frame(sealed))), 'an early frame is not held against its later self')
  await fresh.open(frame(await sending.seal(frame(plain)), { source: 'screen' }))
  assert.deepEqual([fresh.opened, fresh.early, fresh.failed], [1, 1, 1])

  await receiving.learn(makeKid(8, 0), base(2))
  clock.ms += 10_000
  await receiving.open(frame(sealed))
  assert.deepEqual([receiving.opened, receiving.early, receiving.failed], [0, 0, 1], 'a key that was there and is gone is not early')
})

test('a frame that is all clear bytes is neither sealed nor opened', async () => {
  const { sending, receiving } = await pair()
  for (const length of [0, 1, 3]) {
    assert.equal(await sending.seal(frame(plain.subarray(0, length))), null)
    assert.equal(data(await receiving.open(frame(plain.subarray(0, length)))), null)
  }
  assert.equal(sending.sealed, 0)
  const sealed = await sending.seal(frame(plain.subarray(0, 4)))
  assert.equal(data(await receiving.open(frame(sealed))), hex(plain.subarray(0, 4)))
})

test('a key id beyond the scheme is not learned', async () => {
  const { receiving } = await pair()
  const far = new SendingKey()
  await far.use(MAX_KID + 1, base(3))
  await receiving.learn(MAX_KID + 1, base(3))
  assert.deepEqual(await receiving.open(frame(await far.seal(frame(plain)))), { missing: null })
})

/** Has a frame opened, and all keys forgotten `turns` turns of the event loop after that began. */
async function openAndForget(receiving, sealed, turns = 0) {
  const opening = receiving.open(frame(sealed))
  for (let turn = 0; turn < turns; turn += 1) await new Promise(setImmediate)
  receiving.forget()
  return opening
}

test('a key that is forgotten while it opens a frame opens neither this one nor any other', async () => {
  const { sending, receiving } = await pair()
  const [inFlight, later] = [await sending.seal(frame(plain)), await sending.seal(frame(plain))]
  assert.equal(data(await openAndForget(receiving, inFlight)), null)
  assert.deepEqual(await receiving.open(frame(later)), { missing: KID })
})

test('a key that is forgotten while it opens a frame leaves no ratchet of zeros behind', async () => {
  const { sending, receiving } = await pair()
  await openAndForget(receiving, await sending.seal(frame(plain)))
  const forger = new SendingKey()
  await forger.use(KID + 1, await ratchet(SUITE, new Uint8Array(64)))
  assert.deepEqual(await receiving.open(frame(await forger.seal(frame(plain)))), { missing: KID + 1 })
})

test('a step opens nothing any more once the key before it is forgotten, at whatever moment that comes', async () => {
  for (const from of [base(1), new Uint8Array(64)]) {
    const sending = new SendingKey()
    await sending.use(KID + 1, await ratchet(SUITE, from))
    for (let turns = 0; turns < 40; turns += 1) {
      const { clock, receiving } = await pair()
      await openAndForget(receiving, await sending.seal(frame(plain)), turns)
      clock.ms += 1_000
      assert.deepEqual(await receiving.open(frame(await sending.seal(frame(plain)))), { missing: KID + 1 }, `${turns} turns`)
    }
  }
})

test('a step that opens a frame as its generation is replaced does not outlive it', async () => {
  const late = new SendingKey()
  await late.use(KID + 1, await ratchet(SUITE, base(1)))
  for (let turns = 0; turns < 40; turns += 1) {
    const { clock, receiving } = await pair()
    const opening = receiving.open(frame(await late.seal(frame(plain))))
    for (let turn = 0; turn < turns; turn += 1) await new Promise(setImmediate)
    await receiving.learn(makeKid(8, 0), base(2))
    assert.ok(data(await opening))
    clock.ms += 10_000
    assert.deepEqual(await receiving.open(frame(await late.seal(frame(plain)))), { missing: KID + 1 }, `${turns} turns`)
  }
})

test('a key that is crowded out while it opens frames is not kept', async () => {
  const { sending, receiving } = await pair()
  for (let n = 0; n < 15; n += 1) await receiving.learn(makeKid(100 + n, 0), base(n + 10))
  let crowded = false
  const last = receiving.learn(makeKid(200, 0), base(9)).then(() => (crowded = true))
  const openings = []
  while (!crowded) openings.push(receiving.open(frame(await sending.seal(frame(plain)))))
  await Promise.all([last, ...openings])
  assert.deepEqual(await receiving.open(frame(await sending.seal(frame(plain)))), { missing: KID })
})

test('a frame whose key runs out while it opens is refused', async () => {
  const { clock, sending, receiving } = await pair()
  await receiving.learn(makeKid(8, 0), base(2))
  const opening = receiving.open(frame(await sending.seal(frame(plain))))
  clock.ms += 10_000
  receiving.expire()
  assert.equal(data(await opening), null)
})

test('a key that is forgotten while it is learned is not held, and is overwritten', async () => {
  const { sending } = await pair()
  const receiving = new ReceivingKeys(() => 0)
  const given = base(1)
  const learning = receiving.learn(KID, given)
  receiving.forget()
  await learning
  assert.deepEqual(given, new Uint8Array(64))
  assert.deepEqual(await receiving.open(frame(await sending.seal(frame(plain)))), { missing: KID })
})

test('a sender that floods a receiver with keys has sixteen of them held, and they are overwritten when they go', async () => {
  const { receiving } = await pair()
  const given = Array.from({ length: 40 }, (_, seed) => base(seed + 10))
  for (const [index, key] of given.entries()) await receiving.learn(makeKid(100 + index, 0), key)
  const overwritten = () => given.filter((key) => key.every((byte) => byte === 0)).length
  assert.equal(overwritten(), 24)
  receiving.forget()
  assert.equal(overwritten(), 40)
})
