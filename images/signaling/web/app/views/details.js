/** Where the media of each member goes, and how well. */

import { h } from '../dom.js'
import { QUALITY_WORDS, candidateWords, qualityOf, rate, report, routeWords } from '../quality.js'
import { nameOf, others } from '../state.js'
import { button, icon } from './parts.js'

/** @typedef {import('../state.js').State} State */
/** @typedef {import('../app.js').App} App */

/** @param {State} state @param {App} app */
export function details(state, app) {
  const peers = others(state)
  if (peers.length === 0)
    return h('p', { class: 'empty' }, 'Connections appear here as soon as someone joins.')
  return h(
    'div',
    { class: 'details' },
    peers.map((member) => connection(state, member)),
    button('Copy a report for support', {
      look: 'quiet',
      icon: 'copy',
      onclick: () =>
        void app.copy(
          report(state.call?.stats ?? {}),
          'Report copied. It holds no names and no addresses.',
        ),
      'data-testid': 'copy-report',
    }),
  )
}

/** @param {State} state @param {import('../state.js').Member} member */
function connection(state, member) {
  const stats = state.call?.stats[member.sid]
  const frames = state.call?.encryption.sample?.members[member.sid]
  return h(
    'section',
    {
      key: member.sid,
      class: 'connection',
      'aria-label': `Connection to ${nameOf(member)}`,
      'data-testid': 'connection',
    },
    h('h3', null, nameOf(member)),
    stats
      ? [
          h(
            'p',
            { key: 'route', class: 'route', 'data-route': stats.route, 'data-testid': 'route' },
            icon(stats.route === 'direct' ? 'direct' : 'relay'),
            h('strong', null, routeWords(stats)),
            stats.protocol && h('span', { class: 'chip' }, stats.protocol.toUpperCase()),
            h(
              'span',
              { class: 'chip', 'data-quality': String(qualityOf(stats)) },
              QUALITY_WORDS[qualityOf(stats)],
            ),
          ),
          curve(state.call?.history[member.sid] ?? [], stats.receiveKbps),
          h(
            'dl',
            { key: 'facts' },
            fact('Round trip', stats.rttMs === null ? '–' : `${Math.round(stats.rttMs)} ms`, 'rtt'),
            fact('Sending', rate(stats.sendKbps), 'send'),
            fact('Receiving', rate(stats.receiveKbps), 'receive'),
            fact('Packets lost', String(stats.lost ?? 0), 'lost'),
            fact('Video codec', stats.codec?.replace(/^video\//, '') ?? '–', 'codec'),
            fact('From here', candidateWords(stats.localCandidateType), 'local'),
            fact('At the other end', candidateWords(stats.remoteCandidateType), 'remote'),
            frames && frameFacts(frames),
          ),
        ]
      : h('p', { key: 'none', class: 'empty' }, 'Measuring…'),
  )
}

/** What is nothing to worry about is shown only where it happened. @param {import('../../sdk/types.js').FrameCounts} frames */
const frameFacts = ({ opened, early, repeated, failed }) => [
  fact('Frames opened', opened.toLocaleString('en'), 'opened'),
  early > 0 && fact('Came before their key', early.toLocaleString('en'), 'early'),
  repeated > 0 && fact('Came twice', repeated.toLocaleString('en'), 'repeated'),
  failed > 0 && fact('Refused', failed.toLocaleString('en'), 'failed'),
]

/** @param {string} name @param {string} value @param {string} testid */
const fact = (name, value, testid) =>
  h(
    'div',
    { key: testid, class: 'fact' },
    h('dt', null, name),
    h('dd', { 'data-testid': `fact-${testid}` }, value),
  )

const [WIDTH, HEIGHT] = [280, 48]

/** Received bitrate of the last minute. @param {number[]} history @param {number} now */
function curve(history, now) {
  if (history.length < 2) return null
  const top = Math.max(100, ...history) * 1.1
  const points = history.map((kbps, index) => {
    const x = WIDTH - (history.length - 1 - index) * (WIDTH / 29)
    return `${x.toFixed(1)},${(HEIGHT - (kbps / top) * HEIGHT).toFixed(1)}`
  })
  const first = points[0]?.split(',')[0] ?? '0'
  return h(
    'svg',
    {
      key: 'curve',
      class: 'curve',
      viewBox: `0 0 ${WIDTH} ${HEIGHT}`,
      preserveAspectRatio: 'none',
      role: 'img',
      'aria-label': `Received bitrate of the last minute, now ${rate(now)}`,
    },
    h('polygon', { points: `${first},${HEIGHT} ${points.join(' ')} ${WIDTH},${HEIGHT}` }),
    h('polyline', { points: points.join(' ') }),
  )
}
