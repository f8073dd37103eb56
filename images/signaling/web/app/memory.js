/** What this browser remembers of the person between calls. Private windows may refuse: then nothing is remembered. */

const KEY = 'callcluster'

/** @typedef {Pick<import('./state.js').State, 'name' | 'chosen' | 'shortcuts'>} Remembered */

/** @returns {Partial<Remembered>} */
export function recall() {
  try {
    const value = JSON.parse(localStorage.getItem(KEY) ?? '{}')
    return typeof value === 'object' && value !== null ? value : {}
  } catch {
    return {}
  }
}

/** @param {Remembered} value */
export function remember(value) {
  try {
    localStorage.setItem(KEY, JSON.stringify(value))
  } catch {
    // Storage is off or full: the person types the name again next time.
  }
}
