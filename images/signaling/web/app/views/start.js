/** The first screen: start a call, or join one by its link. */

import { h } from '../dom.js'
import { brand, button, icon } from './parts.js'

const FACTS = [
  [
    'lock',
    'End-to-end encrypted',
    'Sound and picture are encrypted on your device. No server can open them.',
  ],
  ['server', 'On your own servers', 'Your organisation runs the calls: no third party carries them.'],
  ['no-trace', 'No account, no recording', 'Names travel sealed, and nothing you say or show is stored.'],
]

/** @param {import('../state.js').State} state @param {import('../app.js').App} app */
export const startScreen = (state, app) =>
  h(
    'div',
    { key: 'start', class: 'start', 'data-testid': 'start' },
    h('header', { class: 'topline' }, brand()),
    h(
      'main',
      { class: 'start-main' },
      h(
        'div',
        { class: 'start-copy' },
        h('h1', { tabindex: '-1' }, 'Private calls, on your own servers'),
        h(
          'p',
          { class: 'lead' },
          'Talk face to face. Only the people who have the link can see and hear you.',
        ),
      ),
      h(
        'div',
        { class: 'card start-card' },
        button('Start a call', {
          look: 'primary',
          class: 'large',
          icon: 'plus-call',
          onclick: () => app.startCall(),
          'data-testid': 'start-call',
        }),
        h('p', { class: 'divider' }, h('span', null, 'or join with a link')),
        linkForm(state, app),
      ),
      h(
        'ul',
        { class: 'facts' },
        FACTS.map(([glyph = '', title = '', text = '']) =>
          h(
            'li',
            { key: glyph },
            icon(glyph),
            h('div', null, h('strong', null, title), h('p', null, text)),
          ),
        ),
      ),
    ),
  )

/** @param {import('../state.js').State} state @param {import('../app.js').App} app */
const linkForm = (state, app) =>
  h(
    'form',
    {
      class: 'link-form',
      novalidate: true,
      onsubmit: (/** @type {Event} */ event) => {
        event.preventDefault()
        app.usePasted()
      },
    },
    h('label', { for: 'join-link' }, 'Join link'),
    h(
      'div',
      { class: 'field-row' },
      h('input', {
        id: 'join-link',
        class: 'input',
        type: 'url',
        inputmode: 'url',
        autocomplete: 'off',
        spellcheck: 'false',
        placeholder: 'https://…/#r=…',
        value: state.pasted,
        oninput: (/** @type {InputEvent} */ event) =>
          app.paste(/** @type {HTMLInputElement} */ (event.target).value),
        'aria-invalid': state.linkProblem ? 'true' : null,
        'aria-describedby': state.linkProblem ? 'link-problem' : null,
        'data-testid': 'join-link',
      }),
      h(
        'button',
        { class: 'button quiet', type: 'submit', 'data-testid': 'use-link' },
        h('span', null, 'Continue'),
      ),
    ),
    state.linkProblem &&
      h(
        'p',
        { class: 'problem', id: 'link-problem', role: 'alert', 'data-testid': 'link-problem' },
        icon('alert'),
        state.linkProblem,
      ),
  )
