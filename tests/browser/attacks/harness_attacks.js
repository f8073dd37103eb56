/** Runs in every tab before the page, next to the other harness: reaches the server that attacks, in the page's worker. */
{
  const workers = []
  window.Worker = class extends Worker {
    constructor(...given) {
      super(...given)
      workers.push(this)
    }
  }

  window.server = (command, options = {}) =>
    new Promise((resolve) => {
      const { port1, port2 } = new MessageChannel()
      port1.onmessage = ({ data }) => resolve(data)
      workers.at(-1).postMessage({ ...options, server: command }, [port2])
    })

  /** Samples of a member's voice that were played and were no filling. */
  window.heard = async (sid) => {
    const { srcObject } = document.getElementById(`${sid}-mic`)
    const [{ id }] = srcObject.getAudioTracks()
    for (const connection of seen.connections) {
      for (const line of (await connection.getStats()).values()) {
        if (line.type !== 'inbound-rtp' || line.trackIdentifier !== id) continue
        return (line.totalSamplesReceived ?? 0) - (line.concealedSamples ?? 0)
      }
    }
    return 0
  }

  /** What a member that cheats keeps of all keys that it was given. @type {{sid: string, kid: number, baseKey: Uint8Array}[]} */
  const kept = []

  const keepKeys = async () => {
    const { FrameCrypto } = await import('/sdk/frame_crypto.js')
    const { learn } = FrameCrypto.prototype
    FrameCrypto.prototype.learn = function (sid, kid, baseKey) {
      kept.push({ sid, kid, baseKey: baseKey.reveal().slice() })
      return learn.call(this, sid, kid, baseKey)
    }
  }

  /** How many of these frames of a member open with the keys that were kept, whatever became of the call. */
  window.openWithKeptKeys = async (sid, payloads) => {
    const { ReceivingKeys } = await import('/sdk/receiving_keys.js')
    const keys = new ReceivingKeys(() => 0)
    for (const key of kept) if (key.sid === sid) await keys.learn(key.kid, key.baseKey.slice())
    for (const payload of payloads) {
      const data = Uint8Array.from(atob(payload), (character) => character.charCodeAt(0))
      await keys.open({ sid, source: 'mic', data, clear: 0 })
    }
    return keys.opened
  }

  /** Joins, and sends sound alone: pictures are what tests in browsers cost. */
  window.joinBySound = async (options) => {
    await keepKeys()
    const sid = await join({ ...options, media: false })
    const { call } = window
    const stream = await navigator.mediaDevices.getUserMedia({ audio: true })
    await call.setTrack('mic', stream.getAudioTracks()[0])
    await call.setState({ audio: true })
    return sid
  }
}
