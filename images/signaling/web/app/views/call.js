/** The call itself: who is here, what can be done, and how safe it is. */

import { WORDS } from '../encryption.js'
import { h } from '../dom.js'
import { others } from '../state.js'
import { panel } from './panels.js'
import { brand, button, icon } from './parts.js'
import { pager, tiles } from './tiles.js'
import { toolbar } from './toolbar.js'

/** @typedef {import('../state.js').State} State */
/** @typedef {import('../app.js').App} App */

/** @type {Record<import('../state.js').Protection, string>} */
const BADGE_ICONS = {
  waiting: 'lock',
  idle: 'lock',
  starting: 'lock',
  encrypted: 'lock-check',
  unverified: 'alert',
  stranger: 'alert',
  problem: 'alert',
}

/** @param {State} state @param {App} app */
export function callScreen(state, app) {
  return h(
    'div',
    {
      key: 'call',
      class: `call ${state.panel ? 'with-panel' : ''}`,
      'data-testid': 'call',
      'data-phase': state.call?.phase,
    },
    h(
      'header',
      { class: 'callbar' },
      brand(),
      h('h1', { class: 'visually-hidden', tabindex: '-1' }, 'Call'),
      state.call?.locked &&
        h('span', { key: 'locked', class: 'chip locked', 'data-testid': 'locked' }, icon('door'), 'Locked'),
      clock(state),
      badge(state, app),
    ),
    banner(state),
    h(
      'main',
      { class: 'stage', 'aria-label': 'Call' },
      h(
        'div',
        { class: 'stage-area', hook: (/** @type {HTMLElement} */ el) => measure(el, app) },
        tiles(state, app),
        invitation(state, app),
      ),
      pager(state, app),
    ),
    panel(state, app),
    toolbar(state, app),
  )
}

/** @param {HTMLElement} el @param {App} app */
function measure(el, app) {
  const observer = new ResizeObserver(() => app.resized({ width: el.clientWidth, height: el.clientHeight }))
  observer.observe(el)
  return () => observer.disconnect()
}

/** @param {State} state */
function clock({ call, now }) {
  if (!call?.since) return h('span', { class: 'clock' }, 'Connecting…')
  const seconds = Math.max(0, Math.floor((now - call.since) / 1_000))
  const [hours, minutes] = [Math.floor(seconds / 3_600), Math.floor(seconds / 60) % 60]
  /** @param {number} n */
  const two = (n) => String(n).padStart(2, '0')
  const time = `${hours > 0 ? `${hours}:${two(minutes)}` : minutes}:${two(seconds % 60)}`
  return h('span', { class: 'clock', role: 'timer', 'aria-label': 'Length of the call' }, time)
}

/** Fed by the worker's counters alone. @param {State} state @param {App} app */
function badge(state, app) {
  const protection = state.call?.encryption.state ?? 'waiting'
  const { label, text } = WORDS[protection]
  return h(
    'button',
    {
      type: 'button',
      class: 'badge',
      'data-state': protection,
      title: text,
      'aria-expanded': String(state.panel === 'security'),
      'aria-label': `Encryption: ${label}. Show the security code.`,
      onclick: () => app.togglePanel('security'),
      'data-testid': 'badge',
    },
    icon(BADGE_ICONS[protection]),
    h('span', null, label),
  )
}

/** @param {State} state */
function banner({ call }) {
  return (
    call?.phase === 'reconnecting' &&
    h(
      'div',
      { key: 'banner', class: 'banner', role: 'status', 'data-testid': 'reconnecting' },
      h('span', { class: 'spinner', 'aria-hidden': 'true' }),
      h(
        'p',
        null,
        h('strong', null, 'Connection lost.'),
        ' Reconnecting by itself; sound and picture go on where they can.',
      ),
    )
  )
}

/** Alone in the call: how to bring others in. @param {State} state @param {App} app */
function invitation(state, app) {
  if (state.call?.phase !== 'joined' || others(state).length > 0) return null
  const link = app.shareLink()
  return h(
    'section',
    {
      key: 'invitation',
      class: 'card invitation',
      'aria-labelledby': 'invitation-title',
      'data-testid': 'invitation',
    },
    h('h2', { id: 'invitation-title' }, 'You’re the only one here'),
    h('p', null, 'Send this link to the people you want in the call.'),
    h(
      'div',
      { class: 'field-row' },
      h('input', {
        class: 'input',
        readonly: true,
        value: link,
        'aria-label': 'Join link',
        onfocus: (/** @type {Event} */ event) => /** @type {HTMLInputElement} */ (event.target).select(),
        'data-testid': 'share-link',
      }),
      button('Copy', {
        look: 'primary',
        icon: 'copy',
        onclick: () => void app.copyLink(),
        'data-testid': 'copy-link',
      }),
    ),
    h('p', { class: 'hint' }, icon('lock'), linkAdvice(state)),
  )
}

/** @param {State} state */
function linkAdvice({ link, call }) {
  if (call?.locked) return 'The call is locked: nobody new gets in until it is unlocked.'
  if (link?.token)
    return 'Your own invitation is left out of it: others need theirs from whoever runs this server.'
  if (!link?.secret) return 'This link has no secret. Compare the security code once someone joins.'
  return 'The link holds the key to the call: whoever has it can join.'
}
