/**
 * Who is in the room, as the server says it. What it says of trust comes from the key exchange, not from here.
 *
 * @typedef {import('./types.js').MediaState} MediaState
 * @typedef {import('./types.js').MemberView} MemberView
 * @typedef {import('./types.js').WireMember} WireMember
 */

/** @type {MediaState} */
const SILENT = { audio: false, video: false, screen: false, hand: false }

export class Roster {
  /** @type {Map<string, {name: string, state: MediaState, reconnecting: boolean}>} without this member */
  #others = new Map()

  /** @param {WireMember} member */
  add({ sid, state, reconnecting = false }) {
    this.#others.set(sid, { name: '', state: { ...SILENT, ...state }, reconnecting })
  }

  /** @param {string} sid */
  has(sid) {
    return this.#others.has(sid)
  }

  /**
   * @param {string} sid
   * @returns {boolean} Whether it was there.
   */
  remove(sid) {
    return this.#others.delete(sid)
  }

  /**
   * Compares with a snapshot and takes over the state of members that stay.
   *
   * @param {WireMember[]} members  Of others.
   * @returns {{joined: WireMember[], left: string[]}}
   */
  compare(members) {
    const present = new Set(members.map(({ sid }) => sid))
    for (const { sid, state, reconnecting = false } of members) {
      const known = this.#others.get(sid)
      if (known) Object.assign(known, { state: { ...SILENT, ...state }, reconnecting })
    }
    return {
      joined: members.filter(({ sid }) => !this.#others.has(sid)),
      left: [...this.#others.keys()].filter((sid) => !present.has(sid)),
    }
  }

  /**
   * @param {string} sid
   * @param {Partial<{name: string, reconnecting: boolean}>} change
   */
  update(sid, change) {
    const member = this.#others.get(sid)
    if (member) Object.assign(member, change)
  }

  /**
   * @param {string} sid
   * @param {Partial<MediaState> | undefined} state  What it says that it sends now.
   */
  says(sid, state) {
    const member = this.#others.get(sid)
    if (member) member.state = { ...SILENT, ...state }
  }

  /** @returns {ReadonlyMap<string, MediaState>} What each says that it sends. */
  get states() {
    return new Map([...this.#others].map(([sid, { state }]) => [sid, state]))
  }

  /** Whether anyone says that they send. */
  get anyoneSends() {
    return [...this.#others.values()].some(({ state }) => state.audio || state.video || state.screen)
  }

  /**
   * @param {(sid: string) => {trusted: boolean, verified: boolean}} trustOf
   * @returns {MemberView[]}
   */
  view(trustOf) {
    return [...this.#others].map(([sid, { name, state, reconnecting }]) => ({
      sid,
      name,
      isSelf: false,
      ...trustOf(sid),
      state: { ...state },
      reconnecting,
    }))
  }
}
