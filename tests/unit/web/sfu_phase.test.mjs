import assert from 'node:assert/strict'
import { beforeEach, mock, test } from 'node:test'

import { SfuPhase } from '../../../images/signaling/web/sdk/sfu_phase.js'

beforeEach(() => {
  mock.timers.reset()
  mock.timers.enable({ apis: ['setTimeout'] })
})

function phased() {
  const changes = []
  return { phase: new SfuPhase((covers) => changes.push(covers)), changes }
}

test('without an SFU nobody counts on one', () => {
  const { phase, changes } = phased()
  phase.vanished()
  phase.connection(false)
  mock.timers.tick(60_000)
  assert.equal(phase.covers, false)
  assert.deepEqual(changes, [])
})

test('an SFU is hoped for, but not for ever', () => {
  const { phase, changes } = phased()
  phase.appeared()
  mock.timers.tick(7_999)
  assert.equal(phase.covers, true)
  mock.timers.tick(1)
  assert.equal(phase.covers, false)
  assert.deepEqual(changes, [true, false])
})

test('one that went away before it was reached is given three seconds to come back', () => {
  const { phase } = phased()
  phase.appeared()
  phase.vanished()
  mock.timers.tick(2_999)
  assert.equal(phase.covers, true)
  mock.timers.tick(1)
  assert.equal(phase.covers, false)
})

test('a connection that stands outlives the seat', () => {
  const { phase, changes } = phased()
  phase.appeared()
  phase.connection(true)
  phase.vanished()
  mock.timers.tick(60_000)
  assert.deepEqual(changes, [true])
})

test('a connection that breaks has three seconds, counted once', () => {
  const { phase, changes } = phased()
  phase.appeared()
  phase.connection(true)
  phase.connection(false)
  mock.timers.tick(2_000)
  phase.connection(false)
  mock.timers.tick(999)
  assert.equal(phase.covers, true)
  mock.timers.tick(1)
  assert.deepEqual(changes, [true, false])
  phase.connection(true)
  assert.deepEqual(changes, [true, false, true], 'it came back after all')
})

test('a connection that comes back in time is no news', () => {
  const { phase, changes } = phased()
  phase.appeared()
  phase.connection(true)
  phase.connection(false)
  mock.timers.tick(2_000)
  phase.connection(true)
  mock.timers.tick(60_000)
  assert.deepEqual(changes, [true])
})

test('the next SFU gets as long to be reached as a broken connection to come back', () => {
  const { phase, changes } = phased()
  phase.appeared()
  phase.connection(true)
  phase.connection(false)
  mock.timers.tick(2_000)
  phase.appeared()
  mock.timers.tick(2_999)
  assert.equal(phase.covers, true)
  mock.timers.tick(1)
  assert.deepEqual(changes, [true, false])
})

test('however often the SFU asks for another connection, hope and patience are given once', () => {
  const { phase, changes } = phased()
  phase.appeared()
  for (let begun = 0; begun < 20; begun++) {
    phase.begun()
    mock.timers.tick(1_000)
  }
  assert.deepEqual(changes, [true, false])
  phase.connection(true)
  phase.connection(false)
  for (let begun = 0; begun < 20; begun++) {
    mock.timers.tick(1_000)
    phase.begun()
  }
  assert.deepEqual(changes, [true, false, true, false])
})

test('a first connection that is begun late has time of its own, even before the SFU is announced', () => {
  const { phase } = phased()
  phase.begun()
  assert.equal(phase.covers, true)
  const late = phased().phase
  late.appeared()
  mock.timers.tick(7_000)
  late.begun()
  mock.timers.tick(7_000)
  assert.equal(late.covers, true)
})

test('after the end nothing changes any more', () => {
  const { phase, changes } = phased()
  phase.appeared()
  phase.close()
  mock.timers.tick(60_000)
  assert.deepEqual(changes, [true])
})
