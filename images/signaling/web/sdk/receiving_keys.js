/**
 * @typedef {import('./types.js').Bytes} Bytes
 * @typedef {import('./frame.js').Frame} Frame
 * @typedef {import('./sframe.js').FrameKey} FrameKey
 */

import { concat } from './encode.js'
import { metadata, split } from './frame.js'
import { MAX_KID, generationOf, stepOf } from './kid.js'
import { ReplayWindow } from './replay.js'
import { AES_256_GCM_SHA512_128 as SUITE, decodeHeader, frameKey, openFrame, ratchet } from './sframe.js'

const MAX_STEPS_AHEAD = 64
const OLD_KEY_MS = 10_000
const MAX_KEYS = 16
/** More than an honest sender has keys on their way at once: it hands out its newest one only. */
const MAX_WINDOWS = 256
const SPECULATION_PAUSE_MS = 250
/** @type {{missing: null}} */
const REFUSED = { missing: null }
/** @type {{missing: null}} */
const REPEATED = { missing: null }

/**
 * @typedef {object} HeldKey
 * @property {Uint8Array} baseKey
 * @property {FrameKey} key
 * @property {ReplayWindow} replay
 * @property {number} expires
 */

/**
 * The keys of one other member. Has no clock of its own, and no way to pass a frame on that did not open.
 */
export class ReceivingKeys {
  /** @type {Map<number, HeldKey>} newest last */
  #held = new Map()
  /** @type {Map<number, ReplayWindow>} of keys held once: one that comes back opens nothing twice */
  #windows = new Map()
  #speculateAfter = -Infinity
  #now
  opened = 0
  /** Frames whose key was never there, or not yet: as a call begins they may overtake it. */
  early = 0
  /** Frames that had come before: browsers send packets again to find out what the path carries. */
  repeated = 0
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
    if (this.#held.has(kid) || kid > MAX_KID) return
    const key = await this.#prepare(kid, baseKey, Infinity)
    this.#supersede((old) => !isLaterStep(old, kid))
    this.#hold(kid, key)
  }

  /**
   * @param {Frame} frame
   * @returns {Promise<{data: Bytes} | {missing: number | null}>} `missing` names the key of a frame that can't be opened
   *   for want of it, and is `null` where the frame is at fault.
   */
  async open(frame) {
    const result = await this.#open(frame)
    if ('data' in result) this.opened += 1
    else if (result === REPEATED) this.repeated += 1
    else if (result.missing !== null && !this.#windows.has(result.missing)) this.early += 1
    else this.failed += 1
    return result
  }

  /** Forgets all keys: the member left. */
  forget() {
    for (const kid of this.#held.keys()) this.#release(kid)
  }

  /** Forgets keys whose time is over. */
  expire() {
    for (const [kid, { expires }] of this.#held) if (expires <= this.#now()) this.#release(kid)
  }

  /**
   * @param {Frame} frame
   * @returns {Promise<{data: Bytes} | {missing: number | null}>}
   */
  async #open(frame) {
    this.expire()
    const parts = split(frame)
    if (!parts) return REFUSED
    const { head, rest: sealed } = parts
    let header
    try {
      header = decodeHeader(sealed)
    } catch {
      return REFUSED
    }
    if (header.kid > BigInt(MAX_KID)) return REFUSED
    const kid = Number(header.kid)
    const held = this.#held.get(kid)
    const candidate = held ?? (await this.#ratchetTo(kid))
    if (!candidate) return { missing: kid }
    if (!candidate.replay.admits(header.ctr)) return candidate.replay.has(header.ctr) ? REPEATED : REFUSED
    let rest
    try {
      rest = await openFrame(candidate.key, header, metadata(frame, head), sealed)
    } catch {
      if (!held) this.#speculateAfter = this.#now() + SPECULATION_PAUSE_MS
      return REFUSED
    }
    // Another track may have got here first while this one waited.
    const { replay } = this.#held.get(kid) ?? this.#advance(kid, candidate)
    if (!replay.admits(header.ctr)) return REPEATED
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
    const held = /** @type {HeldKey} */ (this.#held.get(from))
    let next = held.baseKey
    for (let step = 0; step < steps; step += 1) next = await ratchet(SUITE, next)
    if (this.#held.get(from) !== held) return null // released meanwhile: this may be a ratchet of zeros
    return this.#prepare(kid, next, held.expires)
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
    if (this.#held.size > MAX_KEYS) this.#release(oldest(this.#held))
    if (this.#windows.size > MAX_WINDOWS) this.#windows.delete(oldest(this.#windows))
    return key
  }

  /** @param {number} kid */
  #release(kid) {
    this.#held.get(kid)?.baseKey.fill(0)
    this.#held.delete(kid)
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

/** @param {Map<number, unknown>} map  Not empty. */
function oldest(map) {
  return /** @type {number} */ (map.keys().next().value)
}
