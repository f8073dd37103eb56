/**
 * @typedef {import('./types.js').MemberStats} MemberStats
 */

/** @typedef {{at: number, sent: number, received: number}} Bytes  Counted at a time in milliseconds. */

/** Turns the browser's statistics of one connection into the few that people read. */
export class ConnectionStats {
  /** @type {Bytes | null} */
  #last = null

  /**
   * @param {RTCStatsReport} report
   * @returns {MemberStats}
   */
  read(report) {
    const { path, transport, incoming } = parts(report)
    const now = bytes(transport)
    const rates = ratesOf(this.#last, now)
    this.#last = now
    return { ...path, ...rates, ...received(report, incoming) }
  }
}

/** The same of a connection that carries several members: what they share is in the line of each. */
export class SfuStats {
  /** @type {Bytes | null} */
  #last = null
  /** @type {Map<string, Bytes>} by member */
  #lastOf = new Map()

  /**
   * @param {RTCStatsReport} report
   * @param {{sid: string, mid: string | null}[]} sections  Whose each receiving section is.
   * @returns {Record<string, MemberStats>}
   */
  read(report, sections) {
    const { path, transport, incoming } = parts(report)
    const now = bytes(transport)
    const { sendKbps } = ratesOf(this.#last, now)
    this.#last = now
    const before = this.#lastOf
    this.#lastOf = new Map()
    return Object.fromEntries(
      [...new Set(sections.map(({ sid }) => sid))].map((sid) => {
        const own = incoming.filter(({ mid }) => sections.some((section) => section.sid === sid && section.mid === mid))
        const count = { at: now?.at ?? 0, sent: 0, received: sum(own, 'bytesReceived') }
        this.#lastOf.set(sid, count)
        const { receiveKbps } = ratesOf(before.get(sid) ?? null, count)
        return [sid, { ...path, route: /** @type {'sfu'} */ ('sfu'), sendKbps, receiveKbps, ...received(report, own) }]
      }),
    )
  }

  /** @param {RTCStatsReport} report */
  path(report) {
    return parts(report).path
  }
}

/**
 * One line for a member that is reached in two ways at once, as while it moves from one to the other.
 *
 * @param {MemberStats} main  Whose path counts.
 * @param {MemberStats | undefined} other
 * @returns {MemberStats}
 */
export function together(main, other) {
  if (!other) return main
  const { sendKbps, receiveKbps, lost } = other
  return { ...main, sendKbps: main.sendKbps + sendKbps, receiveKbps: main.receiveKbps + receiveKbps, lost: main.lost + lost }
}

/** @param {RTCStatsReport} report */
function parts(report) {
  /** @type {any[]} */
  const all = [...report.values()]
  const transport = all.find(({ type }) => type === 'transport')
  const pair = report.get(transport?.selectedCandidatePairId)
  const local = report.get(pair?.localCandidateId)
  const remote = report.get(pair?.remoteCandidateId)
  const path = {
    route: routeOf(local, remote),
    protocol: local?.relayProtocol ?? local?.protocol ?? null,
    rttMs: pair?.currentRoundTripTime === undefined ? null : Math.round(pair.currentRoundTripTime * 1000),
    localCandidateType: local?.candidateType ?? null,
    remoteCandidateType: remote?.candidateType ?? null,
  }
  return { path, transport, incoming: all.filter(({ type }) => type === 'inbound-rtp') }
}

/**
 * @param {RTCStatsReport} report
 * @param {any[]} incoming
 */
function received(report, incoming) {
  const picture = incoming.find(({ kind, framesDecoded }) => kind === 'video' && framesDecoded > 0)
  return {
    codec: report.get(picture?.codecId)?.mimeType ?? null,
    lost: incoming.reduce((total, { packetsLost = 0 }) => total + Math.max(0, packetsLost), 0),
  }
}

/**
 * @param {any} transport
 * @returns {Bytes | null}
 */
function bytes(transport) {
  if (!transport) return null
  return { at: transport.timestamp, sent: transport.bytesSent ?? 0, received: transport.bytesReceived ?? 0 }
}

/**
 * @param {Bytes | null} last
 * @param {Bytes | null} now
 */
function ratesOf(last, now) {
  const milliseconds = last && now ? now.at - last.at : 0
  if (!last || !now || milliseconds <= 0) return { sendKbps: 0, receiveKbps: 0 }
  return {
    sendKbps: Math.round(((now.sent - last.sent) * 8) / milliseconds),
    receiveKbps: Math.round(((now.received - last.received) * 8) / milliseconds),
  }
}

/**
 * @param {any[]} lines
 * @param {string} name
 */
function sum(lines, name) {
  return lines.reduce((total, line) => total + (line[name] ?? 0), 0)
}

/**
 * @param {any} local
 * @param {any} remote
 * @returns {'direct' | 'relay' | 'unknown'}
 */
function routeOf(local, remote) {
  if (!local || !remote) return 'unknown'
  return local.candidateType === 'relay' || remote.candidateType === 'relay' ? 'relay' : 'direct'
}
