/** A member that speaks JSON lines, so that another implementation can be in a call with it. */

import { createInterface } from 'node:readline'

import { RoomSecret } from '../../../images/signaling/web/sdk/room_secret.js'
import { Member, ROOM, SECRET } from './members.mjs'

const bytes = (text) => new Uint8Array(Buffer.from(text, 'base64'))
const text = (data) => Buffer.from(data).toString('base64')
const secret = process.argv[2] === 'psk' ? SECRET : null
const roomSecret = secret && (await RoomSecret.derive(ROOM, secret))
const me = await Member.make('js-member-1', { now: Date.now }, { secret })

const commands = {
  hello: async () => ({
    bundle: me.keys.bundle,
    meta: (await roomSecret?.sealName(me.sid, 'Jötunn')) ?? '',
    message: (await roomSecret?.sealMessage(me.sid, { n: 1 })) ?? '',
  }),
  found: async ({ member }) => {
    await me.keys.found([member])
    return { trusted: me.keys.trusts(member.sid), code: me.codes.at(-1), name: await roomSecret?.openName(member.sid, member.meta) }
  },
  message: async ({ from, body }) => ({ opened: await roomSecret.openMessage(from, body) }),
  joined: async ({ member }) => void (await me.keys.joined([member])),
  envelope: async ({ from, body }) => void (await me.keys.envelope(from, body)),
  ack: async ({ from, kid }) => void (await me.keys.acknowledged(from, kid)),
  seal: async ({ data, source, clear }) => ({
    frame: text(await me.sending.seal({ sid: me.sid, source, data: bytes(data), clear })),
  }),
  open: async ({ from, data, source, clear }) => {
    const opened = await me.from(from).open({ sid: from, source, data: bytes(data), clear })
    return { data: 'data' in opened ? text(opened.data) : null }
  },
}

for await (const line of createInterface({ input: process.stdin })) {
  const { command, ...given } = JSON.parse(line)
  const answer = await commands[command](given)
  await me.settled()
  process.stdout.write(`${JSON.stringify({ ...answer, sent: me.sent.splice(0) })}\n`)
}
