import assert from 'node:assert/strict'
import { test } from 'node:test'

import { MESH, Stage } from '../../../images/signaling/web/sdk/stage.js'

const [FIRST, SECOND] = [1, 2]

function staged() {
  const shown = []
  return { stage: new Stage((sid, source, track) => shown.push(`${sid} ${source} ${track}`)), shown }
}

test('with connections from member to member alone, each track is shown at once and taken away at the end', () => {
  const { stage, shown } = staged()
  stage.put(MESH, 'ada', 'cam', 'direct')
  stage.put(MESH, 'ada', 'cam', null)
  assert.deepEqual(shown, ['ada cam direct', 'ada cam null'])
})

test('a track takes over when it flows and not before, and the old way may then end unseen', () => {
  const { stage, shown } = staged()
  stage.put(MESH, 'ada', 'mic', 'direct')
  stage.put(FIRST, 'ada', 'mic', 'forwarded')
  assert.deepEqual(shown, ['ada mic direct'])
  stage.flows(FIRST, 'ada', 'mic')
  stage.put(MESH, 'ada', 'mic', null)
  assert.deepEqual(shown, ['ada mic direct', 'ada mic forwarded'])
})

test('where there is no other way a track is shown before it flows', () => {
  const { stage, shown } = staged()
  stage.put(FIRST, 'ada', 'mic', 'forwarded')
  stage.flows(FIRST, 'ada', 'mic')
  assert.deepEqual(shown, ['ada mic forwarded'])
})

test('when a way stalls, another that flows is shown, until the first flows again', () => {
  const { stage, shown } = staged()
  stage.put(FIRST, 'ada', 'mic', 'forwarded')
  stage.flows(FIRST, 'ada', 'mic')
  stage.stalls(FIRST)
  stage.put(MESH, 'ada', 'mic', 'direct')
  stage.flows(FIRST, 'ada', 'mic')
  assert.deepEqual(shown, ['ada mic forwarded', 'ada mic direct', 'ada mic forwarded'])
})

test('the next connection with an SFU replaces the one before track by track', () => {
  const { stage, shown } = staged()
  for (const sid of ['ada', 'bob']) {
    stage.put(FIRST, sid, 'mic', `${sid}1`)
    stage.flows(FIRST, sid, 'mic')
    stage.put(SECOND, sid, 'mic', `${sid}2`)
  }
  stage.flows(SECOND, 'ada', 'mic')
  assert.equal(stage.needs(FIRST), true, 'bob is still heard by it')
  stage.flows(SECOND, 'bob', 'mic')
  assert.equal(stage.needs(FIRST), false)
  assert.deepEqual(shown, ['ada mic ada1', 'bob mic bob1', 'ada mic ada2', 'bob mic bob2'])
})

test('it says by which way a track comes, and only of one that flows', () => {
  const { stage } = staged()
  const bySfu = () => stage.showsBy('ada', 'cam', (way) => way !== MESH)
  assert.equal(bySfu(), false)
  stage.put(FIRST, 'ada', 'cam', 'forwarded')
  assert.equal(bySfu(), false)
  stage.flows(FIRST, 'ada', 'cam')
  assert.equal(bySfu(), true)
  stage.put(FIRST, 'ada', 'cam', null)
  assert.equal(bySfu(), false)
})

test('a late word that a track flows which is gone changes nothing', () => {
  const { stage, shown } = staged()
  stage.flows(FIRST, 'ada', 'cam')
  stage.put(MESH, 'ada', 'cam', 'direct')
  stage.flows(FIRST, 'ada', 'cam')
  assert.deepEqual(shown, ['ada cam direct'])
})

/** A round of reports in which frames came by these ways. */
function round(stage, ...ways) {
  for (const [way, sid, source] of ways) stage.flows(way, sid, source)
  stage.nextRound()
}

test('who is heard no more through the SFU is shown by their own connection as soon as that brings something', () => {
  const { stage, shown } = staged()
  stage.put(FIRST, 'ada', 'mic', 'forwarded')
  round(stage, [FIRST, 'ada', 'mic'])
  for (let rounds = 0; rounds < 5; rounds++) round(stage)
  assert.deepEqual(shown, ['ada mic forwarded'], 'there is nothing else')
  stage.put(MESH, 'ada', 'mic', 'direct')
  round(stage)
  assert.deepEqual(shown, ['ada mic forwarded'], 'nothing comes directly yet')
  round(stage, [MESH, 'ada', 'mic'])
  assert.deepEqual(shown, ['ada mic forwarded', 'ada mic direct'])
  round(stage, [FIRST, 'ada', 'mic'])
  assert.deepEqual(shown.at(-1), 'ada mic forwarded', 'back with the SFU')
})

test('a way is not silent for one late frame, nor for the sake of one source', () => {
  const { stage, shown } = staged()
  for (const source of ['mic', 'cam']) {
    stage.put(MESH, 'ada', source, 'direct')
    stage.put(FIRST, 'ada', source, 'forwarded')
  }
  round(stage, [FIRST, 'ada', 'mic'], [FIRST, 'ada', 'cam'])
  const before = shown.length
  round(stage, [MESH, 'ada', 'mic'], [MESH, 'ada', 'cam'])
  for (let rounds = 0; rounds < 5; rounds++) round(stage, [FIRST, 'ada', 'mic'], [MESH, 'ada', 'cam'])
  assert.equal(shown.length, before)
})

test('one member that fell silent takes nobody else off the way', () => {
  const { stage, shown } = staged()
  for (const sid of ['ada', 'bob']) {
    stage.put(MESH, sid, 'mic', `${sid}-direct`)
    stage.put(FIRST, sid, 'mic', `${sid}-forwarded`)
  }
  round(stage, [FIRST, 'ada', 'mic'], [FIRST, 'bob', 'mic'])
  for (let rounds = 0; rounds < 3; rounds++) round(stage, [MESH, 'ada', 'mic'], [FIRST, 'bob', 'mic'], [MESH, 'bob', 'mic'])
  assert.deepEqual(shown.slice(-3), ['ada mic ada-forwarded', 'bob mic bob-forwarded', 'ada mic ada-direct'])
})

test('it says of a silent way that it does not come by it, so that it can be asked for otherwise', () => {
  const { stage } = staged()
  const bySfu = () => stage.showsBy('ada', 'cam', (way) => way !== MESH)
  stage.put(FIRST, 'ada', 'cam', 'forwarded')
  round(stage, [FIRST, 'ada', 'cam'])
  assert.equal(bySfu(), true)
  round(stage)
  assert.equal(bySfu(), false)
  round(stage, [FIRST, 'ada', 'cam'])
  assert.equal(bySfu(), true)
})
