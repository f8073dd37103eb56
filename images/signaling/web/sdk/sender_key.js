import { BASE_KEY_BYTES } from './envelope.js'
import { GENERATIONS, MAX_STEP, generationOf, makeKid, stepOf } from './kid.js'
import { Secret } from './secret.js'
import { AES_256_GCM_SHA512_128, ratchet } from './sframe.js'

/** The base key of one sender at one step. */
export class SenderKey {
  /**
   * @param {number} kid
   * @param {Secret} baseKey
   */
  constructor(kid, baseKey) {
    this.kid = kid
    this.baseKey = baseKey
  }

  /**
   * A key of a new generation, which is then in `used`.
   *
   * @param {Set<number>} used  Generations that this sender had in this call.
   */
  static fresh(used) {
    if (used.size === GENERATIONS) throw new RangeError('this call has used every key generation')
    let generation
    do [generation] = crypto.getRandomValues(new Uint16Array(1))
    while (used.has(generation))
    used.add(generation)
    return new SenderKey(makeKid(generation, 0), Secret.random(BASE_KEY_BYTES))
  }

  get generation() {
    return generationOf(this.kid)
  }

  get isLastStep() {
    return stepOf(this.kid) === MAX_STEP
  }

  /** @returns {Promise<SenderKey>} */
  async next() {
    return new SenderKey(this.kid + 1, new Secret(await ratchet(AES_256_GCM_SHA512_128, this.baseKey.reveal())))
  }
}
