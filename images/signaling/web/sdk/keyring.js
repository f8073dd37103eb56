/**
 * The media keys of a call and what is done with them: seals this member's frames, opens those of others. Holds no
 * stream and no clock of its own, and has no way to pass a frame on unsealed or unopened.
 *
 * @typedef {import('./types.js').Bytes} Bytes
 * @typedef {import('./types.js').Source} Source
 * @typedef {import('./sframe.js').FrameKey} FrameKey
 */

import { concat, encode } from './encode.js'
import { generationOf, stepOf } from './kid.js'
import { ReplayWindow } from './replay.js'
import { AES_256_GCM_SHA512_128 as SUITE, decodeHeader, frameKey, openFrame, ratchet, sealFrame } from './sframe.js'

const MAX_FRAMES_PER_GENERATION = 2 ** 24
const MAX_STEPS_AHEAD = 64
const OLD_KEY_MS = 10_000
const MAX_KEYS_PER_MEMBER = 16
const SPECULATION_PAUSE_MS = 250

/**
 * @typedef {object} Frame  A frame as it stands on the wire, apart from `clear`: how many bytes lead unencrypted.
 * @property {string} sid  The sender's.
 * @property {Source} source
 * @property {Uint8Array} data
 * @property {number} clear
 */

/** The key that seals this member's frames, and its one counter. */
export class SendingKey {
  /** @type {FrameKey | null} */
  #key = null
  #counter = 0n
  /** @type {Set<number>} */
  #used = new Set()
  #framesOfGeneration = 0
  #limit
  sealed = 0

  /** @param {number} limit  Frames that one generation may seal. */
  constructor(limit = MAX_FRAMES_PER_GENERATION) {
    this.#limit = limit
  }

  /** Key id in use, -1 before the first. */
  get kid() {
    return this.#key ? Number(this.#key.kid) : -1
  }

  get framesOfGeneration() {
    return this.#framesOfGeneration
  }

  /**
   * Seals all further frames with this key.
   *
   * @param {number} kid
   * @param {Uint8Array} baseKey
   * @throws {Error} for a key id that was used before: its counter must never start again
   */
  async use(kid, baseKey) {
    if (this.#used.has(kid)) throw new Error('a media key cannot be used twice')
    this.#used.add(kid)
    const key = await frameKey(SUITE, BigInt(kid), baseKey, 'encrypt')
    if (generationOf(kid) !== generationOf(this.kid)) this.#framesOfGeneration = 0
    this.#key = key
    this.#counter = 0n
  }

  /**
   * @param {Frame} frame
   * @returns {Promise<Bytes | null>} `null` for a frame that can't be sent: there is no key, or it has sealed enough.
   */
  async seal({ sid, source, data, clear }) {
    const key = this.#key
    if (!key || this.#framesOfGeneration >= this.#limit) return null
    const counter = this.#counter
    this.#counter += 1n
    this.#framesOfGeneration += 1
    const head = data.subarray(0, clear)
    const sealed = await sealFrame(key, counter, metadata(sid, source, head), data.subarray(clear))
    this.sealed += 1
    return concat(head, sealed)
  }
}

/**
 * @typedef {object} HeldKey
 * @property {Uint8Array} baseKey
 * @property {FrameKey} key
 * @property {ReplayWindow} replay
 * @property {number} expires
 */

/** The keys of one other member. */
export class ReceivingKeys {
  /** @type {Map<number, HeldKey>} newest last */
  #held = new Map()
  /** @type {Map<number, ReplayWindow>} of every key ever held: one that comes back opens nothing twice */
  #windows = new Map()
  #speculateAfter = -Infinity
  #now
  opened = 0
  failed = 0

  /** @param {() => number} now  Milliseconds. */
  constructor(now) {
    this.#now = now
  }

  /**
   * Takes a key that its sender gave. Keys before it open frames for a while yet.
   *
   * @param {number} kid
   * @param {Uint8Array} baseKey
   */
  async learn(kid, baseKey) {
    if (this.#held.has(kid)) return
    const key = await this.#prepare(kid, baseKey, Infinity)
    this.#supersede((old) => !isLaterStep(old, kid))
    this.#hold(kid, key)
  }

  /**
   * @param {Frame} frame
   * @returns {Promise<{data: Bytes} | {missing: number | null}>} `missing` names the key of a frame that can't be opened
   *   for want of it, and is `null` where the frame is at fault.
   */
  async open({ sid, source, data, clear }) {
    const result = await this.#open(sid, source, data.subarray(0, clear), data.subarray(clear))
    if ('data' in result) this.opened += 1
    else this.failed += 1
    return result
  }

  /** Forgets all keys: the member left. */
  forget() {
    this.#held.clear()
  }

  /** Forgets keys whose time is over. */
  expire() {
    for (const [kid, { expires }] of this.#held) if (expires <= this.#now()) this.#held.delete(kid)
  }

  /**
   * @param {string} sid
   * @param {Source} source
   * @param {Uint8Array} head
   * @param {Uint8Array} sealed
   * @returns {Promise<{data: Bytes} | {missing: number | null}>}
   */
  async #open(sid, source, head, sealed) {
    this.expire()
    let header
    try {
      header = decodeHeader(sealed)
    } catch {
      return { missing: null }
    }
    if (header.kid > BigInt(Number.MAX_SAFE_INTEGER)) return { missing: null }
    const kid = Number(header.kid)
    const held = this.#held.get(kid)
    const candidate = held ?? (await this.#ratchetTo(kid))
    if (!candidate) return { missing: kid }
    if (!candidate.replay.admits(header.ctr)) return { missing: null }
    let rest
    try {
      rest = await openFrame(candidate.key, header, metadata(sid, source, head), sealed)
    } catch {
      if (!held) this.#speculateAfter = this.#now() + SPECULATION_PAUSE_MS
      return { missing: null }
    }
    // Another track may have got here first while this one waited.
    const { replay } = this.#held.get(kid) ?? this.#advance(kid, candidate)
    if (!replay.admits(header.ctr)) return { missing: null }
    replay.accept(header.ctr)
    return { data: concat(head, rest) }
  }

  /**
   * A later step of a generation that is held. It is kept only once it opened a frame.
   *
   * @param {number} kid
   * @returns {Promise<HeldKey | null>}
   */
  async #ratchetTo(kid) {
    const from = Math.max(-1, ...[...this.#held.keys()].filter((have) => isLaterStep(kid, have)))
    const steps = stepOf(kid) - stepOf(from)
    // Every forged frame could ask for this work: after one that did not open, none is done for a while.
    if (from < 0 || steps > MAX_STEPS_AHEAD || this.#now() < this.#speculateAfter) return null
    const { expires, baseKey } = /** @type {HeldKey} */ (this.#held.get(from))
    let next = baseKey
    for (let step = 0; step < steps; step += 1) next = await ratchet(SUITE, next)
    return this.#prepare(kid, next, expires)
  }

  /**
   * Keeps a step that opened a frame. It lives no longer than the generation that it belongs to.
   *
   * @param {number} kid
   * @param {HeldKey} key
   */
  #advance(kid, key) {
    this.#supersede((old) => isLaterStep(kid, old))
    return this.#hold(kid, key)
  }

  /** @param {(kid: number) => boolean} isOld */
  #supersede(isOld) {
    const last = this.#now() + OLD_KEY_MS
    for (const [kid, held] of this.#held) if (isOld(kid)) held.expires = Math.min(held.expires, last)
  }

  /**
   * @param {number} kid
   * @param {HeldKey} key
   */
  #hold(kid, key) {
    this.#held.set(kid, key)
    this.#windows.set(kid, key.replay)
    if (this.#held.size > MAX_KEYS_PER_MEMBER) this.#held.delete(/** @type {number} */ (this.#held.keys().next().value))
    return key
  }

  /**
   * @param {number} kid
   * @param {Uint8Array} baseKey
   * @param {number} expires
   * @returns {Promise<HeldKey>}
   */
  async #prepare(kid, baseKey, expires) {
    const key = await frameKey(SUITE, BigInt(kid), baseKey, 'decrypt')
    return { baseKey, key, replay: this.#windows.get(kid) ?? new ReplayWindow(), expires }
  }
}

/**
 * @param {number} kid
 * @param {number} other
 */
function isLaterStep(kid, other) {
  return generationOf(kid) === generationOf(other) && kid > other
}

/**
 * @param {string} sid
 * @param {Source} source
 * @param {Uint8Array} clear
 */
function metadata(sid, source, clear) {
  return concat(encode('frame', sid, source), clear)
}
