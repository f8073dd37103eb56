/** What stands before the page until it is answered: the shortcuts, and what can't be taken back. */

import { h } from '../dom.js'
import { SHORTCUTS } from '../shortcuts.js'
import { nameOf, others } from '../state.js'
import { button, iconButton } from './parts.js'

/** @typedef {import('../state.js').State} State */
/** @typedef {import('../app.js').App} App */
/** @typedef {import('../dom.js').VNode} VNode */
/** @typedef {import('../dom.js').Child} Child */

/** @param {State} state @param {App} app @returns {VNode[]} One at most. */
export function dialog(state, app) {
  switch (state.dialog?.kind) {
    case 'shortcuts':
      return [shortcuts(state, app)]
    case 'end':
      return [end(app)]
    case 'remove':
      return [remove(state, app, state.dialog)]
    default:
      return []
  }
}

/** @param {App} app @param {string} title @param {...Child} body */
const frame = (app, title, ...body) =>
  h(
    'dialog',
    {
      key: 'dialog',
      class: 'dialog',
      'aria-labelledby': 'dialog-title',
      'data-testid': 'dialog',
      hook: (/** @type {HTMLDialogElement} */ el) => {
        el.showModal()
        return () => el.close()
      },
      onclose: () => app.show(null),
    },
    h(
      'div',
      { class: 'panel-head' },
      h('h2', { id: 'dialog-title' }, title),
      iconButton('Close', 'close', { onclick: () => app.show(null), 'data-testid': 'close-dialog' }),
    ),
    ...body,
  )

/** @param {string} label @param {boolean} checked @param {string} testid @param {(checked: boolean) => void} change */
const check = (label, checked, testid, change) =>
  h(
    'label',
    { class: 'check' },
    h('input', {
      type: 'checkbox',
      checked,
      onchange: (/** @type {Event} */ event) => change(/** @type {HTMLInputElement} */ (event.target).checked),
      'data-testid': testid,
    }),
    h('span', null, label),
  )

/** The way back comes first and has the focus. @param {App} app @param {string} label @param {() => void} act */
const choice = (app, label, act) =>
  h(
    'div',
    { class: 'choice' },
    button('Cancel', { look: 'quiet', autofocus: true, onclick: () => app.show(null), 'data-testid': 'cancel' }),
    button(label, { look: 'danger', onclick: act, 'data-testid': 'confirm' }),
  )

/** @param {App} app */
const end = (app) =>
  frame(
    app,
    'End the call for everyone?',
    h('p', null, 'Everybody is sent out of the call. Whoever has the link can begin another one.'),
    choice(app, 'End the call', () => void app.endForAll()),
  )

/** @param {State} state @param {App} app @param {{sid: string, ban: boolean}} asked */
function remove(state, app, { sid, ban }) {
  const member = others(state).find((one) => one.sid === sid)
  return frame(
    app,
    `Remove ${member ? nameOf(member) : 'them'} from the call?`,
    h(
      'p',
      null,
      'They see and hear nothing more: everybody’s keys change at once. They still have the link; lock the call to keep newcomers out.',
    ),
    check('Keep them out for an hour, if they came by a personal invitation', ban, 'ban', (checked) =>
      app.show({ kind: 'remove', sid, ban: checked }),
    ),
    choice(app, 'Remove', () => void app.remove(sid, ban)),
  )
}

/** @param {State} state @param {App} app */
const shortcuts = (state, app) =>
  frame(
    app,
    'Keyboard shortcuts',
    h(
      'dl',
      { class: 'keys' },
      SHORTCUTS.map(({ key, label }) =>
        h('div', { key, class: 'fact' }, h('dt', null, label), h('dd', null, h('kbd', null, key.toUpperCase()))),
      ),
    ),
    check('Use single-key shortcuts', state.shortcuts, 'use-shortcuts', (checked) => app.useShortcuts(checked)),
  )
