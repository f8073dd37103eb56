/** Single-key shortcuts of the call, as the help dialog lists them. */

/** @typedef {import('./app.js').App} App */

/** @type {Array<{key: string, label: string, run: (app: App) => void}>} */
export const SHORTCUTS = [
  { key: 'm', label: 'Microphone on or off', run: (app) => void app.toggle('mic') },
  { key: 'v', label: 'Camera on or off', run: (app) => void app.toggle('cam') },
  { key: 's', label: 'Share the screen, or stop', run: (app) => void app.toggle('screen') },
  { key: 'h', label: 'Raise or lower your hand', run: (app) => app.toggleHand() },
  { key: 'p', label: 'People', run: (app) => app.togglePanel('people') },
  { key: 'd', label: 'Connection details', run: (app) => app.togglePanel('details') },
  { key: 'e', label: 'Encryption and security code', run: (app) => app.togglePanel('security') },
  { key: '?', label: 'This list', run: (app) => app.show({ kind: 'shortcuts' }) },
]

/** @param {import('./state.js').PageStore} store @param {App} app */
export function installShortcuts(store, app) {
  addEventListener('keydown', (event) => {
    const { screen, dialog, panel, shortcuts } = store.get()
    if (screen !== 'call' || dialog || event.defaultPrevented) return
    if (event.key === 'Escape' && panel) return app.closePanel()
    if (
      !shortcuts ||
      event.ctrlKey ||
      event.metaKey ||
      event.altKey ||
      event.repeat ||
      isTyping(event.target)
    )
      return
    const shortcut = SHORTCUTS.find(({ key }) => key === event.key.toLowerCase())
    if (!shortcut) return
    event.preventDefault()
    shortcut.run(app)
  })
}

/** @param {EventTarget | null} target */
function isTyping(target) {
  return target instanceof Element && target.matches('input, select, textarea, [contenteditable]')
}
