import assert from 'node:assert/strict'
import { test } from 'node:test'

import { arrange, fitGrid } from '../../../../images/signaling/web/app/layout.js'

const STAGES = [
  { width: 1232, height: 650 },
  { width: 848, height: 650 },
  { width: 374, height: 720 },
  { width: 700, height: 300 },
  { width: 3700, height: 1900 },
]

function people(count, screens = 0) {
  const tiles = Array.from({ length: count }, (_, n) => ({ key: `${n}-cam`, source: 'cam', isSelf: n === 0 }))
  for (let n = 0; n < screens; n++) tiles.push({ key: `${n}-screen`, source: 'screen', isSelf: n === 0 })
  return tiles
}

const overlap = (a, b) =>
  a.x + a.width > b.x + 0.01 && b.x + b.width > a.x + 0.01 && a.y + a.height > b.y + 0.01 && b.y + b.height > a.y + 0.01

for (const stage of STAGES) {
  const size = `${stage.width}x${stage.height}`

  test(`every tile has a place inside of a stage of ${size}`, () => {
    for (let count = 1; count <= 30; count++) {
      for (const screens of [0, 1, 2]) {
        const tiles = people(count, Math.min(count, screens))
        const places = arrange(tiles, stage)
        assert.deepEqual(new Set(places.map(({ key }) => key)), new Set(tiles.map(({ key }) => key)))
        for (const { key, x, y, width, height } of places) {
          assert.ok(width > 0 && height > 0, `${key} of ${count} has a size`)
          assert.ok(x >= -0.01 && y >= -0.01 && x + width <= stage.width + 0.01 && y + height <= stage.height + 0.01, key)
        }
      }
    }
  })

  test(`no tile hides another on a stage of ${size}, but for the small self view`, () => {
    for (let count = 1; count <= 30; count++) {
      for (const screens of [0, 1, 2]) {
        const places = arrange(people(count, Math.min(count, screens)), stage).filter(({ role }) => role !== 'pip')
        for (const [n, a] of places.entries()) {
          for (const b of places.slice(n + 1)) assert.ok(!overlap(a, b), `${a.key} and ${b.key} of ${count}`)
        }
      }
    }
  })
}

test('two people: the other one large, the self view small', () => {
  const [self, other] = arrange(people(2), { width: 1280, height: 720 })
  assert.equal(self.role, 'pip')
  assert.equal(other.role, 'main')
  assert.ok(self.width * 3 < other.width)
})

test('a shared screen is larger than every camera', () => {
  const places = arrange(people(4, 1), { width: 1280, height: 720 })
  const area = ({ width, height }) => width * height
  const screen = places.find(({ key }) => key === '0-screen')
  for (const place of places) if (place !== screen) assert.ok(area(place) < area(screen))
})

test('a grid uses the columns that make its boxes largest', () => {
  assert.equal(fitGrid(4, 1600, 900).columns, 2)
  assert.equal(fitGrid(3, 400, 1200).columns, 1)
  assert.equal(fitGrid(3, 3000, 400).columns, 3)
})
