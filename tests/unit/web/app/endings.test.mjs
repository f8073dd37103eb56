import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'

import { STEP_LABELS, wordsFor } from '../../../../images/signaling/web/app/endings.js'

const sdk = readFileSync(new URL('../../../../images/signaling/web/sdk/signal.js', import.meta.url), 'utf8')
const finalWords = [...sdk.matchAll(/\[4\d{3}, '(\w+)'\]/g)].map((match) => match[1])

test('every final close code of the protocol has words of its own', () => {
  assert.ok(finalWords.length >= 8, 'the close codes were found in the SDK')
  for (const reason of finalWords) assert.notEqual(wordsFor({ reason }).code, 'lost', reason)
})

test('every refusal to join that a person can meet has words of its own', () => {
  for (const reason of ['room_full', 'room_locked', 'room_closed', 'banned', 'forbidden', 'not_authenticated']) {
    assert.equal(wordsFor({ reason }).code, reason)
  }
})

test('every ending offers a next step', () => {
  for (const reason of [...finalWords, 'left', 'encryption_failed', 'something new', '']) {
    const { steps, title, text } = wordsFor({ reason })
    assert.ok(steps.length > 0 && title && text, reason)
    for (const step of steps) assert.ok(STEP_LABELS[step], step)
  }
})

test('an unknown reason is a lost connection', () => {
  assert.equal(wordsFor({ reason: 'something new' }).code, 'lost')
  assert.equal(wordsFor(null).code, 'lost')
})
