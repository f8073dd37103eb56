/**
 * @typedef {import('./types.js').Bytes} Bytes
 * @typedef {import('./frame.js').Frame} Frame
 * @typedef {import('./sframe.js').FrameKey} FrameKey
 */

import { concat } from './encode.js'
import { metadata, split } from './frame.js'
import { generationOf } from './kid.js'
import { AES_256_GCM_SHA512_128 as SUITE, frameKey, sealFrame } from './sframe.js'

const MAX_FRAMES_PER_GENERATION = 2 ** 24

/**
 * The key that seals this member's frames, and its one counter. Has no way to pass a frame on unsealed.
 */
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

  /** Seals no further frames until there is another key. */
  silence() {
    this.#key = null
  }

  /**
   * @param {Frame} frame
   * @returns {Promise<Bytes | null>} `null` for a frame that can't be sent: there is no key, it has sealed enough, or
   *   the frame has nothing to seal.
   */
  async seal(frame) {
    const key = this.#key
    const parts = split(frame)
    if (!key || !parts || this.#framesOfGeneration >= this.#limit) return null
    const counter = this.#counter
    this.#counter += 1n
    this.#framesOfGeneration += 1
    const sealed = await sealFrame(key, counter, metadata(frame, parts.head), parts.rest)
    this.sealed += 1
    return concat(parts.head, sealed)
  }
}
