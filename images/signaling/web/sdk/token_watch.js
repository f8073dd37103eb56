import { fromB64 } from './encode.js'

const WARNING_MS = 60_000
const LONGEST_TIMER_MS = 2 ** 31 - 1

/** Says when an access token has a minute left. */
export class TokenWatch {
  #timer = 0
  #onExpiring

  /** @param {() => void} onExpiring */
  constructor(onExpiring) {
    this.#onExpiring = onExpiring
  }

  /** @param {number | undefined} exp  Unix seconds; nothing is watched without them. */
  watch(exp) {
    clearTimeout(this.#timer)
    if (!exp) return
    const wait = exp * 1000 - Date.now() - WARNING_MS
    this.#timer =
      wait > LONGEST_TIMER_MS
        ? setTimeout(() => this.watch(exp), LONGEST_TIMER_MS)
        : setTimeout(this.#onExpiring, Math.max(0, wait))
  }

  stop() {
    clearTimeout(this.#timer)
  }
}

/**
 * @param {string} token  A JWT.
 * @returns {number | undefined} Unix seconds.
 */
export function expiryOf(token) {
  try {
    return JSON.parse(new TextDecoder().decode(fromB64(token.split('.')[1]))).exp
  } catch {
    return undefined
  }
}
