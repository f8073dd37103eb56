/**
 * Decides whether a call may be shown as encrypted, from what the worker counted and nothing else.
 *
 * @typedef {import('./frame_crypto.js').Report} Report
 * @typedef {import('./types.js').EncryptionView} EncryptionView
 * @typedef {import('./types.js').MediaState} MediaState
 */

const RECENT_REPORTS = 3

export class Badge {
  #sealed = 0
  #opened = 0
  #sinceSealed = Infinity
  #sinceOpened = Infinity

  /**
   * Active while what should flow does flow sealed: own frames where there are tracks to send, others' frames where
   * others say that they send.
   *
   * @param {Report} report  The next one.
   * @param {{sends: boolean, receives: boolean}} expected
   * @returns {EncryptionView}
   */
  update({ sealed, opened, early, repeated, failed, members }, { sends, receives }) {
    this.#sinceSealed = sealed > this.#sealed ? 0 : this.#sinceSealed + 1
    this.#sinceOpened = opened > this.#opened ? 0 : this.#sinceOpened + 1
    this.#sealed = sealed
    this.#opened = opened
    const active =
      (sends || receives) &&
      (!sends || this.#sinceSealed < RECENT_REPORTS) &&
      (!receives || this.#sinceOpened < RECENT_REPORTS)
    return { active, sealed, opened, early, repeated, failed, members }
  }
}
