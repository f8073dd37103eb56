/**
 * @typedef {object} InboxOptions
 * @property {(sid: string) => boolean} isPresent  Whether a member has proved that it is there.
 * @property {(sid: string, body: string) => Promise<{data: any} | null>} open
 * @property {(sid: string, data: unknown) => void} onMessage
 */

const NONCE_CHARACTERS = 16
const WAITING = 32

/**
 * Application messages of members who are there, each once.
 *
 * All members share the key of messages, and a join link outlives a call. So a server could show messages of another day,
 * under the session ids of that day; or one message twice.
 */
export class Inbox {
  #o
  /** @type {Set<string>} sender and nonce of each that opened */
  #seen = new Set()
  /** @type {{from: string, body: string}[]} that came before the first key of their sender */
  #waiting = []

  /** @param {InboxOptions} options */
  constructor(options) {
    this.#o = options
  }

  /**
   * @param {string} from
   * @param {string} body
   */
  async take(from, body) {
    if (!this.#o.isPresent(from)) {
      this.#waiting.push({ from, body })
      if (this.#waiting.length > WAITING) this.#waiting.shift()
      return
    }
    const opened = await this.#o.open(from, body)
    const id = `${from} ${body.slice(0, NONCE_CHARACTERS)}`
    if (!opened || this.#seen.has(id)) return
    this.#seen.add(id)
    this.#o.onMessage(from, opened.data)
  }

  /** Someone may have proved to be there. */
  async presenceChanged() {
    for (const { from, body } of this.#waiting.splice(0)) await this.take(from, body)
  }
}
