const WINDOW = 1024n

/** Accepts each counter of one key once, as long as it is not older than the window below the highest one. */
export class ReplayWindow {
  /** @type {bigint} */
  #highest = -1n
  /** Bit n: the counter `highest - n` was accepted. */
  #seen = 0n

  /**
   * Whether a frame with this counter is worth opening.
   *
   * @param {bigint} counter
   */
  admits(counter) {
    if (counter > this.#highest) return true
    const age = this.#highest - counter
    return age < WINDOW && ((this.#seen >> age) & 1n) === 0n
  }

  /**
   * Whether a frame with this counter was accepted before, as far back as the window reaches.
   *
   * @param {bigint} counter
   */
  has(counter) {
    const age = this.#highest - counter
    return age >= 0n && age < WINDOW && ((this.#seen >> age) & 1n) === 1n
  }

  /**
   * Remembers a counter. Only for frames that opened: a forged counter must not move the window.
   *
   * @param {bigint} counter
   */
  accept(counter) {
    if (counter > this.#highest) {
      const step = counter - this.#highest
      this.#seen = step >= WINDOW ? 1n : ((this.#seen << step) | 1n) & ((1n << WINDOW) - 1n)
      this.#highest = counter
    } else {
      this.#seen |= 1n << (this.#highest - counter)
    }
  }
}
