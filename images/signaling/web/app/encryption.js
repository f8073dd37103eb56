/**
 * What the badge may claim, judged from the worker's counters and from nothing else.
 * @typedef {import('./state.js').EncryptionReport} EncryptionReport
 * @typedef {import('./state.js').Protection} Protection
 */

/**
 * @typedef {object} Judgement
 * @property {Protection} state
 * @property {string[]} suspects Session ids whose frames keep failing to open.
 * @property {EncryptionReport | null} sample The report before, to compare the next one with.
 * @property {number} strikes Reports in a row in which more frames failed than opened, for some member.
 */

/** A single bad report is normal while keys change hands; this many in a row are a problem. */
const STRIKES = 2

const NO_FRAMES = { opened: 0, early: 0, repeated: 0, failed: 0 }

/**
 * @typedef {object} Circumstances
 * @property {Pick<import('./state.js').Member, 'trusted' | 'verified'>[]} others The other members.
 * @property {boolean} media Whether anyone has something to send.
 */

/**
 * @param {Judgement} before
 * @param {EncryptionReport} report
 * @param {Circumstances} circumstances
 * @returns {Judgement}
 */
export function judge(before, report, { others, media }) {
  const last = before.sample
  const suspects = Object.entries(report.members)
    .filter(([sid, now]) => {
      const then = last?.members[sid] ?? NO_FRAMES
      const failed = now.failed - then.failed
      return failed > 0 && failed >= now.opened - then.opened
    })
    .map(([sid]) => sid)
  const strikes = suspects.length > 0 ? before.strikes + 1 : 0
  return { sample: report, strikes, suspects, state: verdict() }

  /** @returns {Protection} */
  function verdict() {
    if (others.length === 0) return 'waiting'
    if (others.some((member) => !member.trusted)) return 'stranger'
    if (strikes >= STRIKES) return 'problem'
    if (report.active) return others.every((member) => member.verified) ? 'encrypted' : 'unverified'
    return media ? 'starting' : 'idle'
  }
}

/** @type {Record<Protection, {label: string, text: string}>} */
export const WORDS = {
  waiting: { label: 'Waiting', text: 'Nothing is sent yet. Encryption starts when someone joins.' },
  idle: {
    label: 'No media',
    text: 'Nobody sends anything right now. Whatever is sent next is encrypted first.',
  },
  starting: {
    label: 'Encrypting',
    text: 'Keys are being exchanged. Nothing is shown or heard before that.',
  },
  encrypted: {
    label: 'Encrypted',
    text: 'Sound and picture are encrypted on your device and opened only on the devices in this call.',
  },
  unverified: {
    label: 'Unverified',
    text: 'The call is encrypted, but someone has not shown to know the link’s secret, or the link carries none. Compare the security code to be sure who holds the keys.',
  },
  stranger: {
    label: 'Stranger',
    text: 'Someone is here without the right link, or with a clock that is far off. They get no keys: they can’t see or hear you, nor you them.',
  },
  problem: {
    label: 'Problem',
    text: 'Some media can’t be opened and is dropped. Ask the other side to rejoin with the same link.',
  },
}
