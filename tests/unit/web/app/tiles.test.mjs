import assert from 'node:assert/strict'
import { test } from 'node:test'

import { pageOf, sizesOf, tilesOf } from '../../../../images/signaling/web/app/tiles.js'

const member = (sid, { isSelf = false, screen = false } = {}) => ({ sid, isSelf, state: { screen } })
const STAGE = { width: 1280, height: 720 }
const call = (...members) => ({ call: { members: [member('me', { isSelf: true }), ...members] }, stage: STAGE, page: 0 })
const crowd = (count) => Array.from({ length: count }, (_, at) => member(`m${at}`))

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

test('up to twenty-five tiles are on one page, and more are paged', () => {
  assert.equal(pageOf(call(...crowd(24))).pages, 1)
  const state = call(...crowd(60))
  const pages = [0, 1, 2].map((page) => pageOf({ ...state, page }))
  assert.deepEqual(pages.map(({ page, pages, tiles }) => [page, pages, tiles.length]), [[0, 3, 25], [1, 3, 25], [2, 3, 13]])
  const shown = pages.flatMap(({ tiles }) => tiles.filter(({ isSelf }) => !isSelf).map(({ key }) => key))
  assert.equal(new Set(shown).size, 60, 'everyone is on some page, and on one alone')
  assert.equal(shown.length, 60)
})

test('the own picture and shared screens are on every page', () => {
  const state = call(member('ada', { screen: true }), ...crowd(40))
  for (const page of [0, 1]) {
    const keys = pageOf({ ...state, page }).tiles.map(({ key }) => key)
    assert.ok(keys.includes('me-cam') && keys.includes('ada-screen'))
    assert.ok(keys.length <= 25)
  }
})

test('who leaves the last page empty takes nobody with them: the page before it is shown', () => {
  assert.equal(pageOf({ ...call(...crowd(30)), page: 5 }).page, 1)
  assert.equal(pageOf({ ...call(...crowd(3)), page: 1 }).page, 0)
})

test('pictures of other pages are not wanted, and those of the page are', () => {
  const state = { ...call(...crowd(30)), page: 1 }
  const sizes = sizesOf(state)
  assert.equal(Object.keys(sizes).length, 30)
  const wanted = Object.keys(sizes).filter((sid) => sizes[sid].cam !== 'hidden')
  assert.deepEqual(wanted, pageOf(state).tiles.filter(({ isSelf }) => !isSelf).map(({ member: { sid } }) => sid))
})
