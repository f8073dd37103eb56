/** What a screen reader should hear when the call changes: sentences from two states, and nothing else. */

import { nameOf, others } from './state.js'
import { WORDS } from './encryption.js'

/** @typedef {import('./state.js').State} State */
/** @typedef {import('./state.js').Member} Member */

/**
 * @param {State} before
 * @param {State} now
 * @returns {string[]}
 */
export function announcements(before, now) {
  if (!now.call || !before.call || now.screen !== 'call') return []
  const says = [...connection(before, now)]
  if (before.call.since > 0) says.push(...people(before, now))
  if (before.call.locked !== now.call.locked) says.push(`The call is ${now.call.locked ? 'locked' : 'unlocked'}.`)
  // Waiting is said already by who left.
  if (before.call.encryption.state !== now.call.encryption.state && others(now).length > 0) {
    says.push(`Encryption: ${WORDS[now.call.encryption.state].label}.`)
  }
  return says
}

/** @param {State} before @param {State} now */
function* connection(before, now) {
  const [was, is] = [before.call?.phase, now.call?.phase]
  if (was === is) return
  if (is === 'reconnecting') yield 'Connection lost. Reconnecting.'
  else if (is === 'joined') yield was === 'reconnecting' ? 'Connected again.' : entered(now)
}

/** @param {State} now */
function entered(now) {
  const count = others(now).length
  if (count === 0) return 'You are in the call. Nobody else is here yet.'
  return `You are in the call with ${count === 1 ? 'one other person' : `${count} others`}.`
}

/** @param {State} before @param {State} now */
function* people(before, now) {
  const was = new Map(others(before).map((member) => [member.sid, member]))
  const is = new Map(others(now).map((member) => [member.sid, member]))
  for (const [sid, member] of is) {
    const then = was.get(sid)
    if (then) yield* changes(then, member)
    else yield `${nameOf(member)} joined.`
  }
  for (const [sid, member] of was) if (!is.has(sid)) yield `${nameOf(member)} left.`
}

/** @param {Member} then @param {Member} now */
function* changes(then, now) {
  const name = nameOf(now)
  if (then.state.audio !== now.state.audio) yield `${name} ${now.state.audio ? 'is unmuted' : 'is muted'}.`
  if (then.state.screen !== now.state.screen)
    yield `${name} ${now.state.screen ? 'shares a screen' : 'stopped sharing'}.`
  if (!then.state.hand && now.state.hand) yield `${name} raised a hand.`
  if (!then.reconnecting && now.reconnecting) yield `${name} lost the connection.`
}
