import { announcements } from './announce.js'
import { createApp } from './app.js'
import { patch } from './dom.js'
import { installShortcuts } from './shortcuts.js'
import { initialState } from './state.js'
import { createStore } from './store.js'
import { page, titleOf } from './views/page.js'

const root = /** @type {HTMLElement} */ (document.getElementById('app'))
const polite = /** @type {HTMLElement} */ (document.getElementById('announcer'))

const HEARD_AFTER_MS = 10_000

const store = createStore(initialState())
const app = createApp(store)

store.subscribe((state, before) => {
  patch(root, page(state, app))
  document.title = titleOf(state)
  const says = announcements(before, state)
  for (const toast of state.toasts)
    if (!before.toasts.some(({ id }) => id === toast.id)) says.push(toast.text)
  for (const sentence of says) say(sentence)
  // The element that had the focus is gone with its screen: begin at the new screen's heading.
  if (state.screen !== before.screen) root.querySelector('h1')?.focus({ preventScroll: true })
})

/** Each sentence is a line of its own for a while: one that was replaced might never be read out. @param {string} sentence */
function say(sentence) {
  const line = document.createElement('p')
  line.textContent = sentence
  polite.append(line)
  setTimeout(() => line.remove(), HEARD_AFTER_MS)
}

installShortcuts(store, app)
addEventListener('hashchange', () => void app.open())
void app.open()
