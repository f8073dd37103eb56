const HOPE_MS = 8_000
const PATIENCE_MS = 3_000

/**
 * Whether a member may rely on an SFU.
 *
 * `off`: there is none, or it can't be reached. `hoped`: one is there and the connection is being made. `up`: media gets
 * through, or did until a moment ago.
 *
 * An SFU that was given up is not hoped for again, however often it asks for another connection: only a connection that
 * stands counts from then on, until another SFU comes.
 */
export class SfuPhase {
  /** @type {'off' | 'hoped' | 'up'} */
  #phase = 'off'
  /** Whether the next connection that is begun gets time of its own. */
  #isFresh = true
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

  /** An SFU is there, or another one. */
  appeared() {
    this.#isFresh = true
    this.#hope()
  }

  /** A connection with the SFU is begun: the first one, or another after that. */
  begun() {
    if (!this.#isFresh) return
    this.#isFresh = false
    this.#hope()
  }

  /** No SFU is there any more. One that forwards goes on for as long as it can be reached. */
  vanished() {
    if (this.#phase === 'hoped') this.#giveUpIn(PATIENCE_MS)
  }

  /** @param {boolean} connected  Whether any connection with an SFU stands. */
  connection(connected) {
    if (connected) {
      this.#stop()
      this.#isFresh = true
      this.#become('up')
    } else if (this.#phase === 'up' && !this.#timer) this.#giveUpIn(PATIENCE_MS)
  }

  /** It can't be relied on, and nothing is to be waited for. */
  close() {
    this.#stop()
  }

  #hope() {
    if (this.#phase !== 'up') {
      this.#become('hoped')
      this.#giveUpIn(HOPE_MS)
    } else if (this.#timer) this.#giveUpIn(PATIENCE_MS)
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
