/** What the SDK warns of, in words for the person; an empty text where the page says it by other means. */

/** @type {Record<string, {text: string, tone: 'info' | 'bad'}>} */
export const WARNINGS = {
  identity_not_kept: {
    text: 'This browser keeps no data, so you are someone new at each visit: compare the security code each time.',
    tone: 'info',
  },
  may_not_send: { text: '', tone: 'info' },
  negotiation_failed: {
    text: 'Sound and picture of someone here could not be connected. If they stay away, leave and join again.',
    tone: 'bad',
  },
  sfu_failed: { text: '', tone: 'info' }, // media goes from member to member then
  token_expiring: {
    text: 'Your invitation expires within a minute, and this call ends with it. Ask for a new link to go on.',
    tone: 'bad',
  },
}

/** Where a connection would not take a change of what is sent. @type {Record<import('./state.js').Source, string>} */
export const NOT_SENT = {
  mic: notSent('microphone'),
  cam: notSent('camera'),
  screen: notSent('screen share'),
}

/** @param {string} what */
function notSent(what) {
  return `A change of your ${what} did not reach everyone. If they can’t hear or see you, leave and join again.`
}
