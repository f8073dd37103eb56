import assert from 'node:assert/strict'
import { beforeEach, mock, test } from 'node:test'

import { SfuLeg } from '../../../images/signaling/web/sdk/sfu_leg.js'
import { Stage } from '../../../images/signaling/web/sdk/stage.js'

/** Connections that do nothing by themselves: the test says what becomes of each. */
const connections = []
class Connection {
  signalingState = 'stable'
  connectionState = 'new'
  transceivers = []

  constructor() {
    connections.push(this)
  }

  addTransceiver() {
    const transceiver = { mid: null, sender: {}, receiver: {}, setCodecPreferences() {}, stop() {} }
    this.transceivers.push(transceiver)
    this.onnegotiationneeded?.()
    return transceiver
  }

  async setLocalDescription() {
    this.transceivers.forEach((transceiver, at) => (transceiver.mid = String(at)))
    this.signalingState = 'have-local-offer'
    this.localDescription = { sdp: `${this.transceivers.length} sections` }
  }

  close() {
    this.connectionState = 'closed'
  }

  become(state) {
    this.connectionState = state
    this.onconnectionstatechange()
  }
}

const flush = () => new Promise(setImmediate)

beforeEach(() => {
  connections.length = 0
  mock.timers.reset()
  mock.timers.enable({ apis: ['setTimeout'] })
  mock.method(Math, 'random', () => 0.999)
  globalThis.RTCPeerConnection = Connection
  globalThis.RTCRtpReceiver = { getCapabilities: () => ({ codecs: [] }) }
})

function legged() {
  const [sent, covers] = [[], []]
  const others = new Map([['ada', { screen: false }]])
  let places = 0
  const leg = new SfuLeg({
    selfSid: 'me',
    frames: { attachSender() {}, attachReceiver: () => (places += 1), release() {} },
    tracks: { mic: null, cam: null, screen: null },
    iceTransportPolicy: 'all',
    others: () => others,
    stage: new Stage(() => undefined),
    send: (type, d) => sent.push({ type, ...d }),
    onCovers: (now) => covers.push(now),
    onWarning: () => undefined,
  })
  return { leg, sent, covers, others }
}

const LANES = ['audio', 'video', 'video'].map((kind, at) => ({ track: `t${at}`, sid: 'ada', kind, mid: String(at) }))
const state = (route, tracks = []) => ({ route, rev: 1, tracks })

test('an SFU whose connections never come about is tried again later and later, and not counted on meanwhile', () => {
  const { leg, covers } = legged()
  leg.seated('sfu.1')
  let waits = 0
  for (let route = 0; route < 40; route++) {
    leg.told(state(`r${route}`))
    mock.timers.tick(2_000)
    waits += 1
  }
  assert.ok(waits * 2 > 60, 'the SFU asked for another connection every two seconds')
  assert.ok(connections.length >= 5 && connections.length <= 9, `${connections.length} attempts in 80 seconds`)
  assert.deepEqual(covers, [true, false], 'eight seconds of hope, once')
})

test('after failures the latest route is the one that is tried', async () => {
  const { leg, sent } = legged()
  leg.seated('sfu.1')
  for (const route of ['r1', 'r2', 'r3']) leg.told(state(route))
  await flush()
  assert.deepEqual(sent.map(({ route }) => route), ['r1'])
  mock.timers.tick(1_000)
  await flush()
  assert.deepEqual(sent.map(({ route }) => route).filter((route, at, all) => all.indexOf(route) === at), ['r1', 'r3'])
})

test('a connection that stands ends the waiting, and the one after a lost one is begun at once', () => {
  const { leg, covers } = legged()
  leg.seated('sfu.1')
  leg.told(state('r1'))
  mock.timers.tick(8_000)
  assert.deepEqual(covers, [true, false])
  leg.told(state('r2'))
  mock.timers.tick(1_000)
  connections[1].become('connected')
  assert.deepEqual(covers, [true, false, true])
  leg.told(state('r3'))
  assert.equal(connections.length, 3)
})

test('another SFU is hoped for anew and met at once, and the same one said again is no other', () => {
  const { leg, covers } = legged()
  leg.seated('sfu.1')
  leg.told(state('r1'))
  mock.timers.tick(8_000)
  leg.seated('sfu.1')
  assert.deepEqual(covers, [true, false])
  leg.seated('sfu.2')
  assert.deepEqual(covers, [true, false, true])
  leg.told(state('s1'))
  assert.equal(connections.length, 2)
})

test('what flips to and fro within a moment makes one offer, and the first offer waits for nothing', async () => {
  const { leg, sent, others } = legged()
  leg.seated('sfu.1')
  leg.told(state('r1', LANES))
  await flush()
  const offers = () => sent.filter(({ type }) => type === 'offer')
  assert.deepEqual(Object.values(offers()[0].wants), ['t0', 't1'])
  const [connection] = connections
  connection.signalingState = 'stable'
  const before = offers().length
  for (let flips = 0; flips < 10; flips++) {
    others.set('ada', { screen: flips % 2 === 0 })
    leg.refreshSoon()
    mock.timers.tick(20)
    await flush()
  }
  others.set('ada', { screen: true })
  leg.refreshSoon()
  assert.equal(offers().length, before)
  mock.timers.tick(250)
  await flush()
  assert.deepEqual(offers().slice(before).map(({ wants }) => Object.values(wants)), [['t0', 't1', 't2']])
})

test('one that flips for ever keeps nobody from being seen', async () => {
  const { leg, sent, others } = legged()
  leg.seated('sfu.1')
  leg.told(state('r1', LANES.slice(0, 2)))
  await flush()
  connections[0].signalingState = 'stable'
  others.set('bob', { screen: false })
  leg.told({ ...state('r1', [...LANES.slice(0, 2), { track: 'u2', sid: 'bob', kind: 'video', mid: '2' }]), rev: 2 })
  others.set('bob', { screen: true })
  for (let flips = 0; flips < 10; flips++) {
    leg.refreshSoon()
    mock.timers.tick(50)
    await flush()
  }
  assert.ok(sent.some(({ wants = {} }) => Object.values(wants).includes('u2')))
})
