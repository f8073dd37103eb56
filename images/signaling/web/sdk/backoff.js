const FIRST_MS = 500
const LIMIT_MS = 15_000

/** Waiting times between attempts: full jitter under a ceiling that doubles. */
export class Backoff {
  #failures = 0

  /** @returns {number} Milliseconds to wait before the next attempt. */
  next() {
    const ceiling = Math.min(LIMIT_MS, FIRST_MS * 2 ** this.#failures)
    this.#failures += 1
    return Math.random() * ceiling
  }

  reset() {
    this.#failures = 0
  }
}
