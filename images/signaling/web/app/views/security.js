/** What the encryption does right now, and the code that proves who holds the keys. */

import { h } from '../dom.js'
import { WORDS } from '../encryption.js'
import { nameOf, others } from '../state.js'
import { button, icon } from './parts.js'

/** @typedef {import('../state.js').State} State */
/** @typedef {import('../state.js').CallState} CallState */
/** @typedef {import('../app.js').App} App */

const TOO_SOON_MS = 3_000
const NEWS_MS = 30_000

/** @param {State} state @param {App} app */
export function security(state, app) {
  const { call } = state
  if (!call) return null
  const { label, text } = WORDS[call.encryption.state]
  return h(
    'div',
    { class: 'security' },
    h(
      'div',
      { class: 'verdict', 'data-state': call.encryption.state },
      icon(call.encryption.state === 'encrypted' ? 'lock-check' : 'lock'),
      h('div', null, h('strong', null, label), h('p', null, text), suspects(state)),
    ),
    call.code
      ? code(state, call, app)
      : h('p', { class: 'empty' }, 'A security code appears here as soon as someone joins.'),
    counters(call),
  )
}

/** @param {State} state */
function suspects(state) {
  const { encryption } = state.call ?? {}
  if (encryption?.state !== 'problem') return null
  const names = others(state)
    .filter(({ sid }) => encryption.suspects.includes(sid))
    .map(nameOf)
  return names.length > 0 && h('p', { key: 'suspects' }, `Affected: ${names.join(', ')}.`)
}

/** @param {State} state @param {CallState} call @param {App} app */
function code(state, call, app) {
  const groups = call.code.replace(/\D/g, '').match(/.{1,5}/g) ?? []
  return h(
    'section',
    { key: 'code', 'aria-labelledby': 'code-title' },
    h('h3', { id: 'code-title' }, 'Security code'),
    h('p', null, 'Read it to each other. If everyone sees the same digits, nobody sits in between.'),
    h(
      'p',
      {
        class: 'code',
        role: 'group',
        'aria-label': groups.map((group) => [...group].join(' ')).join(', '),
        'data-testid': 'security-code',
      },
      groups.map((group, index) => h('span', { key: index, 'aria-hidden': 'true' }, group)),
    ),
    comparison(state, call, app),
  )
}

/** @param {State} state @param {CallState} call @param {App} app */
function comparison({ now }, { code: digits, compared, codeChanged }, app) {
  const result = compared?.code === digits ? compared.result : null
  const age = now - codeChanged
  if (result === 'match') {
    return h(
      'p',
      { key: 'match', class: 'notice good', role: 'status' },
      icon('shield-check'),
      'You confirmed this code. It changes when people come or go.',
    )
  }
  return h(
    'div',
    { key: 'ask', class: 'compare' },
    result === 'differ' &&
      h(
        'p',
        { key: 'differ', class: 'notice bad', role: 'alert' },
        icon('alert'),
        'Different codes mean different keys: someone may be listening in. Leave, and agree on a new link by another way.',
      ),
    age < NEWS_MS &&
      h(
        'p',
        { key: 'changed', class: 'notice unsure', role: 'status', 'data-testid': 'code-changed' },
        icon('alert'),
        'Someone came or left, so the code is another one now. Compare this one.',
      ),
    button('They match', {
      look: 'primary',
      icon: 'check',
      // A click that was meant for the code before must not vouch for this one.
      disabled: age < TOO_SOON_MS,
      onclick: () => app.compared('match'),
      'data-testid': 'code-match',
    }),
    button('They differ', {
      look: 'quiet',
      onclick: () => app.compared('differ'),
      'data-testid': 'code-differ',
    }),
  )
}

/** @param {CallState} call */
function counters({ encryption: { sample } }) {
  if (!sample) return null
  /** @type {Array<[string, number]>} */
  const facts = [
    ['Frames sealed here', sample.sealed],
    ['Frames opened here', sample.opened],
    ['Came before their key', sample.early],
    ['Came twice', sample.repeated],
    ['Refused', sample.failed],
  ]
  return h(
    'dl',
    { class: 'counters', 'data-testid': 'counters' },
    facts.map(([name, value]) =>
      h(
        'div',
        { key: name, class: 'fact' },
        h('dt', null, name),
        h('dd', null, value.toLocaleString('en')),
      ),
    ),
  )
}
