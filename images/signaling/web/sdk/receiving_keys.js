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
/** A key that someone held who is gone: its sender has a new one in use within three seconds, and this one is old then. */
const OUTDATED_MS = 3_000 + OLD_KEY_MS
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
 * @property {boolean} released  Whether it was forgotten, and its base key overwritten.
 */

/**
 * The keys of one other member. Has no clock of its own, and no way to pass a frame on that did not open.
 */
export class ReceivingKeys {
  /** @type {Map<number, HeldKey>} newest last */
  #held = new Map()
  /** @type {Map<number, ReplayWindow>} of keys held once: one that comes back opens nothing twice */
  #windows = new Map()
  /** @type {Set<number>} generations that someone held who is gone */
  #outdated = new Set()
  #timesForgotten = 0
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
   * Takes over a key that its sender gave. Keys before it open frames for a while yet. One that is held, and outdated,
   * gets another while: its sender vouches for it.
   *
   * @param {number} kid
   * @param {Uint8Array} baseKey
   */
  async learn(kid, baseKey) {
    if (kid > MAX_KID) return
    const held = this.#held.get(kid)
    if (held) {
      if (this.#outdated.has(generationOf(kid))) held.expires = Math.max(held.expires, this.#now() + OUTDATED_MS)
      return
    }
    const forgotten = this.#timesForgotten
    const key = await this.#prepare(kid, baseKey)
    if (forgotten !== this.#timesForgotten) return void baseKey.fill(0)
    if (this.#held.has(kid)) return
    this.#supersede((old) => !isLaterStep(old, kid))
    if (this.#outdated.has(generationOf(kid))) key.expires = this.#now() + OUTDATED_MS
    this.#hold(kid, key)
  }

  /** Someone is gone who held these keys, or could have made them: they do not wait for a new one to come. */
  outdate() {
    const last = this.#now() + OUTDATED_MS
    for (const [kid, held] of this.#held) {
      this.#outdated.add(generationOf(kid))
      held.expires = Math.min(held.expires, last)
    }
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

  /** Forgets all keys: the member left. What is being learned or opened meanwhile comes to nothing. */
  forget() {
    this.#timesForgotten += 1
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
    const origin = held ?? this.#stepBefore(kid)
    const candidate = held ?? (origin && (await this.#ratchetTo(kid, origin)))
    if (!origin || !candidate) return { missing: kid }
    if (!candidate.replay.admits(header.ctr)) return candidate.replay.has(header.ctr) ? REPEATED : REFUSED
    let rest
    try {
      rest = await openFrame(candidate.key, header, metadata(frame, head), sealed)
    } catch {
      if (!held) this.#speculateAfter = this.#now() + SPECULATION_PAUSE_MS
      return REFUSED
    }
    // Released while this frame waited: what came of it may be a ratchet of zeros, and opens nothing any more.
    if (origin.released) return REFUSED
    // Another track may have got here first meanwhile.
    const { replay } = this.#held.get(kid) ?? this.#advance(kid, candidate)
    if (!replay.admits(header.ctr)) return REPEATED
    replay.accept(header.ctr)
    return { data: concat(head, rest) }
  }

  /**
   * A later step of a generation that is held. It is kept only once it opened a frame.
   *
   * @param {number} kid
   * @param {HeldKey} origin  The caller's to check afterwards: it may be released meanwhile.
   * @returns {Promise<HeldKey | null>}
   */
  async #ratchetTo(kid, origin) {
    const steps = stepOf(kid) - stepOf(Number(origin.key.kid))
    // Every forged frame could ask for this work: after one that did not open, none is done for a while.
    if (steps > MAX_STEPS_AHEAD || this.#now() < this.#speculateAfter) return null
    let next = origin.baseKey
    for (let step = 0; step < steps; step += 1) next = await ratchet(SUITE, next)
    return this.#prepare(kid, next)
  }

  /**
   * The newest key from which a ratchet leads to this one.
   *
   * @param {number} kid
   */
  #stepBefore(kid) {
    return this.#held.get(Math.max(-1, ...[...this.#held.keys()].filter((have) => isLaterStep(kid, have))))
  }

  /**
   * Keeps a step that opened a frame, while one before it is held. It lives no longer than their generation.
   *
   * @param {number} kid
   * @param {HeldKey} key
   */
  #advance(kid, key) {
    key.expires = /** @type {HeldKey} */ (this.#stepBefore(kid)).expires
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
    const held = this.#held.get(kid)
    if (!held) return
    held.released = true
    held.baseKey.fill(0)
    this.#held.delete(kid)
  }

  /**
   * @param {number} kid
   * @param {Uint8Array} baseKey
   * @returns {Promise<HeldKey>}
   */
  async #prepare(kid, baseKey) {
    const key = await frameKey(SUITE, BigInt(kid), baseKey, 'decrypt')
    return { baseKey, key, replay: this.#windows.get(kid) ?? new ReplayWindow(), expires: Infinity, released: false }
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
