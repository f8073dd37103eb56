/**
 * The client's worker as it is, with a server that attacks between it and the network, and a switch that takes the
 * encryption away on both sides of it.
 *
 * Frames reach this server sealed, with the metadata that a forwarding server knows, and it hands on what it likes:
 * each frame that comes by the network is a carrier, the payload in it is the server's choice. That is what a server
 * can do that ends DTLS-SRTP on both sides.
 */

import './worker.js?production'

const production = self.onrtctransform
const PLAINTEXT_SILENCE = Uint8Array.of(0xf8, 0xff, 0xfe)
const RECORDED = 2_000

/** @type {Record<string, Uint8Array[]>} payloads that came by the network, by member */
const recorded = {}
/** @type {Record<string, {came: number, altered: number, played: number, alteredPlayed: number}>} by member */
const counts = {}
let encrypted = true
let attack = { kind: 'none' }
let turn = 0
/** @type {Uint8Array[]} */
let given = []
/** @type {Uint8Array[]} payloads held back */
let held = []
const HELD = 8

const bytesOf = (text) => Uint8Array.from(atob(text), (character) => character.charCodeAt(0))
const textOf = (bytes) => btoa(String.fromCharCode(...bytes))
const countsOf = (sid) => (counts[sid] ??= { came: 0, altered: 0, played: 0, alteredPlayed: 0 })

/** What the server puts into a carrier instead of what came in it; `undefined` where it leaves that. */
const attacks = {
  none: () => undefined,
  flip: (payload) => {
    const bit = turn % (payload.length * 8)
    return payload.map((byte, at) => (at === bit >> 3 ? byte ^ (1 << (bit & 7)) : byte))
  },
  truncate: (payload) => payload.slice(0, payload.length - 1 - (turn % (payload.length - 1))),
  extend: (payload) => Uint8Array.of(...payload, 0),
  give: () => given[turn % given.length],
  silence: () => PLAINTEXT_SILENCE,
  /** Eight payloads from the last to the first, and once more; those that come meanwhile are lost. */
  backwards: (payload) => {
    const next = given.shift()
    if (next) return next
    held.push(payload)
    if (held.length === HELD) given = [...held.reverse(), ...held.splice(0)]
    return new Uint8Array(0)
  },
  swap: (payload, { other }) => recorded[other]?.at(-1),
}

/** @returns {boolean} Whether the frame was altered; one that is empty then is not handed on. */
function tamper(sid, frame) {
  const came = new Uint8Array(frame.data).slice() // its own bytes go with the frame when that is handed on
  const list = (recorded[sid] ??= [])
  list.push(came)
  if (list.length > RECORDED) list.shift()
  if (attack.on !== sid) return false
  const payload = attacks[attack.kind](came, attack)
  turn += 1
  if (!payload) return false
  frame.data = payload.slice().buffer
  return true
}

self.onrtctransform = ({ transformer }) => {
  const { options, readable, writable } = transformer
  const into = new TransformStream()
  const out = new TransformStream()
  const altered = new WeakSet()
  const sink = writable.getWriter()
  const sealed = into.writable.getWriter()
  const ignore = () => undefined // the connection was closed

  const handOn = (frame) => {
    if (options.role === 'receive') {
      const count = countsOf(options.sid)
      count.played += 1
      if (altered.has(frame)) count.alteredPlayed += 1
    }
    sink.write(frame).catch(ignore)
  }
  const arrive = (frame) => {
    if (options.role === 'receive') {
      const count = countsOf(options.sid)
      count.came += 1
      if (tamper(options.sid, frame)) {
        if (!frame.data.byteLength) return
        altered.add(frame)
        count.altered += 1
      }
    }
    if (encrypted) sealed.write(frame).catch(ignore)
    else handOn(frame)
  }
  readable.pipeTo(new WritableStream({ write: arrive })).catch(ignore)
  out.readable.pipeTo(new WritableStream({ write: handOn })).catch(ignore)
  const sendKeyFrameRequest = () => transformer.sendKeyFrameRequest()
  production({ transformer: { options, readable: into.readable, writable: out.writable, sendKeyFrameRequest } })
}

const commands = {
  encrypt: ({ on }) => void (encrypted = on),
  attack: ({ payloads = [], ...how }) => {
    given = payloads.map(bytesOf)
    turn = 0
    held = []
    attack = how
  },
  counts: () => counts,
  recorded: ({ sid, last }) => (recorded[sid] ?? []).slice(-last).map(textOf),
}

self.addEventListener('message', ({ data, ports: [port] }) => {
  if (data.server) port.postMessage(commands[data.server](data) ?? null)
})
