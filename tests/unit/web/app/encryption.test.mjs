import assert from 'node:assert/strict'
import { test } from 'node:test'

import { WORDS, judge } from '../../../../images/signaling/web/app/encryption.js'

const NEW = { state: 'waiting', suspects: [], sample: null, strikes: 0 }
const FRIEND = { trusted: true, verified: true }

const report = (sealed, opened, failed = 0, active = true) => ({
  active,
  sealed,
  opened,
  failed,
  members: { peer: { opened, failed } },
})

const last = (reports, others = [FRIEND], media = true) =>
  reports.reduce((before, one) => judge(before, one, { others, media }), NEW)

test('alone, nothing is claimed', () => {
  assert.equal(last([report(10, 0)], []).state, 'waiting')
})

test('before frames flow, the call is not called encrypted', () => {
  assert.equal(last([report(0, 0, 0, false)]).state, 'starting')
})

test('frames that are sealed and opened among verified members are encrypted', () => {
  assert.equal(last([report(30, 30), report(60, 60)]).state, 'encrypted')
})

test('one unverified member makes the call unverified', () => {
  assert.equal(last([report(30, 30)], [FRIEND, { trusted: true, verified: false }]).state, 'unverified')
})

test('a stranger is named before anything else', () => {
  assert.equal(last([report(30, 30)], [FRIEND, { trusted: false, verified: false }]).state, 'stranger')
})

test('where nobody has anything to send, the call is idle and neither encrypted nor getting there', () => {
  assert.equal(last([report(0, 0, 0, false)], [FRIEND], false).state, 'idle')
  assert.equal(last([report(30, 30), report(30, 30, 0, false)], [FRIEND], false).state, 'idle')
})

test('media that should flow and does not is not encrypted', () => {
  assert.equal(last([report(30, 30), report(30, 30, 0, false)]).state, 'starting')
})

test('frames that keep failing are a problem, and it is said with whom', () => {
  const { state, suspects } = last([report(30, 30), report(60, 30, 20), report(90, 30, 40)])
  assert.equal(state, 'problem')
  assert.deepEqual(suspects, ['peer'])
})

test('a few failures while keys change hands are no problem', () => {
  assert.equal(last([report(30, 30), report(60, 40, 15), report(90, 70, 16)]).state, 'encrypted')
})

test('a problem passes when frames open again', () => {
  const bad = [report(30, 30), report(60, 30, 20), report(90, 30, 40)]
  assert.equal(last([...bad, report(120, 60, 40)]).state, 'encrypted')
})

test('every state has its words', () => {
  for (const state of ['waiting', 'idle', 'starting', 'encrypted', 'unverified', 'stranger', 'problem']) {
    assert.ok(WORDS[state].label && WORDS[state].text, state)
  }
})
