/** One call at a time: joins it, mirrors what it says into the store, and sends what the store says. */

import { Call } from '../sdk/index.js'
import { judge } from './encryption.js'
import { SPEECH, meter } from './level.js'
import { mirror } from './mirror.js'
import { SOURCES, initialCall, others } from './state.js'
import { NOT_SENT, WARNINGS } from './warnings.js'

/** @typedef {import('./state.js').PageStore} PageStore */
/** @typedef {import('./state.js').State} State */
/** @typedef {import('./state.js').CallState} CallState */
/** @typedef {import('./state.js').Source} Source */

const STATS_EVERY_MS = 2_000
const SPEECH_EVERY_MS = 200
const HISTORY = 30
/** @type {Pick<State, 'panel' | 'dialog' | 'moderating'>} */
const NOTHING_OPEN = { panel: null, dialog: null, moderating: '' }

/**
 * @param {PageStore} store
 * @param {object} page
 * @param {(text: string, tone?: 'info' | 'good' | 'bad') => void} page.toast
 * @param {(source: Source) => void} page.muteMe A moderator asks for it.
 * @param {(sources: Source[]) => void} page.allow What this person may send.
 * @param {() => void} page.over
 */
export function createSession(store, page) {
  /** @type {Call | null} */
  let call = null
  /** @type {Array<() => void>} */
  let stops = []

  /** @param {Partial<CallState> | ((call: CallState) => Partial<CallState>)} change */
  const put = (change) =>
    store.set(({ call: now }) => {
      if (!now) return {}
      return { call: { ...now, ...(typeof change === 'function' ? change(now) : change) } }
    })

  /** @param {import('./state.js').Ending} ending */
  function finish(ending) {
    for (const stop of stops.splice(0)) stop()
    call = null
    expose(null)
    page.over()
    store.set({ screen: 'ended', ending, call: null, hand: false, ...NOTHING_OPEN })
  }

  /** @param {Call} joined */
  function listen(joined) {
    /** @param {string} type @param {(detail: any) => void} handler */
    const on = (type, handler) =>
      joined.addEventListener(type, (event) => {
        if (call === joined) handler(/** @type {CustomEvent} */ (event).detail)
      })
    on('state', ({ state, reason }) => {
      if (state === 'ended') finish({ reason: reason ?? '' })
      else put((now) => ({ phase: state, since: now.since || (state === 'joined' ? Date.now() : 0) }))
    })
    on('members', ({ members }) => {
      put({ members })
      const { dialog } = store.get()
      const here = (/** @type {string} */ sid) => others(store.get()).some((member) => member.sid === sid)
      if (dialog?.kind === 'remove' && !here(dialog.sid)) store.set({ dialog: null })
    })
    on('room', ({ locked, grants }) => {
      put({ locked, grants })
      page.allow(grants.pub)
    })
    on('track', ({ sid, source, track }) =>
      put(({ tracks }) => ({ tracks: { ...tracks, [sid]: { ...tracks[sid], [source]: track } } })),
    )
    on('encryption', (report) =>
      put((now) => ({ encryption: judge(now.encryption, report, circumstances(store.get())) })),
    )
    on('code', ({ code }) =>
      put((now) => ({ code: code ?? '', codeChanged: now.code && code ? Date.now() : now.codeChanged })),
    )
    on('mute-request', ({ kind }) =>
      page.muteMe(kind === 'audio' ? 'mic' : kind === 'video' ? 'cam' : 'screen'),
    )
    on('warning', ({ code, message }) => {
      const words = WARNINGS[code] ?? { text: message, tone: 'bad' }
      if (words.text) page.toast(words.text, words.tone)
    })
  }

  /** @param {Call} joined */
  function watchStats(joined) {
    const timer = setInterval(async () => {
      const { members } = await joined.stats().catch(() => ({ members: null }))
      if (!members || call !== joined) return
      put(({ history }) => ({ stats: members, history: append(history, members) }))
    }, STATS_EVERY_MS)
    return () => clearInterval(timer)
  }

  return {
    get call() {
      return call
    },

    /** @param {import('./state.js').JoinLink} link @param {string} name */
    async join(link, name) {
      const joined = new Call({
        url: new URL('/', location.href).href.replace(/^http/, 'ws'),
        room: link.room,
        secret: link.secret,
        token: link.token,
        name,
        iceTransportPolicy: link.relay ? 'relay' : 'all',
      })
      call = joined
      expose(joined)
      store.set({ screen: 'call', call: initialCall(), ending: null, hand: false, page: 0, ...NOTHING_OPEN })
      listen(joined)
      const mirrored = mirror(store, joined, (source) => {
        if (call === joined) page.toast(NOT_SENT[source], 'bad')
      })
      stops = [mirrored, watchStats(joined), watchSpeech(store, put), everySecond(store)]
      // A refusal arrives as the state `ended`, too.
      await joined.join().catch(() => {})
    },

    leave: () => call?.leave(),
  }
}

/** What the counters are to be judged by. @param {State} state @returns {import('./encryption.js').Circumstances} */
function circumstances(state) {
  const peers = others(state)
  const own = SOURCES.some((source) => state.capture[source].status === 'on')
  const theirs = peers.some(({ state: { audio, video, screen } }) => audio || video || screen)
  return { others: peers, media: own || theirs }
}

/** For support and for tests: `callcluster.call` in the console. @param {Call | null} call */
function expose(call) {
  Object.assign(globalThis, { callcluster: { call } })
}

/** @param {Record<string, number[]>} history @param {CallState['stats']} stats */
function append(history, stats) {
  return Object.fromEntries(
    Object.entries(stats).map(([sid, { receiveKbps }]) => [
      sid,
      [...(history[sid] ?? []), receiveKbps ?? 0].slice(-HISTORY),
    ]),
  )
}

/** @param {PageStore} store */
function everySecond(store) {
  const timer = setInterval(() => store.set({ now: Date.now() }), 1_000)
  return () => clearInterval(timer)
}

/**
 * Marks who speaks, by the loudness of what is heard and of what is sent.
 * @param {PageStore} store
 * @param {(change: Partial<CallState>) => void} put
 */
function watchSpeech(store, put) {
  /** @type {Map<MediaStreamTrack, ReturnType<typeof meter>>} */
  const meters = new Map()
  const timer = setInterval(() => {
    const state = store.get()
    if (!state.call) return
    const heard = new Set()
    /** @type {Record<string, boolean>} */
    const speaking = {}
    for (const { sid, isSelf, state: media } of state.call.members) {
      const track = isSelf ? state.capture.mic.track : state.call.tracks[sid]?.mic
      if (!track || track.readyState !== 'live' || !media.audio) continue
      heard.add(track)
      if (!meters.has(track)) meters.set(track, meter(track))
      speaking[sid] = (meters.get(track)?.read() ?? 0) > SPEECH
    }
    for (const [track, { close }] of meters) {
      if (heard.has(track)) continue
      close()
      meters.delete(track)
    }
    if (JSON.stringify(speaking) !== JSON.stringify(state.call.speaking)) put({ speaking })
  }, SPEECH_EVERY_MS)
  return () => {
    clearInterval(timer)
    for (const { close } of meters.values()) close()
  }
}
