/**
 * @typedef {import('./types.js').MemberStats} MemberStats
 */

/** Turns the browser's statistics of one connection into the few that people read. */
export class ConnectionStats {
  /** @type {{at: number, sent: number, received: number} | null} */
  #last = null

  /**
   * @param {RTCStatsReport} report
   * @returns {MemberStats}
   */
  read(report) {
    /** @type {any[]} */
    const all = [...report.values()]
    const transport = all.find(({ type }) => type === 'transport')
    const pair = report.get(transport?.selectedCandidatePairId)
    const local = report.get(pair?.localCandidateId)
    const remote = report.get(pair?.remoteCandidateId)
    const incoming = all.filter(({ type }) => type === 'inbound-rtp')
    const picture = incoming.find(({ kind, framesDecoded }) => kind === 'video' && framesDecoded > 0)
    return {
      route: routeOf(local, remote),
      protocol: local?.relayProtocol ?? local?.protocol ?? null,
      rttMs: pair?.currentRoundTripTime === undefined ? null : Math.round(pair.currentRoundTripTime * 1000),
      ...this.#rates(transport),
      codec: report.get(picture?.codecId)?.mimeType ?? null,
      lost: incoming.reduce((sum, { packetsLost = 0 }) => sum + Math.max(0, packetsLost), 0),
      localCandidateType: local?.candidateType ?? null,
      remoteCandidateType: remote?.candidateType ?? null,
    }
  }

  /** @param {any} transport */
  #rates(transport) {
    if (!transport) return { sendKbps: 0, receiveKbps: 0 }
    const now = { at: transport.timestamp, sent: transport.bytesSent ?? 0, received: transport.bytesReceived ?? 0 }
    const last = this.#last ?? now
    this.#last = now
    const milliseconds = now.at - last.at
    if (milliseconds <= 0) return { sendKbps: 0, receiveKbps: 0 }
    return {
      sendKbps: Math.round(((now.sent - last.sent) * 8) / milliseconds),
      receiveKbps: Math.round(((now.received - last.received) * 8) / milliseconds),
    }
  }
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
