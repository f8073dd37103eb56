import assert from 'node:assert/strict'
import { test } from 'node:test'

import { fromB64, toB64 } from '../../../images/signaling/web/sdk/encode.js'
import { generationOf, stepOf } from '../../../images/signaling/web/sdk/kid.js'
import { callOf, carry, Clock, makeIdentity, Member, SECRET } from './members.mjs'

const HOUR = 3_600_000
const kidOf = (member) => member.used.at(-1)

test('members who join one after the other read each other', async () => {
  const [ada, bob, cid] = await callOf(new Clock(), ['ada-1234', 'bob-1234', 'cid-1234'])
  for (const [from, to] of [[ada, bob], [bob, ada], [ada, cid], [cid, ada], [bob, cid], [cid, bob]]) {
    assert.equal(await to.open(from.sid, await from.seal('hello')), 'hello')
  }
  assert.deepEqual(ada.broken, [])
})

test('a member without the room secret is trusted by nobody and reads nothing', async () => {
  const clock = new Clock()
  const [ada, bob] = await callOf(clock, ['ada-1234', 'bob-1234'])
  for (const secret of [null, new Uint8Array(32).fill(6)]) {
    const eve = await Member.make('eve-1234', clock, { secret })
    await eve.keys.found([ada.line, bob.line])
    await ada.keys.joined([eve.line])
    await carry(ada, bob, eve)
    assert.equal(ada.keys.trusts('eve-1234'), false)
    assert.equal(await eve.open(ada.sid, await ada.seal('secret')), null)
    assert.equal(await ada.open(eve.sid, (await eve.seal('forged')) ?? new Uint8Array(40)), null)
  }
  assert.equal(await bob.open(ada.sid, await ada.seal('still')), 'still')
})

test('in a room without a secret everybody with a valid bundle is trusted and nobody is verified until codes are compared', async () => {
  const [ada, bob] = await callOf(new Clock(), ['ada-1234', 'bob-1234'], { secret: null })
  assert.equal(await bob.open(ada.sid, await ada.seal('hi')), 'hi')
  assert.equal(ada.keys.trusts(bob.sid), true)
  assert.equal(ada.keys.verified(bob.sid), false)
  assert.equal(ada.keys.confirm('00000 00000 00000 00000 00000 00000'), false)
  assert.equal(ada.keys.verified(bob.sid), false)
  assert.equal(ada.keys.confirm(ada.codes.at(-1)), true)
  assert.equal(ada.keys.verified(bob.sid), true)
  assert.equal(bob.keys.verified(ada.sid), false)
})

test('a comparison does not cover who came after the code was shown', async () => {
  const clock = new Clock()
  const [ada, bob] = await callOf(clock, ['ada-1234', 'bob-1234'], { secret: null })
  const eve = await Member.make('eve-1234', clock, { secret: null })
  const codes = ada.codes.length
  const joined = ada.keys.joined([eve.line])
  while (!ada.keys.trusts(eve.sid)) await new Promise(setImmediate)
  assert.equal(ada.codes.length, codes)
  const compared = ada.codes.at(-1)
  assert.equal(ada.keys.confirm(compared), true)
  await joined
  assert.equal(ada.keys.verified(bob.sid), true)
  assert.equal(ada.keys.verified(eve.sid), false)
  assert.equal(ada.keys.confirm(compared), false, 'an older code covers nobody')
})

test('a newcomer cannot read what was said before', async () => {
  const clock = new Clock()
  const [ada, bob] = await callOf(clock, ['ada-1234', 'bob-1234'])
  const before = await ada.seal('before')
  const cid = await Member.make('cid-1234', clock)
  await cid.keys.found([ada.line, bob.line])
  await ada.keys.joined([cid.line])
  await bob.keys.joined([cid.line])
  await carry(ada, bob, cid)
  const after = await ada.seal('after')
  assert.equal(await cid.open(ada.sid, before), null)
  assert.equal(await cid.open(ada.sid, after), 'after')
  assert.equal(await bob.open(ada.sid, after), 'after', 'who was there ratchets by itself')
  assert.equal(await bob.open(ada.sid, before), 'before', 'late frames of the step before still open')
})

test('a join hands the new step to the newcomer only', async () => {
  const clock = new Clock()
  const [ada] = await callOf(clock, ['ada-1234', 'bob-1234'])
  const cid = await Member.make('cid-1234', clock)
  await ada.keys.joined([cid.line])
  assert.deepEqual(ada.sent.filter(({ t }) => t === 'key.send').flatMap(({ d }) => d.entries.map(({ to }) => to)), ['cid-1234'])
})

test('who left reads nothing of what is said two seconds later', async () => {
  const clock = new Clock()
  const [ada, bob, cid] = await callOf(clock, ['ada-1234', 'bob-1234', 'cid-1234'])
  const held = kidOf(ada)
  await ada.keys.left(cid.sid, 'left')
  clock.ms += 2_000
  await carry(ada, bob)
  assert.notEqual(generationOf(kidOf(ada)), generationOf(held))
  const frame = await ada.seal('between us')
  assert.equal(await bob.open(ada.sid, frame), 'between us')
  assert.equal(await cid.open(ada.sid, frame), null)
})

test('a kick renews the key at once, leaves together once', async () => {
  const clock = new Clock()
  const [ada, bob, , dan] = await callOf(clock, ['ada-1234', 'bob-1234', 'cid-1234', 'dan-1234'])
  const generations = () => new Set(ada.used.map(generationOf)).size
  const before = generations()
  await ada.keys.left('cid-1234', 'kicked')
  await carry(ada, bob, dan)
  assert.equal(generations(), before + 1)

  await ada.keys.left(dan.sid, 'left')
  clock.ms += 300
  await ada.keys.left('bob-1234', 'left')
  await carry(ada)
  assert.equal(generations(), before + 1)
  clock.ms += 700
  await carry(ada)
  assert.equal(generations(), before + 2)
})

test('a new key waits for all acknowledgements, but not for ever', async () => {
  const clock = new Clock()
  const [ada, bob, cid] = await callOf(clock, ['ada-1234', 'bob-1234', 'cid-1234'])
  const old = kidOf(ada)
  clock.ms += 15 * 60_000
  await ada.settled()
  assert.equal(kidOf(ada), old)
  await carry(ada, bob)
  assert.equal(kidOf(ada), old, 'cid has not answered')
  clock.ms += 1_000
  await carry(ada, bob)
  assert.notEqual(kidOf(ada), old)
})

test('a key is renewed after 15 minutes, near 2^24 frames, and after the last ratchet step', async () => {
  const clock = new Clock()
  const [ada, bob] = await callOf(clock, ['ada-1234', 'bob-1234'])
  const renewed = async (cause) => {
    const before = generationOf(kidOf(ada))
    await cause()
    await carry(ada, bob)
    assert.notEqual(generationOf(kidOf(ada)), before)
    assert.equal(await bob.open(ada.sid, await ada.seal('on')), 'on')
  }
  await renewed(() => (clock.ms += 15 * 60_000))
  await renewed(() => ada.keys.framesSealed(kidOf(ada), 2 ** 24 - 1))
  await renewed(async () => {
    for (let step = stepOf(kidOf(ada)); step < 256; step += 1) {
      const visitor = await Member.make(`visitor-${step}`, clock)
      await ada.keys.joined([visitor.line])
      await ada.keys.acknowledged(visitor.sid, kidOf(ada) + 1)
      if (step % 60 === 0) assert.equal(await bob.open(ada.sid, await ada.seal('tick')), 'tick')
      ada.sent.length = step < 255 ? 0 : ada.sent.length
    }
    clock.ms += 1_000 // visitors do not acknowledge the new generation
  })
})

test('a lost envelope is asked for and sent again', async () => {
  const clock = new Clock()
  const [ada, bob] = await callOf(clock, ['ada-1234', 'bob-1234'])
  clock.ms += 15 * 60_000
  await ada.settled()
  ada.sent.length = 0 // lost
  clock.ms += 1_000
  const frame = await ada.seal('lost')
  assert.equal(await bob.open(ada.sid, frame), null)
  bob.keys.missing(ada.sid, kidOf(ada))
  bob.keys.missing(ada.sid, kidOf(ada))
  await bob.settled()
  assert.equal(bob.sent.filter(({ t }) => t === 'key.request').length, 1, 'once a second')
  await carry(ada, bob)
  assert.equal(await bob.open(ada.sid, frame), 'lost')
})

test('who never got a first key asks by itself', async () => {
  const clock = new Clock()
  const ada = await Member.make('ada-1234', clock)
  const bob = await Member.make('bob-1234', clock)
  await bob.keys.found([ada.line])
  bob.sent.length = 0 // lost
  await ada.keys.joined([bob.line])
  clock.ms += 2_000
  await carry(ada, bob)
  assert.equal(await ada.open(bob.sid, await bob.seal('at last')), 'at last')
})

test('an envelope that overtakes the roster is opened when its sender appears', async () => {
  const clock = new Clock()
  const ada = await Member.make('ada-1234', clock)
  const bob = await Member.make('bob-1234', clock)
  await bob.keys.found([ada.line])
  await carry(ada, bob)
  await ada.keys.joined([bob.line])
  await carry(ada, bob)
  assert.equal(await ada.open(bob.sid, await bob.seal('early')), 'early')
})

test('a replayed, redirected or altered envelope is dropped', async () => {
  const clock = new Clock()
  const [ada, bob, cid] = await callOf(clock, ['ada-1234', 'bob-1234', 'cid-1234'])
  clock.ms += 15 * 60_000
  await ada.settled()
  const entries = Object.fromEntries(
    ada.sent.splice(0).filter(({ t }) => t === 'key.send').flatMap(({ d }) => d.entries.map(({ to, body }) => [to, body])),
  )
  const dropped = async (from, body) => {
    const before = bob.keys.droppedEnvelopes
    await bob.keys.envelope(from, body)
    assert.equal(bob.keys.droppedEnvelopes, before + 1)
    assert.deepEqual(bob.sent.filter(({ t }) => t === 'key.ack'), [])
  }
  const bytes = fromB64(entries[bob.sid])
  assert.equal(bytes.length, 202)
  for (let at = 0; at < bytes.length; at += 1) {
    const altered = bytes.slice()
    altered[at] ^= 1
    await dropped(ada.sid, toB64(altered))
  }
  await dropped(ada.sid, entries[cid.sid])
  await dropped(cid.sid, entries[bob.sid])
  await dropped(ada.sid, 'not base64url!')
  await dropped(ada.sid, toB64(bytes.slice(0, 201)))

  await bob.keys.envelope(ada.sid, entries[bob.sid])
  assert.equal(bob.sent.splice(0).filter(({ t }) => t === 'key.ack').length, 1)
  await dropped(ada.sid, entries[bob.sid])
})

test('a bundle of another session, an expired, altered or changed one makes a member untrusted', async () => {
  const clock = new Clock()
  const ada = await Member.make('ada-1234', clock)
  const bob = await Member.make('bob-1234', clock)
  const { bundle } = bob.keys
  const untrusted = async (line) => {
    await ada.keys.joined([line])
    assert.equal(ada.keys.trusts(line.sid), false)
  }
  await untrusted({ sid: 'eve-1234', bundle })
  await untrusted({ sid: 'bob-1234' })
  await untrusted({ sid: 'bob-1234', bundle: { ...bundle, exp: bundle.exp + 1 } })
  await untrusted({ sid: 'bob-1234', bundle: { ...bundle, ek: bundle.ik } })
  await untrusted({ sid: 'bob-1234', bundle: { ...bundle, mac: undefined } })
  await untrusted({ sid: 'bob-1234', bundle: { ...bundle, suite: 'kx2' } })
  clock.ms += 86_400_000
  await untrusted(bob.line)
  clock.ms -= 86_400_000
  await ada.keys.joined([bob.line])
  assert.equal(ada.keys.trusts(bob.sid), true)

  await ada.keys.left(bob.sid, 'left')
  const again = await Member.make('bob-1234', clock)
  await untrusted(again.line)
})

test('malformed keys of one member break nothing for the others', async () => {
  const clock = new Clock()
  const [ada, bob] = await callOf(clock, ['ada-1234', 'bob-1234'])
  const { bundle } = bob.keys
  const malformed = ['A'.repeat(42) + 'B', '', '!', undefined, 7]
  for (const [index, ik] of malformed.entries()) await ada.keys.joined([{ sid: `eve-${index}xxx`, bundle: { ...bundle, ik } }])
  for (const [index, ek] of malformed.entries()) await ada.keys.joined([{ sid: `mal-${index}xxx`, bundle: { ...bundle, ek } }])
  assert.deepEqual(ada.broken, [])
  assert.equal(await bob.open(ada.sid, await ada.seal('fine')), 'fine')
})

test('one member with a poisonous key does not keep the others from theirs', async () => {
  const clock = new Clock()
  const [ada, bob] = await callOf(clock, ['ada-1234', 'bob-1234'])
  const { makeBundle } = await import('../../../images/signaling/web/sdk/bundle.js')
  const { RoomSecret } = await import('../../../images/signaling/web/sdk/room_secret.js')
  const bundle = await makeBundle({
    room: 'r-test',
    sid: 'eve-1234',
    identity: await makeIdentity(),
    ek: new Uint8Array(32),
    roomSecret: await RoomSecret.derive('r-test', SECRET),
    now: clock.now(),
  })
  await ada.keys.joined([{ sid: 'eve-1234', bundle }])
  clock.ms += 15 * 60_000
  await carry(ada, bob)
  assert.deepEqual(ada.broken, [])
  assert.equal(await bob.open(ada.sid, await ada.seal('fine')), 'fine')
})

test('a key that can be sealed to nobody breaks the exchange, instead of leaving everyone without one', async () => {
  const clock = new Clock()
  const identity = await makeIdentity()
  const ada = await Member.make('ada-1234', clock, { identity })
  const bob = await Member.make('bob-1234', clock)
  identity.privateKey = await crypto.subtle.importKey('raw', identity.publicKey, { name: 'Ed25519' }, true, ['verify'])
  await ada.keys.joined([bob.line])
  assert.equal(ada.broken.length, 1)
})

test('members whose bundles run out together, as a new key is due, break nothing', async () => {
  const clock = new Clock()
  const [ada] = await callOf(clock, ['ada-1234', 'bob-1234', 'cid-1234'])
  clock.ms += 24 * HOUR
  await ada.settled()
  assert.deepEqual([ada.keys.trusts('bob-1234'), ada.keys.trusts('cid-1234')], [false, false])
  assert.deepEqual(ada.broken, [])
})

test('all members see the same code, and another identity changes it', async () => {
  const clock = new Clock()
  const [ada, bob] = await callOf(clock, ['ada-1234', 'bob-1234'])
  const code = ada.codes.at(-1)
  assert.match(code, /^\d{5}( \d{5}){5}$/)
  assert.equal(bob.codes.at(-1), code)
  const cid = await Member.make('cid-1234', clock)
  await ada.keys.joined([cid.line])
  assert.notEqual(ada.codes.at(-1), code)
  await ada.keys.left(cid.sid, 'left')
  assert.equal(ada.codes.at(-1), code)
  await ada.keys.left(bob.sid, 'left')
  assert.equal(ada.codes.at(-1), null)
})

test('after drop nothing is sent, opened or trusted', async () => {
  const clock = new Clock()
  const [ada, bob] = await callOf(clock, ['ada-1234', 'bob-1234'])
  ada.keys.drop()
  ada.sent.length = 0
  clock.ms += 15 * 60_000
  await ada.settled()
  await ada.keys.requested(bob.sid)
  assert.deepEqual(ada.sent, [])
  assert.equal(ada.keys.trusts(bob.sid), false)
})

test('a bundle is refreshed once, ten to twelve hours after it was made, under the same keys', async () => {
  const clock = new Clock()
  const ada = await Member.make('ada-1234', clock)
  const first = ada.keys.bundle
  clock.ms += 10 * HOUR - 1
  await ada.settled()
  assert.deepEqual(ada.published, [])
  clock.ms += 2 * HOUR + 1
  for (let n = 0; n < 3; n += 1) await ada.settled()
  assert.equal(ada.published.length, 1)
  const [fresh] = ada.published
  assert.deepEqual(ada.keys.bundle, fresh)
  assert.deepEqual([fresh.ik, fresh.ek], [first.ik, first.ek])
  assert.equal(fresh.exp - first.exp, 12 * 3600)
  clock.ms += 12 * HOUR
  await ada.settled()
  assert.equal(ada.published.length, 2)
})

test('members do not all refresh at the same time', async () => {
  const clock = new Clock()
  const members = await Promise.all(Array.from({ length: 12 }, (_, n) => Member.make(`member-${n}`, clock)))
  clock.ms += 11 * HOUR
  for (const member of members) await member.settled()
  const early = members.filter(({ published }) => published.length).length
  assert.ok(early > 0 && early < 12, `${early} of 12`)
})

test('a refresh that the server did not take is tried again', async () => {
  const clock = new Clock()
  const ada = await Member.make('ada-1234', clock)
  ada.publishing = Promise.reject(new Error('unavailable'))
  ada.publishing.catch(() => undefined)
  clock.ms += 12 * HOUR
  await ada.settled()
  ada.publishing = Promise.resolve()
  clock.ms += HOUR / 6
  await ada.settled()
  assert.equal(ada.published.length, 2)
  clock.ms += HOUR / 6
  await ada.settled()
  assert.equal(ada.published.length, 2)
  assert.deepEqual(ada.broken, [])
})

test('in a call of two days, newcomers and members of the first hour trust and read each other', async () => {
  const clock = new Clock()
  const [ada, bob] = await callOf(clock, ['ada-1234', 'bob-1234'])
  for (let hour = 0; hour < 48; hour += 1) {
    clock.ms += HOUR
    await carry(ada, bob)
    for (const [from, to] of [[ada, bob], [bob, ada]]) {
      for (const bundle of from.published.splice(0)) await to.keys.joined([{ sid: from.sid, bundle }])
    }
  }
  const cid = await Member.make('cid-1234', clock)
  await cid.keys.found([ada.line, bob.line])
  await ada.keys.joined([cid.line])
  await bob.keys.joined([cid.line])
  await carry(ada, bob, cid)
  for (const [from, to] of [[ada, bob], [bob, ada], [ada, cid], [cid, ada]]) {
    assert.equal(await to.open(from.sid, await from.seal('day three')), 'day three')
  }
})

test('without a refresh a member is trusted no more once its bundle has run out, and again with one', async () => {
  const clock = new Clock()
  const [ada, bob] = await callOf(clock, ['ada-1234', 'bob-1234'])
  clock.ms += 12 * HOUR
  await ada.settled()
  await bob.settled()
  const [fresh] = bob.published
  await bob.keys.joined([ada.line])
  clock.ms += 11 * HOUR
  await ada.settled()
  assert.equal(ada.keys.trusts(bob.sid), false)
  assert.equal(bob.keys.trusts(ada.sid), true)
  clock.ms += 2_000
  assert.equal(await bob.open(ada.sid, await ada.seal('not for bob')), null)
  await ada.keys.joined([{ sid: bob.sid, bundle: fresh }])
  assert.equal(ada.keys.trusts(bob.sid), true)
  await carry(ada, bob)
  assert.equal(await bob.open(ada.sid, await ada.seal('again')), 'again')
})

test('a refreshed bundle counts only under the keys that the session had, and never shortens its life', async () => {
  const clock = new Clock()
  const [ada, bob] = await callOf(clock, ['ada-1234', 'bob-1234'])
  const first = bob.keys.bundle
  clock.ms += 12 * HOUR
  await bob.settled()
  const impostor = await Member.make(bob.sid, clock)
  await ada.keys.joined([impostor.line])
  await ada.keys.joined([bob.line])
  await ada.keys.joined([{ sid: bob.sid, bundle: first }])
  clock.ms += 11 * HOUR
  await ada.settled()
  assert.equal(ada.keys.trusts(bob.sid), true, 'an older bundle, shown again, takes nothing back')
  clock.ms += 12 * HOUR
  await ada.keys.joined([impostor.line])
  await ada.settled()
  assert.equal(ada.keys.trusts(bob.sid), false, 'other keys extend nothing')
})

test('a session that was dropped in the middle of its work puts no key to use and breaks nothing', async () => {
  const clock = new Clock()
  const [ada] = await callOf(clock, ['ada-1234', 'bob-1234'])
  const used = ada.used.length
  clock.ms += 15 * 60_000
  const work = [ada.keys.tick(), ada.keys.left('bob-1234', 'kicked')]
  await Promise.resolve()
  ada.keys.drop()
  ada.sent.length = 0
  await Promise.all(work)
  assert.deepEqual([ada.used.length, ada.sent, ada.broken], [used, [], []])
})
