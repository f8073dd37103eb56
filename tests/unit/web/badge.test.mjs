import assert from 'node:assert/strict'
import { test } from 'node:test'

import { Badge } from '../../../images/signaling/web/sdk/badge.js'

const report = (sealed, opened, failed = 0) => ({ sealed, opened, early: 0, repeated: 0, failed, members: {}, kid: 1, framesOfGeneration: sealed })
const both = { sends: true, receives: true }

test('on while frames are sealed and opened, off soon after either stops', () => {
  const badge = new Badge()
  assert.equal(badge.update(report(0, 0), both).active, false)
  assert.equal(badge.update(report(5, 0), both).active, false)
  assert.equal(badge.update(report(9, 3), both).active, true)
  for (const active of [true, true, false]) assert.equal(badge.update(report(9, 9), { ...both }).active, active)
})

test('a member whose frames do not open keeps it off', () => {
  const badge = new Badge()
  for (let second = 1; second < 5; second += 1) assert.equal(badge.update(report(second, 0, second), both).active, false)
})

test('who sends nothing, or hears nobody who says to send, needs only the other direction', () => {
  const badge = new Badge()
  assert.equal(badge.update(report(0, 4), { sends: false, receives: true }).active, true)
  assert.equal(badge.update(report(5, 4), { sends: true, receives: false }).active, true)
  assert.equal(badge.update(report(6, 5), { sends: false, receives: false }).active, false)
})
