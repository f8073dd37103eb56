/** Which tiles there are, and how large the pictures on them are needed. */

import { arrange } from './layout.js'

/** @typedef {import('./state.js').State} State */
/** @typedef {import('./state.js').Member} Member */
/** @typedef {{key: string, source: 'cam' | 'screen', isSelf: boolean, member: Member}} Tile */

/** Pixels of height from which on a picture is worth its middle and its best quality. */
const MEDIUM = 200
const LARGE = 480

/**
 * Every tile in its order: the person's own first, so that the order in the page never depends on the layout.
 * @param {Pick<State, 'call'>} state
 * @returns {Tile[]}
 */
export function tilesOf({ call }) {
  return (call?.members ?? []).flatMap((member) => {
    const camera = {
      key: `${member.sid}-cam`,
      source: /** @type {'cam'} */ ('cam'),
      isSelf: member.isSelf,
      member,
    }
    const screen = {
      key: `${member.sid}-screen`,
      source: /** @type {'screen'} */ ('screen'),
      isSelf: member.isSelf,
      member,
    }
    return member.state.screen ? [screen, camera] : [camera]
  })
}

/**
 * How large the pictures of others are shown.
 * @param {Pick<State, 'call' | 'stage'>} state
 * @param {number} [ratio] Of the display's pixels to those of the layout.
 * @returns {import('../sdk/types.js').Views}
 */
export function sizesOf(state, ratio = 1) {
  const tiles = tilesOf(state)
  const heights = new Map(arrange(tiles, state.stage).map(({ key, height }) => [key, height * ratio]))
  /** @type {import('../sdk/types.js').Views} */
  const sizes = {}
  for (const { key, source, isSelf, member } of tiles) {
    const height = heights.get(key) ?? 0
    if (isSelf || height === 0) continue // before the first layout nothing is known
    sizes[member.sid] ??= {}
    sizes[member.sid][source] = height >= LARGE ? 'large' : height >= MEDIUM ? 'medium' : 'small'
  }
  return sizes
}
