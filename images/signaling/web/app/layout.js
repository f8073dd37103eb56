/** Where each tile goes: pure geometry in pixels, so that tiles can glide and videos never change their parent. */

/** @typedef {{key: string, x: number, y: number, width: number, height: number, role: 'main' | 'grid' | 'strip' | 'pip'}} Place */
/** @typedef {{key: string, source: 'cam' | 'screen', isSelf: boolean}} TileId */

const GAP = 12
const WIDE = 16 / 9

/**
 * The largest equal boxes of `aspect` for `count` tiles.
 * @param {number} count
 * @param {number} width
 * @param {number} height
 * @param {number} [aspect]
 * @returns {{columns: number, width: number, height: number}}
 */
export function fitGrid(count, width, height, aspect = WIDE) {
  let best = { columns: 1, width: 0, height: 0 }
  for (let columns = 1; columns <= count; columns++) {
    const rows = Math.ceil(count / columns)
    const boxWidth = Math.max(0, (width - GAP * (columns - 1)) / columns)
    const boxHeight = Math.max(0, (height - GAP * (rows - 1)) / rows)
    const fitted = Math.min(boxWidth, boxHeight * aspect)
    if (fitted > best.width) best = { columns, width: fitted, height: fitted / aspect }
  }
  return best
}

/**
 * @param {TileId[]} tiles
 * @param {{width: number, height: number}} stage
 * @returns {Place[]}
 */
export function arrange(tiles, stage) {
  const screens = tiles.filter((tile) => tile.source === 'screen')
  if (screens.length > 0) return presentation(screens, tiles, stage)
  const remote = tiles.filter((tile) => !tile.isSelf)
  if (remote.length === 0) return alone(tiles, stage)
  return remote.length === 1 ? pair(tiles, stage) : grid(tiles, stage)
}

/** The self view leaves room for the invitation: left of it, or below it on a narrow stage.
 * @param {TileId[]} tiles @param {{width: number, height: number}} stage @returns {Place[]} */
function alone(tiles, { width, height }) {
  const beside = width >= 700 && width > height
  const area = beside
    ? { width: width * 0.54, height }
    : { width, height: Math.max(height * 0.3, height - 260) }
  const fit = fitGrid(
    1,
    area.width,
    area.height,
    beside ? 4 / 3 : Math.max(0.75, area.width / Math.max(1, area.height)),
  )
  return tiles.map(({ key }) => ({
    key,
    x: width - area.width + (area.width - fit.width) / 2,
    y: (area.height - fit.height) / 2,
    width: fit.width,
    height: fit.height,
    role: 'main',
  }))
}

/** One large tile and a small self view in its corner.
 * @param {TileId[]} tiles @param {{width: number, height: number}} stage @returns {Place[]} */
function pair(tiles, { width, height }) {
  const portrait = height > width
  const pipWidth = Math.round(
    portrait
      ? Math.min(120, width * 0.3)
      : Math.min(Math.max(300, width * 0.12), Math.max(160, width * 0.2)),
  )
  const pipHeight = Math.round(portrait ? pipWidth * (4 / 3) : pipWidth / WIDE)
  const mainWidth = portrait ? width : Math.min(width, height * WIDE)
  const mainX = (width - mainWidth) / 2
  return tiles.map((tile) =>
    tile.isSelf
      ? {
          key: tile.key,
          x: Math.min(width, mainX + mainWidth) - pipWidth - GAP,
          y: height - pipHeight - GAP,
          width: pipWidth,
          height: pipHeight,
          role: 'pip',
        }
      : { key: tile.key, x: mainX, y: 0, width: mainWidth, height, role: 'main' },
  )
}

/** @param {TileId[]} tiles @param {{width: number, height: number}} stage @returns {Place[]} */
const grid = (tiles, { width, height }) =>
  boxes(tiles, { x: 0, y: 0, width, height }, height > width ? 1 : WIDE, 'grid')

/**
 * Equal boxes in the middle of an area, a short last row in its middle.
 * @param {TileId[]} tiles
 * @param {{x: number, y: number, width: number, height: number}} area
 * @param {number} aspect
 * @param {Place['role']} role
 * @returns {Place[]}
 */
function boxes(tiles, area, aspect, role) {
  const fit = fitGrid(tiles.length, area.width, area.height, aspect)
  const rows = Math.ceil(tiles.length / fit.columns)
  const top = area.y + (area.height - rows * fit.height - (rows - 1) * GAP) / 2
  return tiles.map(({ key }, index) => {
    const row = Math.floor(index / fit.columns)
    const inRow = row === rows - 1 ? tiles.length - row * fit.columns : fit.columns
    const left = area.x + (area.width - inRow * fit.width - (inRow - 1) * GAP) / 2
    return {
      key,
      x: left + (index % fit.columns) * (fit.width + GAP),
      y: top + row * (fit.height + GAP),
      width: fit.width,
      height: fit.height,
      role,
    }
  })
}

/** Screens large; cameras in a column beside them, or in a grid below them on an upright stage.
 * @param {TileId[]} screens @param {TileId[]} tiles @param {{width: number, height: number}} stage @returns {Place[]} */
function presentation(screens, tiles, { width, height }) {
  const cameras = tiles.filter((tile) => tile.source !== 'screen')
  const beside = width > height * 1.2
  const side = Math.min(270, width * 0.22)
  const main = beside
    ? { width: width - side - GAP, height }
    : { width, height: Math.min(height * 0.55, (width / WIDE) * screens.length) }
  const rest = beside
    ? { x: width - side, y: 0, width: side, height }
    : { x: 0, y: main.height + GAP, width, height: height - main.height - GAP }
  return [
    ...boxes(screens, { x: 0, y: 0, ...main }, WIDE, 'main'),
    ...boxes(cameras, rest, beside ? WIDE : 1, 'strip'),
  ]
}
