import assert from 'node:assert/strict'
import { test } from 'node:test'

import { mirror } from '../../../../images/signaling/web/app/mirror.js'
import { initialState } from '../../../../images/signaling/web/app/state.js'
import { createStore } from '../../../../images/signaling/web/app/store.js'

/** What a mirrored store makes a call do whose `setTrack` ends with `outcome`. */
async function mirrored(outcome) {
  const store = createStore(initialState())
  const seen = { tracks: [], failed: [] }
  const call = {
    async setTrack(source, track) {
      seen.tracks.push([source, track])
      if (outcome) throw outcome
    },
    async setState() {},
    show() {},
  }
  mirror(store, call, (source) => seen.failed.push(source))
  const track = {}
  const { capture } = store.get()
  store.set({ capture: { ...capture, cam: { status: 'on', wanted: true, track } } })
  await new Promise(setImmediate)
  store.set({ now: 1 })
  await new Promise(setImmediate)
  assert.deepEqual(seen.tracks, [['cam', track]], 'a track is given once')
  return seen.failed
}

test('a track that the call takes is no news', async () => {
  assert.deepEqual(await mirrored(null), [])
})

test('a track that may not be sent is not told of as a failure', async () => {
  assert.deepEqual(await mirrored(Object.assign(new Error('not allowed'), { code: 'forbidden' })), [])
})

test('a track that a connection does not take is told of', async () => {
  assert.deepEqual(await mirrored(new DOMException('another kind', 'InvalidModificationError')), ['cam'])
})
