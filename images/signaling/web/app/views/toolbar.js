/** The controls along the bottom of the call. */

import { canShareScreen } from '../capture.js'
import { h } from '../dom.js'
import { isSending } from '../state.js'
import { icon } from './parts.js'

/** @typedef {import('../state.js').State} State */
/** @typedef {import('../state.js').Panel} Panel */
/** @typedef {import('../app.js').App} App */

/** @param {State} state @param {App} app */
export function toolbar(state, app) {
  const { mic, cam, screen } = state.capture
  return h(
    'div',
    { class: 'toolbar', role: 'toolbar', 'aria-label': 'Call controls' },
    h(
      'div',
      { class: 'tools side' },
      tool('link', 'Copy link', { onclick: () => void app.copyLink(), testid: 'toolbar-copy' }),
    ),
    h(
      'div',
      { class: 'tools' },
      tool(isSending(mic) ? 'mic' : 'mic-off', isSending(mic) ? 'Mute' : 'Unmute', {
        onclick: () => void app.toggle('mic'),
        off: !isSending(mic),
        key: 'm',
        busy: mic.status === 'asking',
        testid: 'mic',
      }),
      tool(isSending(cam) ? 'cam' : 'cam-off', isSending(cam) ? 'Stop video' : 'Start video', {
        onclick: () => void app.toggle('cam'),
        off: !isSending(cam),
        key: 'v',
        busy: cam.status === 'asking',
        testid: 'cam',
      }),
      canShareScreen() &&
        tool(
          isSending(screen) ? 'screen-stop' : 'screen',
          isSending(screen) ? 'Stop sharing' : 'Share screen',
          {
            onclick: () => void app.toggle('screen'),
            active: isSending(screen),
            key: 's',
            testid: 'screen',
          },
        ),
      tool('hand', state.hand ? 'Lower hand' : 'Raise hand', {
        onclick: () => app.toggleHand(),
        active: state.hand,
        key: 'h',
        testid: 'hand-button',
      }),
      tool('more', 'More', {
        onclick: () => app.togglePanel('menu'),
        active: state.panel === 'menu',
        expanded: state.panel === 'menu',
        narrow: true,
        testid: 'menu',
      }),
      tool('leave', 'Leave', { onclick: () => app.leave(), danger: true, testid: 'leave' }),
    ),
    h(
      'div',
      { class: 'tools side end' },
      panelTool(state, app, 'people', 'people', 'People', String(state.call?.members.length ?? 0)),
      panelTool(state, app, 'details', 'pulse', 'Details'),
      panelTool(state, app, 'devices', 'sliders', 'Devices'),
      tool('keyboard', 'Shortcuts', { onclick: () => app.show({ kind: 'shortcuts' }), testid: 'shortcuts' }),
    ),
  )
}

/** @param {State} state @param {App} app @param {Exclude<Panel, null>} name @param {string} glyph @param {string} label @param {string} [count] */
const panelTool = (state, app, name, glyph, label, count) =>
  tool(glyph, label, {
    onclick: () => app.togglePanel(name),
    active: state.panel === name,
    expanded: state.panel === name,
    testid: `open-${name}`,
    count,
  })

/**
 * @param {string} glyph
 * @param {string} label What a click does; it changes with the state, so no `aria-pressed` beside it.
 * @param {{onclick: () => void, testid: string, off?: boolean, active?: boolean, danger?: boolean, busy?: boolean,
 *   narrow?: boolean, expanded?: boolean, key?: string, count?: string | undefined}} options
 */
function tool(glyph, label, { onclick, testid, off, active, danger, busy, narrow, expanded, key, count }) {
  const looks = [off && 'is-off', active && 'is-active', danger && 'is-danger', narrow && 'only-narrow']
  return h(
    'button',
    {
      key: testid,
      type: 'button',
      class: `tool ${looks.filter(Boolean).join(' ')}`,
      title: key ? `${label} (${key.toUpperCase()})` : label,
      'aria-label': count ? `${label}: ${count}` : label,
      'aria-keyshortcuts': key ?? null,
      'aria-expanded': expanded === undefined ? null : String(expanded),
      disabled: busy ?? false,
      onclick,
      'data-testid': testid,
    },
    h('span', { class: 'tool-face' }, icon(glyph), count && h('span', { class: 'count' }, count)),
    h('span', { class: 'tool-label', 'aria-hidden': 'true' }, label),
  )
}
