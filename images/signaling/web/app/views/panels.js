/** The side panel: one of people, connection details, security code, devices, and on narrow screens a menu. */

import { h } from '../dom.js'
import { details } from './details.js'
import { deviceFields } from './devices.js'
import { iconButton, icon } from './parts.js'
import { people } from './people.js'
import { security } from './security.js'

/** @typedef {import('../state.js').State} State */
/** @typedef {import('../state.js').Panel} Panel */
/** @typedef {import('../app.js').App} App */
/** @typedef {(state: State, app: App) => import('../dom.js').Child} Body */

/** @type {Record<Exclude<Panel, null>, {title: string, body: Body}>} */
const PANELS = {
  people: { title: 'People', body: people },
  details: { title: 'Connection details', body: details },
  security: { title: 'Encryption', body: security },
  devices: { title: 'Devices', body: deviceFields },
  menu: { title: 'More', body: menu },
}

/** @param {State} state @param {App} app */
export function panel(state, app) {
  if (!state.panel) return null
  const { title, body } = PANELS[state.panel]
  return h(
    'aside',
    {
      key: `panel-${state.panel}`,
      class: 'panel',
      'aria-labelledby': 'panel-title',
      'data-testid': `panel-${state.panel}`,
      hook: borrowFocus,
    },
    h(
      'div',
      { class: 'panel-head' },
      h('h2', { id: 'panel-title', tabindex: '-1' }, title),
      iconButton('Close', 'close', { onclick: () => app.closePanel(), 'data-testid': 'close-panel' }),
    ),
    h('div', { class: 'panel-body' }, body(state, app)),
  )
}

/** Opening moves the focus in, closing gives it back. @param {HTMLElement} el */
function borrowFocus(el) {
  const before = document.activeElement
  el.querySelector('h2')?.focus({ preventScroll: true })
  return () => {
    if (el.contains(document.activeElement) && before instanceof HTMLElement && before.isConnected)
      before.focus()
  }
}

/** @param {State} state @param {App} app */
function menu(state, app) {
  /** @type {Array<[string, string, string, () => void]>} */
  const entries = [
    ['link', 'Copy join link', 'menu-copy', () => void app.copyLink()],
    [
      'people',
      `People (${state.call?.members.length ?? 0})`,
      'menu-people',
      () => app.togglePanel('people'),
    ],
    ['lock-check', 'Encryption and security code', 'menu-security', () => app.togglePanel('security')],
    ['pulse', 'Connection details', 'menu-details', () => app.togglePanel('details')],
    ['sliders', 'Devices', 'menu-devices', () => app.togglePanel('devices')],
    ['keyboard', 'Keyboard shortcuts', 'menu-shortcuts', () => app.show({ kind: 'shortcuts' })],
  ]
  return h(
    'ul',
    { class: 'menu' },
    entries.map(([glyph, label, testid, onclick]) =>
      h(
        'li',
        { key: testid },
        h(
          'button',
          { type: 'button', class: 'menu-item', onclick, 'data-testid': testid },
          icon(glyph),
          h('span', null, label),
        ),
      ),
    ),
  )
}
