import assert from 'node:assert/strict'
import { test } from 'node:test'

import { Inbox } from '../../../images/signaling/web/sdk/inbox.js'
import { RoomSecret } from '../../../images/signaling/web/sdk/room_secret.js'

const secret = await RoomSecret.derive('r', new Uint8Array(32).fill(3))

function inbox() {
  const present = new Set()
  const came = []
  const made = new Inbox({
    isPresent: (sid) => present.has(sid),
    open: (sid, body) => secret.openMessage(sid, body),
    onMessage: (sid, data) => came.push([sid, data]),
  })
  return { made, present, came }
}

test('a message comes once, however often a server shows it', async () => {
  const { made, present, came } = inbox()
  present.add('ada-1234')
  const body = await secret.sealMessage('ada-1234', 'yes')
  await Promise.all([made.take('ada-1234', body), made.take('ada-1234', body)])
  await made.take('ada-1234', body)
  assert.deepEqual(came, [['ada-1234', 'yes']])
  await made.take('ada-1234', await secret.sealMessage('ada-1234', 'yes'))
  assert.deepEqual(came, [['ada-1234', 'yes'], ['ada-1234', 'yes']], 'whoever says it again has said it again')
})

test('a message of someone who has not proved to be there waits until then', async () => {
  const { made, present, came } = inbox()
  await made.take('ada-1234', await secret.sealMessage('ada-1234', 1))
  await made.take('old-1234', await secret.sealMessage('old-1234', 'of yesterday'))
  assert.deepEqual(came, [])
  present.add('ada-1234')
  await made.presenceChanged()
  await made.presenceChanged()
  await made.take('ada-1234', await secret.sealMessage('ada-1234', 2))
  assert.deepEqual(came, [['ada-1234', 1], ['ada-1234', 2]])
})

test('messages of nobody do not pile up', async () => {
  const { made, present, came } = inbox()
  for (let n = 0; n < 40; n += 1) await made.take('ada-1234', await secret.sealMessage('ada-1234', n))
  present.add('ada-1234')
  await made.presenceChanged()
  assert.deepEqual(came.map(([, n]) => n), Array.from({ length: 32 }, (_, n) => n + 8))
})

test('what a forged message would repeat is not used up by it', async () => {
  const { made, present, came } = inbox()
  present.add('ada-1234')
  const body = await secret.sealMessage('ada-1234', 'true')
  await made.take('ada-1234', `${body.slice(0, -4)}AAAA`)
  await made.take('ada-1234', body)
  assert.deepEqual(came, [['ada-1234', 'true']])
})
