/** Waiting times between attempts: full jitter under a ceiling that doubles. */
export class Backoff {
  #failures = 0
  #firstMs
  #limitMs

  /** @param {{firstMs?: number, limitMs?: number}} [ceilings]  The first one, and where doubling ends. */
  constructor({ firstMs = 500, limitMs = 15_000 } = {}) {
    this.#firstMs = firstMs
    this.#limitMs = limitMs
  }

  /** @returns {number} Milliseconds to wait before the next attempt. */
  next() {
    const ceiling = Math.min(this.#limitMs, this.#firstMs * 2 ** this.#failures)
    this.#failures += 1
    return Math.random() * ceiling
  }

  reset() {
    this.#failures = 0
  }
}
