/** What the person can do: each action changes the store or the session, and nothing else does. */

import { makeJoinLink, makeRoomSecret, missingFeatures, parseJoinLink } from '../sdk/index.js'
import { canShareScreen, createCapture } from './capture.js'
import { recall, remember } from './memory.js'
import { createSession } from './session.js'
import { SOURCES, nameOf } from './state.js'
import { pageOf } from './tiles.js'

/** @typedef {import('./state.js').PageStore} PageStore */
/** @typedef {import('./state.js').Source} Source */
/** @typedef {import('./state.js').JoinLink} JoinLink */
/** @typedef {ReturnType<typeof createApp>} App */

const TOAST_MS = 5_000
const DEVICES = { mic: 'microphone', cam: 'camera', screen: 'screen' }
const MUTED = {
  mic: 'A moderator muted your microphone.',
  cam: 'A moderator turned your camera off.',
  screen: 'A moderator stopped your screen share.',
}
const BAN_SECONDS = 3_600
/** @type {Record<string, string>} */
const REFUSALS = {
  forbidden: 'Your invitation doesn’t let you do that.',
  no_such_member: 'They have left already.',
}
const NOT_A_LINK =
  'This isn’t a join link. It looks like https://…/#r=… and was given to you by whoever invited you.'

/** @param {PageStore} store */
export function createApp(store) {
  let toasts = 0

  /** @param {string} text @param {'info' | 'good' | 'bad'} [tone] */
  function toast(text, tone = 'info') {
    const id = ++toasts
    store.set((state) => ({
      toasts: [...state.toasts.filter((shown) => shown.text !== text).slice(-2), { id, tone, text }],
    }))
    setTimeout(() => app.dismiss(id), tone === 'bad' ? 2 * TOAST_MS : TOAST_MS)
  }

  const capture = createCapture(store, {
    lost: (source) => toast(`The ${DEVICES[source]} was disconnected. Choose another one, or plug it in again.`, 'bad'),
  })

  const session = createSession(store, {
    toast,
    over: () => capture.releaseAll(),
    allow(sources) {
      for (const source of SOURCES) {
        if (sources.includes(source) || !store.get().capture[source].track) continue
        capture.release(source)
        toast(notAllowed(source))
      }
    },
    muteMe(source) {
      if (!store.get().capture[source].wanted) return
      void capture.set(source, false)
      toast(MUTED[source])
    },
  })

  function keep() {
    const { name, chosen, shortcuts } = store.get()
    remember({ name: name.trim(), chosen, shortcuts })
  }

  /** @param {JoinLink} link */
  function lobby(link) {
    store.set({ screen: 'lobby', link, linkProblem: '', pasted: '', ending: null })
    if (store.get().missing.length === 0) void capture.openBoth()
  }

  /** @param {{hash: string}} address @returns {{link: JoinLink | null, problem: string}} */
  function read(address) {
    try {
      const { room, ...rest } = parseJoinLink(address)
      return { link: room === null ? null : { room, ...rest }, problem: '' }
    } catch (error) {
      return { link: null, problem: error instanceof Error ? error.message : NOT_A_LINK }
    }
  }

  const app = {
    capture,

    /** Shows what the address asks for; run at the start and whenever the fragment changes. */
    async open() {
      session.leave()
      const { link, problem } = read(location)
      const { name = '', chosen = store.get().chosen, shortcuts = true } = recall()
      store.set({ missing: await missingFeatures(), name, chosen, shortcuts })
      if (link) return lobby(link)
      capture.releaseAll()
      store.set({ screen: 'start', link: null, linkProblem: problem, ending: null })
    },

    startCall() {
      const link = { room: randomRoom(), secret: makeRoomSecret(), token: null, relay: false }
      history.pushState(null, '', makeJoinLink(location.origin, link))
      lobby(link)
    },

    /** @param {string} text */
    paste: (text) => store.set({ pasted: text, linkProblem: '' }),

    usePasted() {
      const text = store.get().pasted.trim()
      const url = URL.canParse(text) ? new URL(text) : null
      if (!url) return store.set({ linkProblem: NOT_A_LINK })
      if (url.origin !== location.origin) {
        return store.set({
          linkProblem: `This link belongs to another server, ${url.host}. Open it in the address bar.`,
        })
      }
      const { link, problem } = read(url)
      if (!link) return store.set({ linkProblem: problem || NOT_A_LINK })
      history.pushState(null, '', makeJoinLink(location.origin, link))
      lobby(link)
    },

    toStart() {
      history.pushState(null, '', new URL('/', location.href))
      return app.open()
    },

    /** @param {string} name */
    rename: (name) => store.set({ name }),

    async join() {
      const { link, name } = store.get()
      if (!link) return
      keep()
      await session.join(link, name.trim())
    },

    leave: () => session.leave(),

    rejoin() {
      const { link } = store.get()
      if (link) lobby(link)
    },

    /** @param {Source} source */
    async toggle(source) {
      const on = !store.get().capture[source].wanted
      if (on && store.get().call?.grants.pub.includes(source) === false) return toast(notAllowed(source))
      if (source === 'screen' && on && !canShareScreen())
        return toast('This browser can’t share a screen.', 'bad')
      await capture.set(source, on)
      const { status } = store.get().capture[source]
      const problem = on ? problemOf(source, status) : ''
      if (problem) toast(problem, 'bad')
    },

    toggleHand: () => store.set(({ hand }) => ({ hand: !hand })),

    /** @param {{width: number, height: number}} stage */
    resized: (stage) => store.set({ stage }),

    /** @param {number} by Pages of tiles to go on, or back. */
    turn: (by) =>
      store.set((state) => {
        const { page, pages } = pageOf(state)
        return { page: Math.min(pages - 1, Math.max(0, page + by)) }
      }),

    /** @param {import('./state.js').Panel} panel */
    togglePanel: (panel) =>
      store.set((state) => ({ panel: state.panel === panel ? null : panel, moderating: '' })),

    closePanel: () => store.set({ panel: null, moderating: '' }),

    /** @param {boolean} shortcuts */
    useShortcuts(shortcuts) {
      store.set({ shortcuts })
      keep()
    },

    /** @param {import('./state.js').State['dialog']} dialog */
    show: (dialog) => store.set({ dialog }),

    /** The link for others: never with this person's own token. */
    shareLink() {
      const { link } = store.get()
      return link
        ? makeJoinLink(location.origin, { room: link.room, secret: link.secret, relay: link.relay })
        : ''
    },

    copyLink: () => copy(app.shareLink(), 'Link copied. Send it only to the people you want in the call.'),

    /** @param {string} text @param {string} done */
    copy: (text, done) => copy(text, done),

    /** @param {'match' | 'differ'} result */
    compared(result) {
      const code = store.get().call?.code ?? ''
      if (result === 'match' && !session.call?.confirmCode(code)) return
      store.set(({ call }) => (call ? { call: { ...call, compared: { code, result } } } : {}))
    },

    /** Opens the actions on a member in the people panel, or closes them. @param {string} sid */
    moderate: (sid) =>
      store.set(({ panel, moderating }) => ({
        panel: 'people',
        moderating: panel === 'people' && moderating === sid ? '' : sid,
      })),

    /** @param {import('./state.js').Member} member @param {'audio' | 'video' | 'screen'} kind */
    async mute(member, kind) {
      await attempt((moderation) => moderation.mute(member.sid, kind), `${nameOf(member)} was asked to stop.`)
    },

    /** @param {string} sid @param {boolean} ban */
    async remove(sid, ban) {
      store.set({ dialog: null })
      await attempt((moderation) => moderation.kick(sid, ban ? BAN_SECONDS : 0))
    },

    /** @param {boolean} locked */
    async lock(locked) {
      await attempt((moderation) => moderation.lock(locked))
    },

    async endForAll() {
      store.set({ dialog: null })
      await attempt((moderation) => moderation.end())
    },

    /** @param {number} id */
    dismiss: (id) => store.set((state) => ({ toasts: state.toasts.filter((shown) => shown.id !== id) })),
  }

  /**
   * @param {(moderation: import('../sdk/moderation.js').Moderation) => Promise<void>} action
   * @param {string} [done]
   */
  async function attempt(action, done = '') {
    if (!session.call) return
    try {
      await action(session.call.moderation)
      if (done) toast(done, 'good')
    } catch (error) {
      const code = error instanceof Error && 'code' in error ? String(error.code) : ''
      toast(REFUSALS[code] ?? 'That didn’t work. Try again in a moment.', 'bad')
    }
  }

  /** @param {string} text @param {string} done */
  async function copy(text, done) {
    try {
      await navigator.clipboard.writeText(text)
      toast(done, 'good')
    } catch {
      toast('The browser didn’t allow copying. Select the text and copy it by hand.', 'bad')
    }
  }

  return app
}

/** Three groups of four, without letters that are easily mistaken for another. */
function randomRoom() {
  const alphabet = 'abcdefghjkmnpqrstuvwxyz23456789'
  const letters = Array.from(
    crypto.getRandomValues(new Uint32Array(12)),
    (n) => alphabet[n % alphabet.length],
  )
  return [0, 4, 8].map((from) => letters.slice(from, from + 4).join('')).join('-')
}

/** @param {Source} source */
const notAllowed = (source) =>
  `Your invitation doesn’t let you ${source === 'screen' ? 'share a screen' : `use the ${DEVICES[source]}`} in this call.`

/**
 * What went wrong with a device, with the way out; '' where nothing did.
 * @param {Source} source
 * @param {import('./state.js').DeviceStatus} status
 */
export function problemOf(source, status) {
  const device = DEVICES[source]
  switch (status) {
    case 'denied':
      return `The ${device} is blocked. Allow it in the address bar’s site settings, then switch it on again.`
    case 'missing':
      return `No ${device} was found. Plug one in and switch it on, or go on without.`
    case 'busy':
      return `Another program is using the ${device}. Close it, then switch the ${device} on again.`
    case 'insecure':
      return `Browsers allow the ${device} on secure pages only. Open this page by https.`
    case 'failed':
      return `The ${device} could not be opened. Choose another one, or go on without.`
    default:
      return ''
  }
}
