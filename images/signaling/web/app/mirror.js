/** Makes a call send what the store says, and receive what the page shows. */

import { SOURCES, isSending } from './state.js'
import { sizesOf } from './tiles.js'

/** @typedef {import('./state.js').Source} Source */

/**
 * Tells of each track, each state and each change of what is shown once.
 *
 * @param {import('./state.js').PageStore} store
 * @param {Pick<import('../sdk/index.js').Call, 'setTrack' | 'setState' | 'show'>} call
 * @param {(source: Source) => void} failed  The track may not have reached everyone.
 * @returns {() => void} Ends it.
 */
export function mirror(store, call, failed) {
  /** @type {Partial<Record<Source, MediaStreamTrack | null>>} */
  const sent = {}
  let told = ''
  let shown = ''
  const sync = () => {
    const now = store.get()
    const { capture, hand } = now
    const sizes = sizesOf(now, globalThis.devicePixelRatio)
    if (shown !== JSON.stringify(sizes)) {
      shown = JSON.stringify(sizes)
      call.show(sizes)
    }
    for (const source of SOURCES) {
      const track = capture[source].status === 'on' ? capture[source].track : null
      if ((sent[source] ?? null) === track) continue
      sent[source] = track
      call.setTrack(source, track).catch(({ code }) => {
        // What may not be sent is let go of when the grants are known.
        if (code !== 'forbidden') failed(source)
      })
    }
    const state = {
      audio: isSending(capture.mic),
      video: isSending(capture.cam),
      screen: isSending(capture.screen),
      hand,
    }
    if (told === JSON.stringify(state)) return
    told = JSON.stringify(state)
    // A state that doesn't get through is said again by the SDK when it has reconnected.
    call.setState(state).catch(() => {})
  }
  sync()
  return store.subscribe(sync)
}
