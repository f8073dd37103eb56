import assert from 'node:assert/strict'
import { test } from 'node:test'

import { sizesOf, tilesOf } from '../../../../images/signaling/web/app/tiles.js'

const member = (sid, { isSelf = false, screen = false } = {}) => ({ sid, isSelf, state: { screen } })
const STAGE = { width: 1280, height: 720 }
const call = (...members) => ({ call: { members: [member('me', { isSelf: true }), ...members] }, stage: STAGE })

test('a shared screen has a tile of its own beside the camera', () => {
  const tiles = tilesOf(call(member('ada', { screen: true })))
  assert.deepEqual(tiles.map(({ key }) => key), ['me-cam', 'ada-screen', 'ada-cam'])
})

test('one person fills the stage; many are wanted small', () => {
  assert.deepEqual(sizesOf(call(member('ada'))), { ada: { cam: 'large' } })
  const many = Array.from({ length: 24 }, (_, at) => member(`m${at}`))
  assert.ok(Object.values(sizesOf(call(...many))).every(({ cam }) => cam === 'small'))
})

test('a display with finer pixels is worth better pictures', () => {
  const four = ['a', 'b', 'c'].map((sid) => member(sid))
  assert.equal(sizesOf(call(...four)).a.cam, 'medium')
  assert.equal(sizesOf(call(...four), 2).a.cam, 'large')
})

test('a shared screen is wanted large and the cameras beside it small', () => {
  assert.deepEqual(sizesOf(call(member('ada', { screen: true }))), { ada: { screen: 'large', cam: 'small' } })
})

test('before the stage is measured nothing is said', () => {
  assert.deepEqual(sizesOf({ ...call(member('ada')), stage: { width: 0, height: 0 } }), {})
})
