/** The whole page as a function of the state. */

import { STEP_LABELS, wordsFor } from '../endings.js'
import { h } from '../dom.js'
import { others } from '../state.js'
import { callScreen } from './call.js'
import { dialog } from './dialogs.js'
import { lobbyScreen } from './lobby.js'
import { brand, button, icon, iconButton } from './parts.js'
import { startScreen } from './start.js'

/** @typedef {import('../state.js').State} State */
/** @typedef {import('../app.js').App} App */

const SCREENS = { start: startScreen, lobby: lobbyScreen, call: callScreen, ended: endedScreen }

/** @param {State} state @param {App} app @returns {import('../dom.js').VNode[]} */
export const page = (state, app) => [
  SCREENS[state.screen](state, app),
  toasts(state, app),
  ...dialog(state, app),
]

/** @param {State} state */
export function titleOf(state) {
  const count = others(state).length
  const titles = {
    start: 'CallCluster',
    lobby: 'Ready to join? · CallCluster',
    call: `${count === 0 ? 'Waiting for others' : `In a call with ${count}`} · CallCluster`,
    ended: `${wordsFor(state.ending).title} · CallCluster`,
  }
  return titles[state.screen]
}

/** @param {State} state @param {App} app */
function endedScreen(state, app) {
  const { title, text, steps, tone, code } = wordsFor(state.ending)
  const run = {
    rejoin: () => app.rejoin(),
    start: () => void app.toStart(),
    reload: () => location.reload(),
  }
  return h(
    'div',
    { key: 'ended', class: 'ended', 'data-testid': 'ended', 'data-code': code },
    h('header', { class: 'topline' }, brand()),
    h(
      'main',
      { class: 'ended-main' },
      h('div', { class: `ended-mark ${tone}` }, icon(tone === 'bad' ? 'alert' : 'leave')),
      h('h1', { tabindex: '-1' }, title),
      h('p', { class: 'lead' }, text),
      h(
        'div',
        { class: 'actions' },
        steps.map((step, index) =>
          button(STEP_LABELS[step], {
            key: step,
            look: index === 0 ? 'primary' : 'quiet',
            onclick: run[step],
            'data-testid': `step-${step}`,
          }),
        ),
      ),
    ),
  )
}

const TOAST_ICONS = { good: 'check', info: 'info', bad: 'alert' }

/** The announcer speaks them; here they are only seen. @param {State} state @param {App} app */
const toasts = (state, app) =>
  h(
    'div',
    { key: 'toasts', class: 'toasts' },
    state.toasts.map(({ id, tone, text }) =>
      h(
        'div',
        { key: id, class: `toast ${tone}`, 'data-testid': 'toast' },
        icon(TOAST_ICONS[tone]),
        h('p', null, text),
        iconButton('Dismiss', 'close', { onclick: () => app.dismiss(id) }),
      ),
    ),
  )
