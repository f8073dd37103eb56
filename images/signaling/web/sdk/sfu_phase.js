const HOPE_MS = 8_000
const PATIENCE_MS = 3_000

/**
 * Whether a member may rely on an SFU.
 *
 * `off`: there is none, or it can't be reached. `hoped`: one is there and the connection is being made. `up`: media gets
 * through, or did until a moment ago.
 */
export class SfuPhase {
  /** @type {'off' | 'hoped' | 'up'} */
  #phase = 'off'
  #timer = 0
  #onChange

  /** @param {(covers: boolean) => void} onChange */
  constructor(onChange) {
    this.#onChange = onChange
  }

  /** Whether members that are reached through the SFU need no connection of their own. */
  get covers() {
    return this.#phase !== 'off'
  }

  /** An SFU is there, or another one, or another connection with it. */
  appeared() {
    if (this.#phase === 'up') {
      if (this.#timer) this.#giveUpIn(PATIENCE_MS)
      return
    }
    this.#become('hoped')
    this.#giveUpIn(HOPE_MS)
  }

  /** No SFU is there any more. One that forwards goes on for as long as it can be reached. */
  vanished() {
    if (this.#phase === 'hoped') this.#giveUpIn(PATIENCE_MS)
  }

  /** @param {boolean} connected  Whether any connection with an SFU stands. */
  connection(connected) {
    if (connected) {
      this.#stop()
      this.#become('up')
    } else if (this.#phase === 'up' && !this.#timer) this.#giveUpIn(PATIENCE_MS)
  }

  /** It can't be relied on, and nothing is to be waited for. */
  close() {
    this.#stop()
  }

  /** @param {number} milliseconds */
  #giveUpIn(milliseconds) {
    this.#stop()
    this.#timer = /** @type {any} */ (
      setTimeout(() => {
        this.#timer = 0
        this.#become('off')
      }, milliseconds)
    )
  }

  #stop() {
    clearTimeout(this.#timer)
    this.#timer = 0
  }

  /** @param {'off' | 'hoped' | 'up'} phase */
  #become(phase) {
    const covered = this.covers
    this.#phase = phase
    if (covered !== this.covers) this.#onChange(this.covers)
  }
}
