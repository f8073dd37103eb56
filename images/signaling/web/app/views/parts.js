/** Small pieces that every screen uses. */

import { h } from '../dom.js'

/** @typedef {import('../dom.js').VNode} VNode */
/** @typedef {import('../dom.js').Child} Child */

/** Decoration: what it stands next to says the same in words. @param {string} name @param {string} [more] */
export const icon = (name, more = '') =>
  h(
    'svg',
    { class: `icon ${more}`, 'aria-hidden': 'true', focusable: 'false' },
    h('use', { href: `#i-${name}` }),
  )

export const brand = () =>
  h(
    'div',
    { class: 'brand' },
    h(
      'svg',
      { class: 'brand-mark', 'aria-hidden': 'true', viewBox: '0 0 40 40' },
      h('use', { href: '#i-brand' }),
    ),
    h('span', { class: 'brand-name' }, 'Call', h('b', null, 'Cluster')),
  )

/**
 * @param {string} label
 * @param {Record<string, any>} props `icon` names one; `look` is primary, quiet, danger or plain
 * @param {...Child} more
 */
export function button(label, { icon: glyph, look = 'plain', ...props }, ...more) {
  return h(
    'button',
    { type: 'button', ...props, class: `button ${look} ${props.class ?? ''}` },
    glyph && icon(glyph),
    h('span', null, label),
    ...more,
  )
}

/** A button of an icon alone; `label` is its name and its tooltip. @param {string} label @param {string} glyph @param {Record<string, any>} props */
export const iconButton = (label, glyph, props) =>
  h(
    'button',
    {
      type: 'button',
      'aria-label': label,
      title: label,
      ...props,
      class: `icon-button ${props.class ?? ''}`,
    },
    icon(glyph),
  )

/** @type {WeakMap<MediaStreamTrack, MediaStream>} */
const streams = new WeakMap()

/** The same stream for the same track, so that a render does not restart its element. @param {MediaStreamTrack} track */
export function streamOf(track) {
  const stream = streams.get(track) ?? new MediaStream([track])
  streams.set(track, stream)
  return stream
}

/** @param {MediaStreamTrack} track @param {Record<string, any>} props */
export const video = (track, props) =>
  h('video', {
    ...props,
    autoplay: true,
    playsinline: true,
    muted: true,
    srcObject: streamOf(track),
    hook: play,
  })

/** Autoplay may be refused until the person acts on the page: then the next click starts it. @param {HTMLMediaElement} el */
export function play(el) {
  const start = () => el.play().catch(() => addEventListener('pointerdown', start, { once: true }))
  void start()
  return () => removeEventListener('pointerdown', start)
}

/** @param {string} name */
function initials(name) {
  const words = name.trim().split(/\s+/).filter(Boolean)
  const letters = [...words.slice(0, 1), ...words.slice(1).slice(-1)]
  return letters.map((word) => [...word][0]?.toUpperCase() ?? '').join('') || '?'
}

/** One of six quiet colours, always the same for the same person. @param {string} sid */
function hue(sid) {
  let sum = 0
  for (const letter of sid) sum = (sum * 31 + letter.charCodeAt(0)) >>> 0
  return String(sum % 6)
}

/** @param {string} name @param {string} sid */
export const avatar = (name, sid) =>
  h('span', { class: 'avatar', 'data-hue': hue(sid), 'aria-hidden': 'true' }, initials(name))
