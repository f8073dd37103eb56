import assert from 'node:assert/strict'
import { test } from 'node:test'

import { ReplayWindow } from '../../../images/signaling/web/sdk/replay.js'

test('a counter is accepted once, in any order within the window', () => {
  const window = new ReplayWindow()
  for (const counter of [5n, 3n, 4n, 0n, 1023n]) {
    assert.ok(window.admits(counter), `${counter}`)
    window.accept(counter)
    assert.ok(!window.admits(counter), `${counter} again`)
  }
})

test('a counter that fell out of the window is refused', () => {
  const window = new ReplayWindow()
  window.accept(1024n)
  assert.ok(window.admits(1n))
  assert.ok(!window.admits(0n))
})

test('a leap over the whole window forgets nothing that it must refuse', () => {
  const window = new ReplayWindow()
  window.accept(3n)
  window.accept(2n ** 64n - 1n)
  assert.ok(!window.admits(3n))
  assert.ok(!window.admits(2n ** 64n - 1n))
  assert.ok(window.admits(2n ** 64n - 2n))
})

test('asking moves nothing', () => {
  const window = new ReplayWindow()
  assert.ok(window.admits(10_000n))
  assert.ok(window.admits(1n))
})

test('random orders agree with a plain set', () => {
  const window = new ReplayWindow()
  const seen = new Set()
  let highest = -1
  let state = 1
  for (let round = 0; round < 20_000; round += 1) {
    state = (state * 48_271) % 2_147_483_647
    const counter = Math.max(0, Math.floor(round / 4) - 700 + (state % 1400))
    const expected = counter > highest || (highest - counter < 1024 && !seen.has(counter))
    assert.equal(window.admits(BigInt(counter)), expected)
    if (!expected) continue
    window.accept(BigInt(counter))
    seen.add(counter)
    highest = Math.max(highest, counter)
  }
})
