/** Choosing the microphone, the camera and the speaker: in the lobby and in the call. */

import { problemOf } from '../app.js'
import { h } from '../dom.js'
import { meter } from '../level.js'
import { icon } from './parts.js'

/** @typedef {import('../state.js').State} State */
/** @typedef {import('../app.js').App} App */

const canChooseSpeaker = 'setSinkId' in HTMLMediaElement.prototype

/** @param {State} state @param {App} app */
export function deviceFields(state, app) {
  const { mics, cams, speakers } = state.devices
  return h(
    'div',
    { class: 'device-fields' },
    field(state, app, 'cam', 'Camera', 'cam', cams),
    field(state, app, 'mic', 'Microphone', 'mic', mics),
    canChooseSpeaker && speakers.length > 0 && field(state, app, 'speaker', 'Speaker', 'speaker', speakers),
  )
}

/**
 * @param {State} state @param {App} app @param {'mic' | 'cam' | 'speaker'} kind @param {string} label @param {string} glyph
 * @param {MediaDeviceInfo[]} devices
 */
function field(state, app, kind, label, glyph, devices) {
  const known = devices.some((device) => device.deviceId === state.chosen[kind])
  return h(
    'div',
    { key: kind, class: 'field' },
    h('label', { for: `device-${kind}` }, label),
    h(
      'div',
      { class: 'select' },
      icon(glyph),
      h(
        'select',
        {
          id: `device-${kind}`,
          'data-testid': `device-${kind}`,
          disabled: devices.length === 0,
          value: known ? state.chosen[kind] : (devices[0]?.deviceId ?? ''),
          onchange: (/** @type {Event} */ event) =>
            void app.capture.choose(kind, /** @type {HTMLSelectElement} */ (event.target).value),
        },
        devices.length === 0 && h('option', { key: '', value: '' }, 'None available'),
        devices.map((device, index) =>
          h(
            'option',
            { key: device.deviceId, value: device.deviceId },
            device.label || `${label} ${index + 1}`,
          ),
        ),
      ),
    ),
    kind === 'mic' && levelBar(state),
    kind !== 'speaker' && deviceProblem(state, kind),
  )
}

/** @param {State} state @param {'mic' | 'cam'} source */
function deviceProblem(state, source) {
  const text = problemOf(source, state.capture[source].status)
  return (
    text &&
    h('p', { class: 'problem', role: 'status', 'data-testid': `problem-${source}` }, icon('alert'), text)
  )
}

/** Moves by itself, outside of the renders: it changes twenty times a second. @param {State} state */
function levelBar(state) {
  const { track, wanted } = state.capture.mic
  if (!track) return null
  return h(
    'div',
    {
      key: track.id,
      class: 'level',
      'data-on': wanted ? 'true' : 'false',
      role: 'img',
      'aria-label': 'Microphone level',
      'data-testid': 'level',
    },
    h('div', { class: 'level-fill', hook: (/** @type {HTMLElement} */ el) => follow(el, track) }),
  )
}

/** @param {HTMLElement} el @param {MediaStreamTrack} track */
function follow(el, track) {
  const level = meter(track)
  let shown = 0
  const timer = setInterval(() => {
    shown = Math.max(level.read(), shown * 0.85)
    el.style.setProperty('--level', shown.toFixed(2))
  }, 50)
  return () => {
    clearInterval(timer)
    level.close()
  }
}
