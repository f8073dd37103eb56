/** Camera, microphone and screen: opens them, turns them off and on, and says in the store how that went. */

import { SOURCES } from './state.js'

/** @typedef {import('./state.js').PageStore} PageStore */
/** @typedef {import('./state.js').Source} Source */
/** @typedef {import('./state.js').Capture} Capture */
/** @typedef {import('./state.js').DeviceStatus} DeviceStatus */

/** Browsers offer cameras and microphones to secure pages only. */
class Insecure extends Error {
  name = 'Insecure'
}

/** @type {Record<string, DeviceStatus>} */
const STATUS_OF_ERROR = {
  NotAllowedError: 'denied',
  SecurityError: 'denied',
  NotFoundError: 'missing',
  OverconstrainedError: 'missing',
  NotReadableError: 'busy',
  AbortError: 'busy',
  Insecure: 'insecure',
}

export const canShareScreen = () => typeof navigator.mediaDevices?.getDisplayMedia === 'function'

/**
 * @param {PageStore} store
 * @param {{lost: (source: 'mic' | 'cam') => void}} page `lost`: a device went away while it was in use.
 */
export function createCapture(store, page) {
  /** Raised by each change of a source, so that a slow permission prompt can't undo a later choice. */
  const turn = { mic: 0, cam: 0, screen: 0 }

  /** @param {Source} source @param {Partial<Capture>} change */
  const put = (source, change) =>
    store.set(({ capture }) => ({ capture: { ...capture, [source]: { ...capture[source], ...change } } }))

  /** @param {Source} source */
  function release(source) {
    turn[source]++
    store.get().capture[source].track?.stop()
    put(source, { track: null, status: 'off', wanted: false })
  }

  /** @param {Source} source @param {MediaStreamTrack} track @param {boolean} on False for a microphone that is muted. */
  function adopt(source, track, on) {
    store.get().capture[source].track?.stop()
    // The device was unplugged, its permission withdrawn, or the browser's own "stop sharing" was used.
    track.addEventListener('ended', () => {
      if (store.get().capture[source].track !== track) return
      put(source, { track: null, status: source === 'screen' ? 'off' : 'missing', wanted: false })
      if (source !== 'screen') page.lost(source)
      void listDevices()
    })
    // Before anyone sees the track: a muted microphone is never heard, not even for a moment.
    track.enabled = on
    put(source, { track, status: 'on', wanted: on })
    rememberDevice(source, track)
  }

  /** @param {Source} source @param {MediaStreamTrack} track */
  function rememberDevice(source, track) {
    const deviceId = track.getSettings().deviceId
    if (source === 'screen' || !deviceId) return
    store.set(({ chosen }) => ({ chosen: { ...chosen, [source]: deviceId } }))
  }

  /** @param {Source} source @param {boolean} [on] False for a microphone that is muted. */
  async function open(source, on = true) {
    const mine = ++turn[source]
    put(source, { status: 'asking', wanted: on })
    try {
      const stream = await request([source], store.get().chosen)
      const [track] = source === 'mic' ? stream.getAudioTracks() : stream.getVideoTracks()
      if (!track || turn[source] !== mine) {
        for (const unused of stream.getTracks()) unused.stop()
        return
      }
      adopt(source, track, on)
      void listDevices()
    } catch (error) {
      if (turn[source] === mine) failed(source, error)
    }
  }

  /** @param {Source} source @param {unknown} error */
  function failed(source, error) {
    const status = STATUS_OF_ERROR[error instanceof Error ? error.name : ''] ?? 'failed'
    // Closing the screen picker is a choice, not a fault.
    const cancelled = source === 'screen' && status === 'denied'
    put(source, { status: cancelled ? 'off' : status, track: null, wanted: false })
  }

  async function listDevices() {
    const all = (await navigator.mediaDevices?.enumerateDevices?.()) ?? []
    /** @param {MediaDeviceKind} kind */
    const of = (kind) => all.filter((device) => device.kind === kind && device.deviceId !== '')
    store.set({ devices: { mics: of('audioinput'), cams: of('videoinput'), speakers: of('audiooutput') } })
  }

  navigator.mediaDevices?.addEventListener?.('devicechange', () => void listDevices())

  return {
    release,

    /** Asks for both at once, so that the browser shows one prompt; where that fails, each for itself. */
    async openBoth() {
      const mine = [++turn.mic, ++turn.cam]
      put('mic', { status: 'asking', wanted: true })
      put('cam', { status: 'asking', wanted: true })
      try {
        const stream = await request(['mic', 'cam'], store.get().chosen)
        const tracks = { mic: stream.getAudioTracks()[0], cam: stream.getVideoTracks()[0] }
        if (turn.mic === mine[0] && tracks.mic) adopt('mic', tracks.mic, true)
        else tracks.mic?.stop()
        if (turn.cam === mine[1] && tracks.cam) adopt('cam', tracks.cam, true)
        else tracks.cam?.stop()
        void listDevices()
      } catch {
        await Promise.all([turn.mic === mine[0] && open('mic'), turn.cam === mine[1] && open('cam')])
      }
    },

    /** The microphone stays open while muted, for an instant return; the camera and the screen are let go.
     * @param {Source} source @param {boolean} on */
    async set(source, on) {
      const { track, status } = store.get().capture[source]
      if (!on && source !== 'mic') return release(source)
      if (on && (!track || status !== 'on')) return open(source)
      if (track) {
        track.enabled = on
        put(source, { wanted: on })
      } else put(source, { wanted: false })
    },

    /** @param {'mic' | 'cam' | 'speaker'} kind @param {string} deviceId */
    async choose(kind, deviceId) {
      store.set(({ chosen }) => ({ chosen: { ...chosen, [kind]: deviceId } }))
      if (kind === 'speaker') return
      const { status, wanted } = store.get().capture[kind]
      if (kind === 'cam' && status !== 'on') return
      await open(kind, wanted || status !== 'on')
    },

    releaseAll() {
      for (const source of SOURCES) release(source)
    },
  }
}

/** @param {Source[]} sources @param {{mic: string, cam: string}} chosen @returns {Promise<MediaStream>} */
async function request(sources, chosen) {
  if (!navigator.mediaDevices) throw new Insecure()
  if (sources.includes('screen')) {
    return navigator.mediaDevices.getDisplayMedia({
      video: { frameRate: { ideal: 15, max: 30 } },
      audio: false,
    })
  }
  /** @param {string} id */
  const device = (id) => (id ? { deviceId: { ideal: id } } : {})
  return navigator.mediaDevices.getUserMedia({
    audio: sources.includes('mic') && {
      ...device(chosen.mic),
      echoCancellation: true,
      noiseSuppression: true,
      autoGainControl: true,
    },
    video: sources.includes('cam') && {
      ...device(chosen.cam),
      width: { ideal: 1280 },
      height: { ideal: 720 },
      frameRate: { ideal: 30, max: 30 },
    },
  })
}
