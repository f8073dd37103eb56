/** What a member with the grant `mod` may do to a call. The server checks the grant: others get `forbidden`. */
export class Moderation {
  #ask

  /** @param {(type: string, d: object) => Promise<void>} ask  Asks the server. */
  constructor(ask) {
    this.#ask = ask
  }

  /**
   * Removes a member.
   *
   * @param {string} sid
   * @param {number} [banSeconds]  How long it may not come back; guests are not known again.
   */
  async kick(sid, banSeconds = 0) {
    await this.#ask('mod.kick', { sid, ban_s: banSeconds })
  }

  /**
   * Asks a member to stop sending.
   *
   * @param {string} sid
   * @param {'audio' | 'video' | 'screen'} kind
   */
  async mute(sid, kind) {
    await this.#ask('mod.mute', { sid, kind })
  }

  /**
   * Keeps newcomers out, or lets them in again.
   *
   * @param {boolean} locked
   */
  async lock(locked) {
    await this.#ask('mod.lock', { locked })
  }

  /** Ends the call for everyone. */
  async end() {
    await this.#ask('mod.end', {})
  }
}
