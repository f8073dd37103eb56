/** Why a call ended or never began, in words for the person, with the next step. */

/** @typedef {'rejoin' | 'start' | 'reload'} Step */
/** @typedef {{title: string, text: string, steps: Step[], tone: 'calm' | 'bad'}} EndingWords */

/** @type {Record<Step, string>} */
export const STEP_LABELS = { rejoin: 'Join again', start: 'Back to the start', reload: 'Reload the page' }

/** @type {EndingWords} */
const LOST = {
  title: 'The connection was lost',
  text: 'The server couldn’t be reached. Check your network, then join again.',
  steps: ['rejoin', 'start'],
  tone: 'bad',
}

/** @type {Record<string, EndingWords>} */
const BY_REASON = {
  left: {
    title: 'You left the call',
    text: 'The others can go on without you.',
    steps: ['rejoin', 'start'],
    tone: 'calm',
  },
  kicked: {
    title: 'You were removed from the call',
    text: 'A moderator ended your part in this call. Contact them if you think this was a mistake.',
    steps: ['start'],
    tone: 'bad',
  },
  banned: {
    title: 'You can’t rejoin this call yet',
    text: 'A moderator removed you for some time. Contact them if you think this was a mistake.',
    steps: ['start'],
    tone: 'bad',
  },
  ended: {
    title: 'The call has ended',
    text: 'It was ended for everyone.',
    steps: ['start'],
    tone: 'calm',
  },
  room_full: {
    title: 'This call is full',
    text: 'All places are taken. Try again when someone has left.',
    steps: ['rejoin', 'start'],
    tone: 'bad',
  },
  room_locked: {
    title: 'This call is locked',
    text: 'A moderator lets nobody else in right now. Ask them to unlock it, then try again.',
    steps: ['rejoin', 'start'],
    tone: 'bad',
  },
  room_closed: {
    title: 'This call is closed',
    text: 'The room no longer takes anyone in. Ask the person who invited you for a new link.',
    steps: ['start'],
    tone: 'bad',
  },
  not_authenticated: {
    title: 'You need an invitation',
    text: 'This server only lets people in who have a personal link. Ask the person who invited you for one.',
    steps: ['start'],
    tone: 'bad',
  },
  bad_token: {
    title: 'This invitation doesn’t work',
    text: 'The server doesn’t accept it. Check that the whole link was copied, or ask for a new one.',
    steps: ['start'],
    tone: 'bad',
  },
  token_expired: {
    title: 'This invitation has expired',
    text: 'Ask the person who invited you for a new link.',
    steps: ['start'],
    tone: 'bad',
  },
  forbidden: {
    title: 'This invitation is for another call',
    text: 'The link doesn’t let you into this room. Ask the person who invited you for the right one.',
    steps: ['start'],
    tone: 'bad',
  },
  replaced: {
    title: 'This call goes on elsewhere',
    text: 'You joined with the same invitation in another tab or on another device.',
    steps: ['rejoin', 'start'],
    tone: 'calm',
  },
  outdated: {
    title: 'This page is out of date',
    text: 'The server has been updated. Reload the page to go on.',
    steps: ['reload'],
    tone: 'bad',
  },
  encryption_failed: {
    title: 'The encryption stopped',
    text: 'Your browser ended the part of this page that encrypts. Nothing was sent without it. Join again to go on.',
    steps: ['rejoin', 'start'],
    tone: 'bad',
  },
  lost: LOST,
}

/** Other words of the SDK for the same.
 * @type {Record<string, string>} */
const ALIASES = {
  duplicate_identity: 'replaced',
  protocol_error: 'outdated',
  unsupported_version: 'outdated',
}

/**
 * @param {import('./state.js').Ending | null} ending
 * @returns {EndingWords & {code: string}}
 */
export function wordsFor(ending) {
  const said = ending?.reason ?? ''
  const code = ALIASES[said] ?? said
  const words = BY_REASON[code]
  return words ? { ...words, code } : { ...LOST, code: 'lost' }
}
