/**
 * The one worker of a call: every frame of every track goes through here, so that a key has one counter.
 *
 * Messages in: `use`, `silence`, `learn`, `outdate`, `forget`, `release`. Messages out: `ready`, `report` once a second, `missing`, `broken`.
 *
 * @typedef {{role: 'send' | 'receive', sid: string, source: import('./types.js').Source, place?: number}} Options
 *
 * @typedef {object} Transformer  RTCRtpScriptTransformer
 * @property {Options} options
 * @property {ReadableStream<EncodedFrame>} readable
 * @property {WritableStream<EncodedFrame>} writable
 * @property {() => Promise<unknown>} sendKeyFrameRequest
 *
 * @typedef {object} Track
 * @property {Transformer} transformer
 * @property {boolean} starved  Whether it lost frames for want of a key.
 * @property {number} opened  Frames, from the first on with which a decoder can begin.
 *
 * @typedef {object} EncodedFrame  RTCEncodedAudioFrame or RTCEncodedVideoFrame
 * @property {ArrayBuffer} data
 * @property {string} [type]
 * @property {() => {mimeType?: string}} getMetadata
 */

import { clearBytes } from './codecs.js'
import { ReceivingKeys } from './receiving_keys.js'
import { SendingKey } from './sending_key.js'

const REPORT_MS = 1_000
const MISSING_MS = 250

const scope = /** @type {any} */ (self)
const sending = new SendingKey()
/** @type {Map<string, ReceivingKeys>} */
const receiving = new Map()
/** @type {Set<Track>} of others */
const tracks = new Set()
/** @type {Map<string, number>} */
const reportedMissing = new Map()
/** @type {Set<string>} members that are not in the call any more; what they sent before stays in the counts */
const gone = new Set()
let work = Promise.resolve()

scope.onrtctransform = (/** @type {{transformer: Transformer}} */ event) => {
  const { transformer } = event
  const track = { transformer, starved: false, opened: 0 }
  const { role } = transformer.options
  if (role === 'receive') tracks.add(track)
  const transform = role === 'send' ? seal : open
  transformer.readable
    .pipeThrough(new TransformStream({ transform: (frame, controller) => transform(track, frame, controller) }))
    .pipeTo(transformer.writable)
    .catch(() => undefined) // the connection was closed
    .finally(() => tracks.delete(track))
}

scope.onmessage = (/** @type {MessageEvent} */ { data: { op, ...message } }) => {
  work = work.then(() => handle(op, message)).catch(() => scope.postMessage({ op: 'broken' }))
}

setInterval(() => {
  for (const keys of receiving.values()) keys.expire()
  scope.postMessage({ op: 'report', report: report() })
}, REPORT_MS)

scope.postMessage({ op: 'ready' })

/**
 * @param {string} op
 * @param {any} message
 */
async function handle(op, { sid, kid, baseKey, place }) {
  switch (op) {
    case 'use':
      return sending.use(kid, baseKey)
    case 'silence':
      return sending.silence()
    case 'learn':
      gone.delete(sid)
      await keysOf(sid).learn(kid, baseKey)
      return wake(sid)
    case 'outdate':
      return receiving.get(sid)?.outdate()
    case 'forget':
      gone.add(sid)
      return receiving.get(sid)?.forget()
    case 'release':
      for (const track of tracks) if (track.transformer.options.place === place) tracks.delete(track)
  }
}

/**
 * @param {Track} track
 * @param {EncodedFrame} frame
 * @param {TransformStreamDefaultController} controller
 */
async function seal(track, frame, controller) {
  const { sid, source } = track.transformer.options
  const clear = clearBytes(frame.getMetadata().mimeType, frame.type)
  if (clear === null || frame.data.byteLength === 0) return
  const sealed = await sending.seal({ sid, source, data: new Uint8Array(frame.data), clear })
  if (!sealed) return
  frame.data = sealed.buffer
  controller.enqueue(frame)
}

/**
 * @param {Track} track
 * @param {EncodedFrame} frame
 * @param {TransformStreamDefaultController} controller
 */
async function open(track, frame, controller) {
  const { sid, source } = track.transformer.options
  const clear = clearBytes(frame.getMetadata().mimeType, frame.type)
  if (clear === null || frame.data.byteLength === 0) return
  const opened = await keysOf(sid).open({ sid, source, data: new Uint8Array(frame.data), clear })
  if ('data' in opened) {
    frame.data = opened.data.buffer
    controller.enqueue(frame)
    if (track.opened || frame.type !== 'delta') track.opened += 1
  } else if (opened.missing !== null) {
    track.starved = true
    tellMissing(sid, opened.missing)
  }
}

/**
 * Asks for a key frame on the video tracks that lost theirs: by itself the next one could be a while away.
 *
 * @param {string} sid
 */
function wake(sid) {
  for (const track of tracks) {
    const { sid: sender, source } = track.transformer.options
    if (!track.starved || sender !== sid || source === 'mic') continue
    track.starved = false
    track.transformer.sendKeyFrameRequest().catch(() => undefined) // the track stopped meanwhile
  }
}

/**
 * @param {string} sid
 * @param {number} kid
 */
function tellMissing(sid, kid) {
  const now = performance.now()
  if (now - (reportedMissing.get(sid) ?? -Infinity) < MISSING_MS) return
  reportedMissing.set(sid, now)
  scope.postMessage({ op: 'missing', sid, kid })
}

/** @param {string} sid */
function keysOf(sid) {
  let keys = receiving.get(sid)
  if (!keys) {
    keys = new ReceivingKeys(() => performance.now())
    receiving.set(sid, keys)
  }
  return keys
}

/** @returns {import('./frame_crypto.js').Report} */
function report() {
  const { sealed, kid, framesOfGeneration } = sending
  const sums = { opened: 0, early: 0, repeated: 0, failed: 0 }
  /** @type {import('./frame_crypto.js').Report['members']} */
  const members = {}
  for (const [sid, { opened, early, repeated, failed }] of receiving) {
    if (!gone.has(sid)) members[sid] = { opened, early, repeated, failed }
    sums.opened += opened
    sums.early += early
    sums.repeated += repeated
    sums.failed += failed
  }
  const places = Object.fromEntries([...tracks].map(({ transformer, opened }) => [transformer.options.place, opened]))
  return { sealed, ...sums, members, kid, framesOfGeneration, places }
}
