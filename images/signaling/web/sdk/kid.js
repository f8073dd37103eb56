/** Key ids of the sender keys scheme (RFC 9605, section 5.1) with eight bits of ratchet step. */

const STEP_BITS = 8
export const MAX_STEP = 2 ** STEP_BITS - 1
export const GENERATIONS = 2 ** 16
export const MAX_KID = GENERATIONS * 2 ** STEP_BITS - 1

/**
 * @param {number} generation
 * @param {number} step
 */
export function makeKid(generation, step) {
  return generation * 2 ** STEP_BITS + step
}

/** @param {number} kid */
export function generationOf(kid) {
  return Math.floor(kid / 2 ** STEP_BITS)
}

/** @param {number} kid */
export function stepOf(kid) {
  return kid % 2 ** STEP_BITS
}
