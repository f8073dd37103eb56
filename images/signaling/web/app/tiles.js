/** Which tiles there are, and how large the pictures on them are needed. */

import { arrange } from './layout.js'

/** @typedef {import('./state.js').State} State */
/** @typedef {import('./state.js').Member} Member */
/** @typedef {{key: string, source: 'cam' | 'screen', isSelf: boolean, member: Member}} Tile */

/** Tiles shown at a time: more are too small to tell faces. */
const PER_PAGE = 25

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
 * The tiles of the page that is shown. The person's own and shared screens are on every page.
 * @param {Pick<State, 'call' | 'page'>} state
 * @returns {{tiles: Tile[], page: number, pages: number}} `page` counts from 0, and is one that there is.
 */
export function pageOf(state) {
  const all = tilesOf(state)
  const isFixed = (/** @type {Tile} */ { isSelf, source }) => isSelf || source === 'screen'
  const paged = all.filter((tile) => !isFixed(tile))
  const room = Math.max(1, PER_PAGE - (all.length - paged.length))
  const pages = Math.max(1, Math.ceil(paged.length / room))
  const page = Math.min(state.page, pages - 1)
  const shown = new Set(paged.slice(page * room, (page + 1) * room))
  return { tiles: all.filter((tile) => isFixed(tile) || shown.has(tile)), page, pages }
}

/**
 * How large the pictures of others are shown; those of other pages are not.
 * @param {Pick<State, 'call' | 'page' | 'stage'>} state
 * @param {number} [ratio] Of the display's pixels to those of the layout.
 * @returns {import('../sdk/types.js').Views}
 */
export function sizesOf(state, ratio = 1) {
  const { tiles } = pageOf(state)
  const heights = new Map(arrange(tiles, state.stage).map(({ key, height }) => [key, height * ratio]))
  /** @type {import('../sdk/types.js').Views} */
  const sizes = {}
  for (const { key, source, isSelf, member } of tilesOf(state)) {
    const height = heights.get(key)
    if (isSelf || height === 0) continue // before the first layout nothing is known
    sizes[member.sid] ??= {}
    sizes[member.sid][source] = height === undefined ? 'hidden' : sizeAt(height)
  }
  return sizes
}

/** @param {number} height */
function sizeAt(height) {
  if (height >= LARGE) return 'large'
  return height >= MEDIUM ? 'medium' : 'small'
}
