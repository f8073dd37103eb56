/** The people of the call, each on a tile; shared screens have their own. */

import { h } from '../dom.js'
import { arrange } from '../layout.js'
import { isSending, moderates, nameOf, self } from '../state.js'
import { avatar, icon, iconButton, play, streamOf, video } from './parts.js'
import { qualityOf } from '../quality.js'
import { pageOf } from '../tiles.js'

/** @typedef {import('../state.js').State} State */
/** @typedef {import('../tiles.js').Tile} Tile */

/** @param {State} state @param {Tile} tile @returns {MediaStreamTrack | null} */
function trackOf(state, { member, source }) {
  if (member.isSelf) {
    const capture = state.capture[source]
    return isSending(capture) ? capture.track : null
  }
  const shown = source === 'screen' ? member.state.screen : member.state.video
  return (shown && state.call?.tracks[member.sid]?.[source]) || null
}

/** @param {State} state @param {import('../app.js').App} app */
export function tiles(state, app) {
  const { tiles: shown } = pageOf(state)
  const places = new Map(arrange(shown, state.stage).map((place) => [place.key, place]))
  return h(
    'ul',
    { class: 'tiles', 'aria-label': 'People in the call' },
    shown.map((tile) => {
      const place = places.get(tile.key)
      return place && tileView(state, app, tile, place)
    }),
    sounds(state),
  )
}

/** Where there are more tiles than one page takes. @param {State} state @param {import('../app.js').App} app */
export function pager(state, app) {
  const { page, pages } = pageOf(state)
  if (pages === 1) return null
  return h(
    'nav',
    { key: 'pager', class: 'pager', 'aria-label': 'Pages of people', 'data-testid': 'pager' },
    iconButton('Previous page', 'arrow', {
      class: 'back',
      disabled: page === 0,
      onclick: () => app.turn(-1),
      'data-testid': 'previous-page',
    }),
    h('span', { role: 'status' }, `Page ${page + 1} of ${pages}`),
    iconButton('Next page', 'arrow', {
      disabled: page === pages - 1,
      onclick: () => app.turn(1),
      'data-testid': 'next-page',
    }),
  )
}

/** @param {State} state @param {import('../app.js').App} app @param {Tile} tile @param {import('../layout.js').Place} place */
function tileView(state, app, tile, place) {
  const { member, source } = tile
  const track = trackOf(state, tile)
  const name = nameOf(member)
  const speaking = source === 'cam' && state.call?.speaking[member.sid]
  return h(
    'li',
    {
      key: tile.key,
      class: `tile ${place.role} ${speaking ? 'speaking' : ''} ${member.reconnecting && !member.isSelf ? 'stale' : ''}`,
      style: {
        transform: `translate(${place.x.toFixed(1)}px, ${place.y.toFixed(1)}px)`,
        width: `${place.width.toFixed(1)}px`,
        height: `${place.height.toFixed(1)}px`,
      },
      'aria-label': describe(tile),
      'data-testid': member.isSelf ? `tile-self-${source}` : `tile-${source}`,
      'data-sid': member.sid,
    },
    // Behind the picture: what is seen until its first frame, or instead of it.
    source === 'cam' && h('div', { key: 'face', class: 'face' }, avatar(name, member.sid)),
    track &&
      video(track, {
        key: track.id,
        class: `${source === 'screen' ? 'whole' : ''} ${member.isSelf && source === 'cam' ? 'mirrored' : ''}`,
        'aria-hidden': 'true',
        tabindex: '-1',
      }),
    member.reconnecting &&
      !member.isSelf &&
      h('p', { key: 'stale', class: 'tile-note' }, icon('wifi-off'), 'Reconnecting…'),
    !member.trusted &&
      !member.isSelf &&
      h('p', { key: 'stranger', class: 'tile-note' }, icon('alert'), 'Shut out'),
    member.state.hand &&
      source === 'cam' &&
      h('span', { key: 'hand', class: 'hand', 'data-testid': 'hand' }, icon('hand')),
    label(state, tile),
    moderates(state) &&
      !member.isSelf &&
      iconButton(`Actions on ${name}`, 'more', {
        key: 'moderate',
        class: 'tile-more',
        onclick: () => app.moderate(member.sid),
        'data-testid': 'tile-moderate',
      }),
  )
}

/** @param {State} state @param {Tile} tile */
function label(state, { member, source }) {
  const name = nameOf(member)
  const stats = state.call?.stats[member.sid]
  return h(
    'div',
    { key: 'label', class: 'label', 'aria-hidden': 'true' },
    source === 'screen'
      ? [icon('screen'), h('span', null, member.isSelf ? 'Your screen' : `${name}’s screen`)]
      : [
          !member.state.audio &&
            h('span', { key: 'muted', class: 'muted', 'data-testid': 'muted' }, icon('mic-off')),
          h('span', { class: 'name' }, member.isSelf ? 'You' : name),
        ],
    stats && source === 'cam' && bars(qualityOf(stats)),
  )
}

/** @param {0 | 1 | 2 | 3} quality */
const bars = (quality) =>
  h(
    'span',
    { key: 'bars', class: 'bars', 'data-quality': String(quality) },
    h('i', null),
    h('i', null),
    h('i', null),
  )

/** @param {Tile} tile */
function describe({ member, source }) {
  const name = member.isSelf ? 'You' : nameOf(member)
  if (source === 'screen') return `${name}: shared screen`
  const facts = [
    member.state.audio ? 'microphone on' : 'muted',
    member.state.video ? 'camera on' : 'camera off',
    member.state.hand && 'hand raised',
    member.reconnecting && 'reconnecting',
    !member.trusted && 'not trusted',
  ]
  return `${name}: ${facts.filter(Boolean).join(', ')}`
}

/** What is heard: one player a remote microphone. @param {State} state */
function sounds(state) {
  const me = self(state)?.sid
  return Object.entries(state.call?.tracks ?? {}).map(
    ([sid, { mic }]) =>
      mic &&
      sid !== me &&
      h(
        'li',
        { key: `sound-${sid}`, class: 'sound', 'aria-hidden': 'true' },
        h('audio', {
          key: mic.id + state.chosen.speaker,
          autoplay: true,
          srcObject: streamOf(mic),
          hook: speaker(state.chosen.speaker),
        }),
      ),
  )
}

/** @param {string} deviceId @returns {import('../dom.js').Hook} */
const speaker = (deviceId) => (/** @type {HTMLAudioElement} */ el) => {
  // A speaker that was unplugged since: the system's choice is heard instead.
  if (deviceId && 'setSinkId' in el) el.setSinkId(deviceId).catch(() => {})
  return play(el)
}
