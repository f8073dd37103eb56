/** The browser's cryptography on a leash: one JSON command a line comes in, one JSON answer a line goes out. */

import { createInterface } from 'node:readline'

const sdk = new URL('../../../images/signaling/web/sdk/', import.meta.url)
const load = (name) => import(new URL(name, sdk))
const { fromB64, toB64 } = await load('encode.js')
const { makeBundle, verifyBundle } = await load('bundle.js')
const { openEnvelope, sealEnvelope } = await load('envelope.js')
const { generateKeyPair } = await load('hpke.js')
const { ReceivingKeys } = await load('receiving_keys.js')
const { SendingKey } = await load('sending_key.js')
const { RoomSecret } = await load('room_secret.js')
const { Secret } = await load('secret.js')
const { securityCode } = await load('security_code.js')

const raw = async (key) => new Uint8Array(await crypto.subtle.exportKey('raw', key))
const pair = await crypto.subtle.generateKey({ name: 'Ed25519' }, false, ['sign', 'verify'])
const identity = { privateKey: pair.privateKey, publicKey: await raw(pair.publicKey), kept: true }
const keyPair = await generateKeyPair()

let now = 0
let room = ''
let secret = null
let sending = new SendingKey()
let receiving = new ReceivingKeys(() => now)

const verified = (bundle, sid) => verifyBundle(bundle, { room, sid, roomSecret: secret, now })
const relation = (from, to) => ({ room, from, to, psk: secret?.psk ?? null })

const commands = {
  async enter(command) {
    now = command.now
    room = command.room
    secret = command.secret ? await RoomSecret.derive(room, fromB64(command.secret)) : null
    sending = new SendingKey()
    receiving = new ReceivingKeys(() => now)
  },
  async bundle({ sid }) {
    return makeBundle({ room, sid, identity, ek: await raw(keyPair.publicKey), roomSecret: secret, now })
  },
  async trusts({ bundle, sid }) {
    return (await verified(bundle, sid)) !== null
  },
  async sealEnvelope({ from, to, bundle, kid, base, seq }) {
    const recipient = await verified(bundle, to)
    const content = { kid, baseKey: new Secret(fromB64(base)), seq, ts: now }
    return sealEnvelope(relation(from, to), content, { identity, recipient })
  },
  async openEnvelope({ from, to, bundle, body, lastSeq }) {
    const sender = await verified(bundle, from)
    const opened = await openEnvelope(relation(from, to), body, { sender, keyPair, lastSeq })
    return opened && { kid: opened.kid, base: toB64(opened.baseKey.reveal()), seq: opened.seq }
  },
  async use({ kid, base }) {
    await sending.use(kid, fromB64(base))
  },
  async learn({ kid, base }) {
    await receiving.learn(kid, fromB64(base))
  },
  async sealFrame({ sid, source, data, clear }) {
    return toB64(await sending.seal({ sid, source, data: fromB64(data), clear }))
  },
  async openFrame({ sid, source, data, clear }) {
    const opened = await receiving.open({ sid, source, data: fromB64(data), clear })
    return 'data' in opened ? toB64(opened.data) : null
  },
  sealName: ({ sid, name }) => secret.sealName(sid, name),
  openName: ({ sid, meta }) => secret.openName(sid, meta),
  sealMessage: ({ sid, message }) => secret.sealMessage(sid, message),
  openMessage: ({ sid, body }) => secret.openMessage(sid, body),
  code: ({ identities }) => securityCode(room, identities),
}

for await (const line of createInterface({ input: process.stdin })) {
  const { do: name, ...rest } = JSON.parse(line)
  console.log(JSON.stringify((await commands[name](rest)) ?? null))
}
