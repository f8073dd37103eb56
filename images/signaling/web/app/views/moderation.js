/** What a moderator can do: on one member, and on the whole call. Others do not see it. */

import { h } from '../dom.js'
import { nameOf } from '../state.js'
import { button } from './parts.js'

/** @typedef {import('../state.js').State} State */
/** @typedef {import('../state.js').Member} Member */
/** @typedef {import('../app.js').App} App */

/** @type {Array<['audio' | 'video' | 'screen', string, string]>} */
const MUTES = [
  ['audio', 'mic-off', 'Mute'],
  ['video', 'cam-off', 'Stop video'],
  ['screen', 'screen-stop', 'Stop sharing'],
]

/** @param {Member} member @param {App} app */
export const memberActions = (member, app) =>
  h(
    'div',
    {
      key: 'actions',
      id: `actions-${member.sid}`,
      class: 'member-actions',
      role: 'group',
      'aria-label': `Actions on ${nameOf(member)}`,
      'data-testid': 'member-actions',
      hook: takeFocus,
    },
    MUTES.filter(([kind]) => member.state[kind]).map(([kind, glyph, label]) =>
      button(label, {
        key: kind,
        look: 'quiet',
        icon: glyph,
        onclick: () => void app.mute(member, kind),
        'data-testid': `mute-${kind}`,
      }),
    ),
    button('Remove…', {
      key: 'remove',
      look: 'quiet',
      class: 'warns',
      icon: 'leave',
      onclick: () => app.show({ kind: 'remove', sid: member.sid, ban: false }),
      'data-testid': 'remove',
    }),
  )

/** They open on demand, also from a tile far away in the page; when they go, the panel has the focus. @param {HTMLElement} el */
function takeFocus(el) {
  el.querySelector('button')?.focus()
  return () => {
    if (el.contains(document.activeElement)) document.getElementById('panel-title')?.focus({ preventScroll: true })
  }
}

/** @param {State} state @param {App} app */
export function callActions(state, app) {
  const locked = state.call?.locked ?? false
  return h(
    'section',
    { key: 'call-actions', class: 'call-actions', 'aria-labelledby': 'call-actions-title', 'data-testid': 'call-actions' },
    h('h3', { id: 'call-actions-title' }, 'The whole call'),
    h(
      'p',
      { class: 'hint' },
      locked ? 'Locked: nobody new gets in, not even with the link.' : 'Open: whoever has the link can join.',
    ),
    button(locked ? 'Unlock the call' : 'Lock the call', {
      look: 'quiet',
      icon: 'door',
      onclick: () => void app.lock(!locked),
      'data-testid': 'lock',
    }),
    button('End for everyone…', {
      look: 'quiet',
      class: 'warns',
      icon: 'leave',
      onclick: () => app.show({ kind: 'end' }),
      'data-testid': 'end',
    }),
  )
}
