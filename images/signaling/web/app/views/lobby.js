/** Before the call: see yourself, choose devices, say who you are. */

import { h } from '../dom.js'
import { isSending } from '../state.js'
import { deviceFields } from './devices.js'
import { avatar, brand, button, icon, video } from './parts.js'

/** @typedef {import('../state.js').State} State */
/** @typedef {import('../app.js').App} App */

/** @param {State} state @param {App} app */
export const lobbyScreen = (state, app) =>
  h(
    'div',
    { key: 'lobby', class: 'lobby', 'data-testid': 'lobby' },
    h('header', { class: 'topline' }, brand()),
    h('main', { class: 'lobby-main' }, preview(state, app), joinForm(state, app)),
  )

/** @param {State} state @param {App} app */
function preview(state, app) {
  const { cam, mic } = state.capture
  return h(
    'section',
    { class: 'preview', 'aria-label': 'Preview' },
    h(
      'div',
      { class: 'preview-frame', 'data-testid': 'preview' },
      isSending(cam) && cam.track
        ? video(cam.track, { key: cam.track.id, class: 'mirrored', 'aria-label': 'Your camera' })
        : h('div', { key: 'off', class: 'preview-off' }, ...withoutPicture(state)),
      h(
        'div',
        { class: 'preview-controls' },
        toggle(app, 'mic', isSending(mic), mic.status === 'asking'),
        toggle(app, 'cam', isSending(cam), cam.status === 'asking'),
      ),
    ),
  )
}

/** @type {Partial<Record<import('../state.js').DeviceStatus, string>>} */
const NO_PICTURE = {
  off: 'Your camera is off',
  denied: 'Your camera is blocked',
  missing: 'No camera was found',
  busy: 'Another program is using your camera',
}

/** @param {State} state */
function withoutPicture(state) {
  const { status } = state.capture.cam
  if (status === 'asking') {
    return [
      h('p', { role: 'status' }, 'Your browser asks whether this page may use your camera and microphone.'),
    ]
  }
  return [
    state.name.trim() ? avatar(state.name, 'self') : h('span', { class: 'avatar' }, icon('cam-off')),
    h('p', null, NO_PICTURE[status] ?? 'The camera could not be opened'),
  ]
}

/** @param {App} app @param {'mic' | 'cam'} source @param {boolean} on @param {boolean} asking */
function toggle(app, source, on, asking) {
  const device = source === 'mic' ? 'microphone' : 'camera'
  const label = `Turn the ${device} ${on ? 'off' : 'on'}`
  return h(
    'button',
    {
      key: source,
      type: 'button',
      class: `round ${on ? '' : 'is-off'}`,
      'aria-label': label,
      title: label,
      disabled: asking,
      onclick: () => void app.toggle(source),
      'data-testid': `lobby-${source}`,
    },
    icon(on ? source : `${source}-off`),
  )
}

/** @param {State} state @param {App} app */
const joinForm = (state, app) =>
  h(
    'form',
    {
      class: 'join',
      onsubmit: (/** @type {Event} */ event) => {
        event.preventDefault()
        void app.join()
      },
    },
    h('h1', { tabindex: '-1' }, 'Ready to join?'),
    promise(state),
    h(
      'div',
      { class: 'field' },
      h('label', { for: 'name' }, 'Your name', h('span', { class: 'optional' }, ' (optional)')),
      h('input', {
        id: 'name',
        class: 'input',
        type: 'text',
        maxlength: '60',
        autocomplete: 'name',
        value: state.name,
        oninput: (/** @type {Event} */ event) =>
          app.rename(/** @type {HTMLInputElement} */ (event.target).value),
        'aria-describedby': 'name-hint',
        'data-testid': 'name',
      }),
      h('p', { class: 'hint', id: 'name-hint' }, nameHint(state)),
    ),
    deviceFields(state, app),
    state.missing.length > 0
      ? h(
          'p',
          { class: 'problem', role: 'alert', 'data-testid': 'unsupported' },
          icon('alert'),
          unsupported(state.missing),
        )
      : null,
    h(
      'button',
      {
        class: 'button primary large',
        type: 'submit',
        disabled: state.missing.length > 0,
        'data-testid': 'join',
      },
      h(
        'span',
        null,
        isSending(state.capture.cam) || isSending(state.capture.mic)
          ? 'Join the call'
          : 'Join without media',
      ),
      icon('arrow'),
    ),
    button('Back', {
      look: 'text',
      class: 'back',
      onclick: () => void app.toStart(),
      'data-testid': 'back',
    }),
  )

/** @param {State} state */
function nameHint({ link }) {
  return link?.secret
    ? 'Sealed with the link’s secret: only the people in the call see it.'
    : 'Not shown to anyone: this link has no secret to seal it with.'
}

/** What the link promises, before anything is sent. @param {State} state */
function promise({ link }) {
  const safe = Boolean(link?.secret)
  return h(
    'p',
    { class: `promise ${safe ? '' : 'unsure'}`, 'data-testid': 'promise' },
    icon(safe ? 'lock-check' : 'alert'),
    h(
      'span',
      null,
      safe
        ? 'End-to-end encrypted with the secret in your link.'
        : 'This link carries no secret. The call is encrypted, but stays unverified until you compare the security code.',
      link?.relay && ' Media goes through the relay only.',
    ),
  )
}

/** @param {string[]} missing What this browser lacks, in the SDK's words. */
function unsupported(missing) {
  if (!globalThis.isSecureContext) {
    return 'Browsers encrypt calls on secure pages only. Open this page by https.'
  }
  return `This browser can’t make encrypted calls. It lacks ${missing.join(', ')}. Use a current Chrome, Edge or another Chromium browser.`
}
