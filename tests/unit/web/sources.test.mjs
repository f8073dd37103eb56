/** What no line of the client may do, whatever it is given. */

import assert from 'node:assert/strict'
import { readFileSync, readdirSync } from 'node:fs'
import { test } from 'node:test'

const ROOT = new URL('../../../images/signaling/web/', import.meta.url)
const sources = readdirSync(ROOT, { recursive: true })
  .filter((name) => /\.(js|html)$/.test(name))
  .map((name) => ({ name, text: readFileSync(new URL(name, ROOT), 'utf8') }))

/** @param {RegExp} pattern */
const uses = (pattern) => sources.filter(({ text }) => pattern.test(text)).map(({ name }) => name)

test('no text becomes markup or code', () => {
  assert.deepEqual(uses(/\b(innerHTML|outerHTML|insertAdjacentHTML|DOMParser|createContextualFragment|setHTML\w*|srcdoc)\b/), [])
  assert.deepEqual(uses(/\bdocument\.write|\beval\(|new Function\(|javascript:/), [])
})

test('nothing is said but through the one WebSocket', () => {
  assert.deepEqual(uses(/\bnew WebSocket\(/), ['sdk/line.js'])
  assert.deepEqual(uses(/\b(fetch|sendBeacon|importScripts)\(|\bXMLHttpRequest\b|\bEventSource\b|\bWebTransport\b|createDataChannel/), [])
  assert.deepEqual(uses(/\bconsole\.\w+\(/), [])
})

test('connections are made in one place, which keeps senders without a transform silent', () => {
  assert.deepEqual(uses(/\bnew RTCPeerConnection\(/), ['sdk/connection.js'])
  const { text } = sources.find(({ name }) => name === 'sdk/connection.js')
  assert.deepEqual(uses(/\bsetConfiguration\(/), ['sdk/connection.js'])
  assert.equal(text.match(/new RTCPeerConnection\(this\.#configuration\(|setConfiguration\(this\.#configuration\(/g).length, 2)
  assert.match(text, /encodedInsertableStreams: true,/)
})

test('what is remembered in the browser is a name, devices and a setting, and the identity key', () => {
  assert.deepEqual(uses(/\b(localStorage|sessionStorage|document\.cookie)\b/), ['app/memory.js'])
  assert.deepEqual(uses(/\bindexedDB\b/), ['sdk/identity.js'])
})
