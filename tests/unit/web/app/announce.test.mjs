import assert from 'node:assert/strict'
import { test } from 'node:test'

import { announcements } from '../../../../images/signaling/web/app/announce.js'
import { initialCall, initialState } from '../../../../images/signaling/web/app/state.js'

const ME = member('me', { name: 'Ada', isSelf: true })

function member(sid, { state, ...more } = {}) {
  const quiet = { audio: true, video: true, screen: false, hand: false }
  return { sid, name: '', isSelf: false, trusted: true, verified: true, reconnecting: false, ...more, state: { ...quiet, ...state } }
}

const inCall = (call) => ({
  ...initialState(),
  screen: 'call',
  call: { ...initialCall(), phase: 'joined', since: 1, members: [ME], ...call },
})

const between = (before, now) => announcements(inCall(before), inCall(now))

test('coming and going are said by name', () => {
  const bo = member('bo', { name: 'Bo' })
  assert.deepEqual(between({}, { members: [ME, bo] }), ['Bo joined.'])
  assert.deepEqual(between({ members: [ME, bo] }, {}), ['Bo left.'])
})

test('someone without a name is a guest', () => {
  assert.deepEqual(between({}, { members: [ME, member('bo')] }), ['Guest joined.'])
})

test('muting, sharing, hands and lost connections of others are said', () => {
  const change = (then, now) => between({ members: [ME, member('bo', then)] }, { members: [ME, member('bo', now)] })
  assert.deepEqual(change({}, { state: { audio: false } }), ['Guest is muted.'])
  assert.deepEqual(change({ state: { audio: false } }, {}), ['Guest is unmuted.'])
  assert.deepEqual(change({}, { state: { screen: true } }), ['Guest shares a screen.'])
  assert.deepEqual(change({}, { state: { hand: true } }), ['Guest raised a hand.'])
  assert.deepEqual(change({}, { reconnecting: true }), ['Guest lost the connection.'])
})

test('entering says how many are there, once, and not each of them', () => {
  const others = [member('bo'), member('cy')]
  assert.deepEqual(between({ phase: 'connecting', since: 0 }, { members: [ME, ...others] }), ['You are in the call with 2 others.'])
})

test('losing and finding the connection is said', () => {
  assert.deepEqual(between({}, { phase: 'reconnecting' }), ['Connection lost. Reconnecting.'])
  assert.deepEqual(between({ phase: 'reconnecting' }, {}), ['Connected again.'])
})

test('a change of the encryption is said', () => {
  const encryption = { ...initialCall().encryption, state: 'encrypted' }
  const members = [ME, member('bo')]
  assert.deepEqual(between({ members }, { members, encryption }), ['Encryption: Encrypted.'])
})

test('what did not change is not said', () => {
  assert.deepEqual(between({ members: [ME, member('bo')] }, { members: [ME, member('bo')] }), [])
})
