/** How good a connection is, in a word and in bars, from its measured delay and what it carries. */

/** @typedef {import('./state.js').MemberStats} MemberStats */

/** @param {MemberStats} stats @returns {0 | 1 | 2 | 3} bars */
export function qualityOf({ rttMs }) {
  if (rttMs === null) return 0
  if (rttMs < 150) return 3
  return rttMs < 350 ? 2 : 1
}

export const QUALITY_WORDS = ['Measuring', 'Slow', 'Fair', 'Good']

/** @param {number | null} kbps */
export function rate(kbps) {
  if (kbps === null) return '–'
  return kbps >= 1_000 ? `${(kbps / 1_000).toFixed(1)} Mbit/s` : `${Math.round(kbps)} kbit/s`
}

/** @type {Record<string, string>} */
const CANDIDATES = {
  host: 'this network',
  srflx: 'through NAT',
  prflx: 'through NAT, found on the way',
  relay: 'by relay',
}

/** @param {string | null} type An ICE candidate type. */
export const candidateWords = (type) => (type ? (CANDIDATES[type] ?? type) : '–')

/** @param {MemberStats} stats */
export function routeWords({ route }) {
  if (route === 'sfu') return 'Through the SFU'
  if (route === 'relay') return 'Relayed (TURN)'
  return route === 'direct' ? 'Direct' : 'Looking for a way'
}

/** Plain text for a support ticket: no names, no addresses. @param {Record<string, MemberStats>} stats */
export function report(stats) {
  const lines = Object.values(stats).map((one, index) =>
    [
      `member ${index + 1}: ${routeWords(one)}, ${one.protocol ?? 'unknown protocol'}`,
      `round trip ${one.rttMs === null ? 'unknown' : `${Math.round(one.rttMs)} ms`}`,
      `sends ${rate(one.sendKbps)}, receives ${rate(one.receiveKbps)}`,
      `lost ${one.lost} packets, codec ${one.codec ?? 'unknown'}`,
      `candidates ${one.localCandidateType ?? 'unknown'} to ${one.remoteCandidateType ?? 'unknown'}`,
    ].join('; '),
  )
  return ['CallCluster connection report', new Date().toISOString(), navigator.userAgent, ...lines].join(
    '\n',
  )
}
