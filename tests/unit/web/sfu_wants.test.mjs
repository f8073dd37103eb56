import assert from 'node:assert/strict'
import { test } from 'node:test'

import { changesOf, newWishes, sourceOf, wantedOf, wishesOf } from '../../../images/signaling/web/sdk/sfu_wants.js'

const LANES = [
  ['0', 'audio'],
  ['1', 'video'],
  ['2', 'video'],
]
/** The three tracks that a member publishes. */
const published = (sid) => LANES.map(([mid, kind]) => ({ track: `${sid}${mid}`, sid, kind, mid }))
const roster = (...sids) => new Map(sids.map((sid) => [sid, { screen: false }]))
const names = (wanted) => wanted.map(({ track, sid, source }) => `${track}=${sid}/${source}`).sort()

test('a lane is told by its place and kind, and no other is known', () => {
  assert.equal(sourceOf({ mid: '0', kind: 'audio' }), 'mic')
  assert.equal(sourceOf({ mid: '1', kind: 'video' }), 'cam')
  assert.equal(sourceOf({ mid: '2', kind: 'video' }), 'screen')
  for (const [mid, kind] of [['0', 'video'], ['1', 'audio'], ['3', 'video'], ['', 'audio'], ['00', 'audio']]) {
    assert.equal(sourceOf({ mid, kind }), null)
  }
})

test('sound and camera of each member in the roster are wanted, and of nobody else', () => {
  const tracks = ['me', 'ada', 'bob', 'ghost'].flatMap(published)
  assert.deepEqual(names(wantedOf(tracks, roster('ada', 'bob'), {})), ['ada0=ada/mic', 'ada1=ada/cam', 'bob0=bob/mic', 'bob1=bob/cam'])
})

test('a screen is wanted while its member says that it shows one', () => {
  const tracks = published('ada')
  const shows = new Map([['ada', { screen: true }]])
  assert.ok(names(wantedOf(tracks, shows, {})).includes('ada2=ada/screen'))
  assert.ok(!names(wantedOf(tracks, roster('ada'), {})).includes('ada2=ada/screen'))
})

test('of two tracks for one lane the later one counts', () => {
  const again = published('ada').map((each) => ({ ...each, track: `new${each.track}` }))
  assert.deepEqual(names(wantedOf([...published('ada'), ...again], roster('ada'), {})), ['newada0=ada/mic', 'newada1=ada/cam'])
})

test('where not all fits into an offer, hidden and small pictures are left out, and never sound', () => {
  const sids = Array.from({ length: 49 }, (_, at) => `m${at}`)
  const views = Object.fromEntries(sids.map((sid) => [sid, { cam: sid === 'm48' ? 'large' : sid === 'm47' ? 'small' : 'hidden' }]))
  const wanted = wantedOf(sids.flatMap(published), roster(...sids), views)
  assert.equal(wanted.filter(({ source }) => source === 'mic').length, 49, 'everyone is heard')
  const cameras = wanted.filter(({ source }) => source === 'cam').map(({ sid }) => sid)
  assert.deepEqual(cameras.slice(0, 2), ['m48', 'm47'])
  assert.equal(cameras.length, 7)
})

test('what stays is not touched; what is gone is dropped, what is new is added', () => {
  const held = new Map([['t1', { sid: 'ada', source: 'mic' }], ['t2', { sid: 'bob', source: 'mic' }]])
  const wanted = [{ track: 't1', sid: 'ada', source: 'mic' }, { track: 't3', sid: 'ada', source: 'cam' }]
  assert.deepEqual(changesOf(held, wanted), { add: [wanted[1]], drop: ['t2'] })
  assert.deepEqual(changesOf(new Map(), []), { add: [], drop: [] })
})

test('a track that changes its member or lane is received anew, so that no transform ever serves two', () => {
  const held = new Map([['t1', { sid: 'ada', source: 'cam' }]])
  for (const other of [{ track: 't1', sid: 'bob', source: 'cam' }, { track: 't1', sid: 'ada', source: 'screen' }]) {
    assert.deepEqual(changesOf(held, [other]), { add: [other], drop: ['t1'] })
  }
})

test('pictures are wished for as large as they are shown, and a hidden one is paused', () => {
  const wanted = ['mic', 'cam', 'screen'].map((source, at) => ({ track: `t${at}`, sid: 'ada', source }))
  assert.deepEqual(wishesOf(wanted, {}), { t1: { highest: null, paused: false }, t2: { highest: null, paused: false } })
  const views = { ada: { cam: 'small', screen: 'hidden' } }
  assert.deepEqual(wishesOf(wanted, views), { t1: { highest: 0, paused: false }, t2: { highest: 0, paused: true } })
})

test('a wish is told once, a change back is told too, and messages stay small', () => {
  const small = { t1: { highest: 0, paused: false } }
  const large = { t1: { highest: null, paused: false } }
  assert.deepEqual(newWishes({}, small), [small])
  assert.deepEqual(newWishes(small, small), [])
  assert.deepEqual(newWishes(small, large), [large])
  assert.deepEqual(newWishes({}, large), [], 'that is what the SFU does anyway')
  const many = Object.fromEntries(Array.from({ length: 300 }, (_, at) => [`t${at}`, { highest: 1, paused: false }]))
  assert.deepEqual(newWishes({}, many).map((message) => Object.keys(message).length), [256, 44])
})
