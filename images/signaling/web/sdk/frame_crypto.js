/**
 * The page's side of the worker that seals and opens frames.
 *
 * @typedef {import('./secret.js').Secret} Secret
 * @typedef {import('./types.js').Source} Source
 *
 * @typedef {object} Report  Counts of frames since the call began.
 * @property {number} sealed
 * @property {number} opened
 * @property {number} early
 * @property {number} repeated
 * @property {number} failed
 * @property {Record<string, import('./types.js').FrameCounts>} members  Those present.
 * @property {number} kid  The key in use, -1 before the first.
 * @property {number} framesOfGeneration  Sealed with the generation in use.
 * @property {Record<number, number>} places  Frames opened of each track that is received, from its first key frame on.
 */

const START_MS = 10_000

export class FrameCrypto {
  #worker
  #places = 0

  /** @param {Worker} worker */
  constructor(worker) {
    this.#worker = worker
  }

  /**
   * Starts the worker and waits until it takes transforms: one that is attached earlier could be missed.
   *
   * @param {object} handlers
   * @param {(report: Report) => void} handlers.onReport  Once a second.
   * @param {(sid: string, kid: number) => void} handlers.onMissing  A frame came whose key is not there.
   * @param {() => void} handlers.onBroken  The worker can't go on; nothing is sent or shown any more.
   */
  static async start({ onReport, onMissing, onBroken }) {
    const worker = new Worker(new URL('./worker.js', import.meta.url), { type: 'module', name: 'callcluster-frames' })
    await new Promise((resolve, reject) => {
      /** @param {string} problem */
      const giveUp = (problem) => {
        worker.terminate()
        reject(new Error(problem))
      }
      const timer = setTimeout(() => giveUp('The encryption worker did not start.'), START_MS)
      worker.onerror = () => giveUp('The encryption worker could not be loaded.')
      worker.onmessage = () => {
        clearTimeout(timer)
        resolve(undefined)
      }
    })
    worker.onerror = onBroken
    worker.onmessage = ({ data }) => {
      if (data.op === 'report') onReport(data.report)
      else if (data.op === 'missing') onMissing(data.sid, data.kid)
      else if (data.op === 'broken') onBroken()
    }
    return new FrameCrypto(worker)
  }

  /**
   * Puts a transform on a transceiver's both ends. Call it in the same task that made or first saw the transceiver.
   *
   * @param {RTCRtpTransceiver} transceiver
   * @param {{source: Source, selfSid: string, sid: string}} place  `sid` is the other member's.
   * @returns {number} See `attachReceiver`.
   */
  attach({ sender, receiver }, { source, selfSid, sid }) {
    this.attachSender(sender, { source, sid: selfSid })
    return this.attachReceiver(receiver, { source, sid })
  }

  /**
   * @param {RTCRtpSender} sender
   * @param {{source: Source, sid: string}} place  `sid` is this member's.
   */
  attachSender(sender, { source, sid }) {
    sender.transform = new RTCRtpScriptTransform(this.#worker, { role: 'send', sid, source })
  }

  /**
   * @param {RTCRtpReceiver} receiver
   * @param {{source: Source, sid: string}} place  `sid` is that of the member whose keys open what comes.
   * @returns {number} What reports count its frames under, until it is released.
   */
  attachReceiver(receiver, { source, sid }) {
    this.#places += 1
    receiver.transform = new RTCRtpScriptTransform(this.#worker, { role: 'receive', sid, source, place: this.#places })
    return this.#places
  }

  /** Nothing comes by this receiver any more, which browsers do not say to its transform. @param {number} place */
  release(place) {
    this.#worker.postMessage({ op: 'release', place })
  }

  /**
   * @param {number} kid
   * @param {Secret} baseKey
   */
  use(kid, baseKey) {
    this.#worker.postMessage({ op: 'use', kid, baseKey: baseKey.reveal() })
  }

  silence() {
    this.#worker.postMessage({ op: 'silence' })
  }

  /**
   * @param {string} sid
   * @param {number} kid
   * @param {Secret} baseKey
   */
  learn(sid, kid, baseKey) {
    this.#worker.postMessage({ op: 'learn', sid, kid, baseKey: baseKey.reveal() })
  }

  /** @param {string} sid */
  outdate(sid) {
    this.#worker.postMessage({ op: 'outdate', sid })
  }

  /** @param {string} sid */
  forget(sid) {
    this.#worker.postMessage({ op: 'forget', sid })
  }

  stop() {
    this.#worker.terminate()
  }
}
