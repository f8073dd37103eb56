/** Who is in the call, and whom to trust. */

import { h } from '../dom.js'
import { moderates, nameOf } from '../state.js'
import { callActions, memberActions } from './moderation.js'
import { avatar, button, icon, iconButton } from './parts.js'

/** @typedef {import('../state.js').State} State */
/** @typedef {import('../state.js').Member} Member */
/** @typedef {import('../app.js').App} App */

/** @param {State} state @param {App} app */
export const people = (state, app) =>
  h(
    'div',
    { class: 'people' },
    h(
      'ul',
      { class: 'people-list' },
      (state.call?.members ?? []).map((member) => person(state, app, member)),
    ),
    button('Copy join link', { look: 'quiet', icon: 'link', onclick: () => void app.copyLink() }),
    moderates(state) && callActions(state, app),
  )

/** @param {State} state @param {App} app @param {Member} member */
function person(state, app, member) {
  const { label, tone, glyph } = trust(member)
  const open = state.moderating === member.sid
  const moderated = moderates(state) && !member.isSelf
  return h(
    'li',
    { key: member.sid, class: 'person', 'data-testid': 'person', 'data-trust': tone },
    avatar(nameOf(member), member.sid),
    h(
      'div',
      { class: 'person-text' },
      h('strong', null, nameOf(member), member.isSelf && member.name ? ' (you)' : ''),
      h('span', { class: `trust ${tone}` }, icon(glyph), label),
    ),
    member.state.hand && mark('hand', 'Hand raised'),
    mark(member.state.audio ? 'mic' : 'mic-off', member.state.audio ? 'Microphone on' : 'Muted'),
    mark(member.state.video ? 'cam' : 'cam-off', member.state.video ? 'Camera on' : 'Camera off'),
    moderated &&
      iconButton(`Actions on ${nameOf(member)}`, 'more', {
        key: 'more',
        onclick: () => app.moderate(member.sid),
        'aria-expanded': String(open),
        'aria-controls': open ? `actions-${member.sid}` : null,
        'data-testid': 'moderate',
      }),
    moderated && open && memberActions(member, app),
  )
}

/** @param {string} glyph @param {string} text */
const mark = (glyph, text) =>
  h(
    'span',
    { key: text, class: 'person-state', title: text },
    icon(glyph),
    h('span', { class: 'visually-hidden' }, text),
  )

/** @param {Member} member */
function trust(member) {
  if (member.isSelf) return { label: 'This device', tone: 'good', glyph: 'shield' }
  if (!member.trusted) return { label: 'Not trusted: gets no keys', tone: 'bad', glyph: 'alert' }
  if (!member.verified) return { label: 'Unverified: compare the code', tone: 'unsure', glyph: 'shield' }
  return { label: 'Verified', tone: 'good', glyph: 'shield-check' }
}
