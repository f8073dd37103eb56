/** Runs in every tab before the page: watches what the browser does with connections, and keeps what calls report. */
{
  const seen = (window.seen = { connections: [], descriptions: 0, keys: [], baseKeys: [], events: {}, states: [], warnings: [], messages: [], muteRequests: [], lost: [] })

  window.RTCPeerConnection = class extends RTCPeerConnection {
    constructor(configuration) {
      super(configuration)
      seen.connections.push(this)
    }

    setLocalDescription(description) {
      seen.descriptions += 1
      return super.setLocalDescription(description)
    }
  }

  window.withoutTransforms = async () => {
    const { FrameCrypto } = await import('/sdk/frame_crypto.js')
    Object.assign(FrameCrypto.prototype, { attachSender: () => undefined, attachReceiver: () => 0 })
  }

  /** An SFU that says of each track that it is another member's. */
  window.misledBySfu = async () => {
    const { SfuLeg } = await import('/sdk/sfu_leg.js')
    const { told } = SfuLeg.prototype
    SfuLeg.prototype.told = function ({ tracks, ...state }) {
      const sids = [...new Set(tracks.map(({ sid }) => sid))]
      const next = (sid) => sids[(sids.indexOf(sid) + 1) % sids.length]
      return told.call(this, { ...state, tracks: tracks.map((track) => ({ ...track, sid: next(track.sid) })) })
    }
  }

  window.onlyCodec = (mimeType) => {
    const { getCapabilities } = RTCRtpReceiver
    RTCRtpReceiver.getCapabilities = (kind) => {
      const all = getCapabilities.call(RTCRtpReceiver, kind)
      const codecs = all.codecs.filter((codec) => kind === 'audio' || [mimeType, 'video/rtx'].includes(codec.mimeType))
      return { ...all, codecs }
    }
  }

  const b64 = (text) => (text ? Uint8Array.from(atob(text), (character) => character.charCodeAt(0)) : null)

  const SOUND_AND_PICTURE = { audio: true, video: { width: 320, height: 240, frameRate: 15 } }

  /** `media`: true, false, or what `getUserMedia` takes. */
  window.join = async ({ secret, media = true, ...options }) => {
    const { Call } = await import('/sdk/index.js')
    const { FrameCrypto } = await import('/sdk/frame_crypto.js')
    const { use } = FrameCrypto.prototype
    FrameCrypto.prototype.use = function (kid, baseKey) {
      seen.keys.push(kid)
      seen.baseKeys.push(Array.from(baseKey.reveal()))
      return use.call(this, kid, baseKey)
    }
    const call = (window.call = new Call({ ...options, secret: b64(secret) }))
    for (const type of ['members', 'room', 'encryption', 'code']) {
      call.addEventListener(type, ({ detail }) => (seen.events[type] = detail))
    }
    call.addEventListener('state', ({ detail }) => seen.states.push(detail))
    call.addEventListener('warning', ({ detail }) => seen.warnings.push(detail.code))
    call.addEventListener('message', ({ detail }) => seen.messages.push(detail))
    call.addEventListener('mute-request', ({ detail }) => seen.muteRequests.push(detail.kind))
    call.addEventListener('track', ({ detail }) => show(detail))
    if (media) {
      const stream = await navigator.mediaDevices.getUserMedia(media === true ? SOUND_AND_PICTURE : media)
      const [[mic = null], [cam = null]] = [stream.getAudioTracks(), stream.getVideoTracks()]
      await call.setTrack('mic', mic)
      await call.setTrack('cam', cam)
      await call.setState({ audio: !!mic, video: !!cam })
    }
    await call.join()
    return call.selfSid
  }

  /** Remote tracks only flow where something plays them. */
  const show = ({ sid, source, track }) => {
    const id = `${sid}-${source}`
    document.getElementById(id)?.remove()
    if (!track) return void seen.lost.push(id)
    const element = document.createElement(track.kind)
    Object.assign(element, { id, autoplay: true, muted: track.kind === 'video', srcObject: new MediaStream([track]) })
    document.body.append(element)
  }

  /** What went through the connections that are open, and what the call reported last. */
  window.look = async () => {
    const counts = { packetsSent: 0, framesEncoded: 0, packetsReceived: 0, framesDecoded: 0, samples: 0, perVideo: [], codecs: [] }
    const open = seen.connections.filter((connection) => connection.connectionState !== 'closed')
    for (const connection of open) {
      const report = await connection.getStats()
      for (const line of report.values()) {
        if (line.type === 'outbound-rtp') {
          counts.packetsSent += line.packetsSent
          counts.framesEncoded += line.framesEncoded ?? 0
        }
        if (line.type !== 'inbound-rtp') continue
        counts.packetsReceived += line.packetsReceived
        if (line.kind === 'audio') counts.samples += (line.totalSamplesReceived ?? 0) - (line.concealedSamples ?? 0)
        if (line.kind !== 'video' || !line.framesReceived) continue
        counts.framesDecoded += line.framesDecoded
        counts.perVideo.push(line.framesDecoded)
        counts.codecs.push(report.get(line.codecId)?.mimeType)
      }
    }
    const { keys, events, states, warnings, messages, muteRequests, lost, descriptions } = seen
    const forwarded = open.filter(({ remoteDescription }) => remoteDescription?.sdp.includes('a=ice-lite')).length
    return { ...counts, connections: open.length, forwarded, keys, ...events, states, warnings, messages, muteRequests, lost, descriptions }
  }
}
