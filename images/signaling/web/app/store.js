/**
 * The page's state: one immutable value, replaced by `set`, read by `get`, watched by `subscribe`.
 * @template {object} S
 * @typedef {object} Store
 * @property {() => S} get
 * @property {(change: Partial<S> | ((state: S) => Partial<S>)) => void} set Merges at the top level.
 * @property {(listener: (state: S, before: S) => void) => () => void} subscribe Listeners run once a task, however many
 *   changes it made, also in hidden tabs; returns how to stop.
 */

/**
 * @template {object} S
 * @param {S} initial
 * @returns {Store<S>}
 */
export function createStore(initial) {
  let state = initial
  let told = initial
  let queued = false
  /** @type {Set<(state: S, before: S) => void>} */
  const listeners = new Set()

  const tell = () => {
    queued = false
    const before = told
    told = state
    for (const listener of listeners) listener(state, before)
  }

  return {
    get: () => state,
    set(change) {
      state = { ...state, ...(typeof change === 'function' ? change(state) : change) }
      if (queued) return
      queued = true
      queueMicrotask(tell)
    },
    subscribe(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
  }
}
