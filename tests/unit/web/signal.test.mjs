import assert from 'node:assert/strict'
import { afterEach, beforeEach, mock, test } from 'node:test'

import { Signal, SignalError } from '../../../images/signaling/web/sdk/signal.js'

/** Stands at the server's end of each socket that the client opens. */
class Socket {
  static OPEN = 1
  /** @type {Socket[]} */
  static all = []
  readyState = 1
  said = []
  closed = false

  constructor(url, protocols) {
    Object.assign(this, { url, protocols })
    Socket.all.push(this)
  }

  send(text) {
    this.said.push(JSON.parse(text))
  }

  close() {
    this.readyState = 3
    this.closed = true
  }

  says(t, d, more = {}) {
    this.onmessage({ data: JSON.stringify({ t, d, ...more }) })
  }

  breaks(code = 1006) {
    this.readyState = 3
    this.onclose({ code })
  }

  last(type) {
    return this.said.findLast(({ t }) => t === type)
  }

  accept() {
    this.says('welcome', {})
    const { t } = this.said.at(-1)
    if (t === 'hello') this.says('hello.ok', { sid: 'sid-1', resume_token: 'rt-1' }, { re: 'hello' })
    else this.says('resume.ok', { sid: 'sid-1', resume_token: 'rt-2', recovered: true, room: 'r', epoch: 'e1' }, { re: 'resume' })
  }
}

const newest = () => Socket.all.at(-1)
const turn = async () => {
  for (let n = 0; n < 10; n += 1) await Promise.resolve()
}

let native
let seen
let signal

beforeEach(() => {
  native = globalThis.WebSocket
  globalThis.WebSocket = Socket
  Socket.all = []
  mock.timers.enable({ apis: ['setTimeout', 'Date'] })
  seen = { sessions: [], resumed: [], frames: [], down: 0, closed: [] }
  signal = new Signal({
    url: 'ws://server',
    token: 'jwt',
    onSession: async (session) => seen.sessions.push(session),
    onResumed: (data) => seen.resumed.push(data),
    onFrame: (frame) => seen.frames.push(frame),
    onDown: () => (seen.down += 1),
    onClosed: (...why) => seen.closed.push(why),
  })
})

afterEach(() => {
  signal.close()
  mock.timers.reset()
  globalThis.WebSocket = native
})

async function opened() {
  const ready = signal.open()
  newest().accept()
  await ready
  return newest()
}

/** Lets the client come back after a break. */
function comesBack() {
  const before = Socket.all.length
  for (let waited = 0; Socket.all.length === before; waited += 100) {
    assert.ok(waited < 16_000, 'the client did not come back')
    mock.timers.tick(100)
  }
  return newest()
}

test('the token travels in hello, never in the address', async () => {
  const socket = await opened()
  assert.equal(socket.url, 'ws://server')
  assert.deepEqual(socket.protocols, ['sig.v1'])
  assert.equal(socket.last('hello').d.token, 'jwt')
  assert.equal(seen.sessions[0].sid, 'sid-1')
})

test('a broken socket is resumed from the last offset, as a newer attempt of the same connection', async () => {
  const first = await opened()
  const joining = signal.request('join', { d: {} })
  first.says('join.ok', { epoch: 'e1', off: 7, snapshot: { members: [] } }, { re: first.last('join').id })
  await joining
  first.says('ev', { kind: 'joined' }, { off: 8 })
  first.breaks()
  assert.equal(seen.down, 1)
  const second = comesBack()
  second.accept()
  const { cid, attempt } = first.last('hello').d
  assert.deepEqual(second.last('resume').d, { cid, attempt: attempt + 1, resume_token: 'rt-1', epoch: 'e1', off: 8 })
  assert.equal(seen.resumed.length, 1)
})

test('requests under way are repeated with the same id, and each gets one reply', async () => {
  const first = await opened()
  const asked = signal.request('state', { d: {} })
  const { id } = first.last('state')
  first.breaks()
  const offline = signal.request('msg', { d: { body: 'x' } })
  const second = comesBack()
  second.accept()
  assert.deepEqual(second.said.slice(1).map(({ t }) => t), ['state', 'msg'])
  assert.equal(second.last('state').id, id)
  second.says('ok', {}, { re: id })
  second.says('ok', {}, { re: second.last('msg').id })
  await Promise.all([asked, offline])
  second.breaks()
  const third = comesBack()
  third.accept()
  assert.equal(third.said.length, 1, 'what was answered is not repeated')
})

test('a durable frame that two sockets deliver is handed on once', async () => {
  const first = await opened()
  first.says('ev', { kind: 'a' }, { off: 1 })
  first.says('goaway', { reason: 'drain', by_ms: 5_000, reconnect_after_ms: 200 })
  mock.timers.tick(200)
  const second = newest()
  assert.notEqual(second, first)
  second.says('welcome', {})
  first.says('ev', { kind: 'b' }, { off: 2 })
  assert.equal(first.closed, false, 'the old socket works until the new one does')
  second.says('resume.ok', { sid: 'sid-1', resume_token: 'rt-2', recovered: true, room: 'r', epoch: 'e1' }, { re: 'resume' })
  assert.equal(first.closed, true)
  second.says('ev', { kind: 'b' }, { off: 2 })
  second.says('ev', { kind: 'c' }, { off: 3 })
  second.says('key.deliver', { body: 'x' })
  second.says('key.deliver', { body: 'x' })
  assert.deepEqual(seen.frames.map(({ d }) => d.kind ?? d.body), ['a', 'b', 'c', 'x', 'x'])
  assert.equal(seen.down, 0)
})

test('a snapshot starts the offsets of its epoch', async () => {
  const socket = await opened()
  socket.says('ev', { kind: 'a' }, { off: 90 })
  socket.says('snapshot', { epoch: 'e2', off: 4, members: [] })
  socket.says('ev', { kind: 'b' }, { off: 5 })
  assert.deepEqual(seen.frames.map(({ d }) => d.kind ?? d.epoch), ['a', 'e2', 'b'])
  socket.breaks()
  const next = comesBack()
  next.accept()
  assert.deepEqual([next.last('resume').d.epoch, next.last('resume').d.off], ['e2', 5])
})

test('a session that the server lost begins anew, and its requests fail', async () => {
  const first = await opened()
  const asked = signal.request('state', { d: {} })
  first.breaks()
  const second = comesBack()
  second.says('welcome', {})
  second.says('error', { code: 'resume_failed', message: 'gone', retryable: false, next: 'rejoin' }, { re: 'resume' })
  assert.equal(second.last('hello').d.token, 'jwt')
  second.says('hello.ok', { sid: 'sid-2', resume_token: 'rt-9' }, { re: 'hello' })
  await assert.rejects(asked, { code: 'session_lost' })
  assert.deepEqual(seen.sessions.map(({ sid }) => sid), ['sid-1', 'sid-2'])
  assert.deepEqual(seen.closed, [])
})

/** A session whose member is in a room. */
async function joined() {
  const socket = await opened()
  const joining = signal.request('join', { d: {} })
  socket.says('join.ok', { epoch: 'e1', off: 7, snapshot: { members: [] } }, { re: socket.last('join').id })
  await joining
  return socket
}

test('a session that comes back without its room is given up for another, and is not called resumed', async () => {
  const first = await joined()
  const asked = signal.request('state', { d: {} })
  first.breaks()
  const second = comesBack()
  second.says('welcome', {})
  second.says('resume.ok', { sid: 'sid-1', resume_token: 'rt-2', recovered: true }, { re: 'resume' })
  assert.equal(second.said.at(-1).t, 'bye')
  assert.deepEqual(seen.resumed, [])
  const third = newest()
  assert.notEqual(third, second)
  third.accept()
  assert.ok(third.last('hello'))
  await assert.rejects(asked, { code: 'session_lost' })
  await turn()
  assert.equal(seen.sessions.length, 2)
})

test('a session that never joined comes back, and its join is asked for again', async () => {
  const first = await opened()
  const joining = signal.request('join', { d: {} })
  first.breaks()
  const second = comesBack()
  second.says('welcome', {})
  second.says('resume.ok', { sid: 'sid-1', resume_token: 'rt-2', recovered: true }, { re: 'resume' })
  second.says('join.ok', { epoch: 'e1', off: 7, snapshot: { members: [] } }, { re: second.last('join').id })
  await joining
  assert.equal(seen.sessions.length, 1)
})

test('being replaced by an own newer socket, whose reply is still on its way, ends nothing', async () => {
  const first = await joined()
  first.says('goaway', { reason: 'drain', by_ms: 1_000, reconnect_after_ms: 0 })
  mock.timers.tick(1)
  const second = newest()
  second.says('welcome', {})
  first.breaks(4005)
  assert.deepEqual(seen.closed, [])
  second.says('resume.ok', { sid: 'sid-1', resume_token: 'rt-2', recovered: true, room: 'r', epoch: 'e1' }, { re: 'resume' })
  assert.equal(seen.resumed.length, 1)
  assert.equal(seen.down, 0)
  second.breaks(4005)
  assert.deepEqual(seen.closed, [['replaced', 4005]])
})

test('final close codes end it, others do not', async () => {
  await opened()
  for (const code of [1001, 1006, 1011, 4001, 4002, 4003, 4004, 4006]) {
    newest().breaks(code)
    comesBack().accept()
    assert.deepEqual(seen.closed, [], `${code}`)
  }
  newest().breaks(4502)
  assert.deepEqual(seen.closed, [['kicked', 4502]])
  const sockets = Socket.all.length
  mock.timers.tick(60_000)
  assert.equal(Socket.all.length, sockets)
  await assert.rejects(signal.request('state', { d: {} }), SignalError)
})

test('a refusal at the first hello rejects open with its code', async () => {
  const ready = signal.open()
  newest().says('welcome', {})
  newest().breaks(4500)
  await assert.rejects(ready, { code: 'bad_token', closeCode: 4500 })
})

test('closing while it opens settles who waits for it', async () => {
  const ready = signal.open()
  newest().says('welcome', {})
  signal.bye()
  await assert.rejects(ready, { code: 'closed' })
})

test('a server that never answers is given up when opening', async () => {
  const ready = signal.open()
  ready.catch(() => undefined)
  for (let second = 0; second < 60; second += 1) {
    mock.timers.tick(1_000)
    await turn()
  }
  await assert.rejects(ready, { code: 'unreachable' })
})

test('a retryable refusal is tried again after the time that the server names', async () => {
  const socket = await opened()
  const asked = signal.request('msg', { d: {} })
  const { id } = socket.last('msg')
  socket.says('error', { code: 'rate_limited', message: '', retryable: true, retry_after_ms: 4_000 }, { re: id })
  mock.timers.tick(3_999)
  assert.equal(socket.said.filter(({ t }) => t === 'msg').length, 1)
  mock.timers.tick(2_001)
  assert.deepEqual(socket.said.filter(({ t }) => t === 'msg').map((frame) => frame.id), [id, id])
  socket.says('ok', {}, { re: id })
  await asked
})

test('a silent socket is found out and replaced', async () => {
  const first = await opened()
  mock.timers.tick(10_000)
  assert.ok(first.last('ping'))
  first.says('pong', { ts: 1 })
  mock.timers.tick(5_000)
  assert.equal(first.closed, false)
  mock.timers.tick(10_000)
  mock.timers.tick(5_000)
  assert.equal(first.closed, true)
  assert.equal(seen.down, 1)
  comesBack()
})

test('frames that are none are ignored', async () => {
  const socket = await opened()
  for (const data of ['', 'x', '[]', 'null', '{}', '{"t":1,"d":{}}', '{"t":"ev"}', '{"t":"ev","d":1}']) socket.onmessage({ data })
  socket.onmessage({ data: new ArrayBuffer(3) })
  assert.deepEqual(seen.frames, [])
})
