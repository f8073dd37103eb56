/**
 * What a member asks an SFU for: decided on data alone.
 *
 * @typedef {import('./types.js').SfuTrack} SfuTrack
 * @typedef {import('./types.js').Size} Size
 * @typedef {import('./types.js').Source} Source
 * @typedef {import('./types.js').Views} Views
 *
 * @typedef {object} Wanted  One track to receive, and as whose.
 * @property {string} track
 * @property {string} sid  A member of the roster: its keys open what comes.
 * @property {Source} source
 *
 * @typedef {{highest: 0 | 1 | 2 | null, paused: boolean}} Wish
 * @typedef {Record<string, Wish>} Wishes  By track.
 */

import { LANES } from './lanes.js'

/** What a receiving section adds to an offer, and what all of them may: signaling takes descriptions of 48 KiB. */
const SECTION_BYTES = { audio: 650, video: 1_050 }
const MOST_BYTES = 40_000
const MOST_WISHES = 256

/** @type {Record<Size, Wish>} */
const WISHES = {
  large: { highest: null, paused: false },
  medium: { highest: 1, paused: false },
  small: { highest: 0, paused: false },
  hidden: { highest: 0, paused: true },
}
/** Who is left out first where not all fits. @type {Record<Size, number>} */
const RANKS = { large: 0, medium: 1, small: 2, hidden: 3 }

/**
 * What a published track is, by its place among its sender's lanes, whose mids count from 0. A wrong answer does no harm: frames are bound to
 * their sender and source, and don't open as another's.
 *
 * @param {Pick<SfuTrack, 'kind' | 'mid'>} track
 * @returns {Source | null} `null` for a lane that this client does not know.
 */
export function sourceOf({ kind, mid }) {
  const lane = LANES.find((_, at) => mid === String(at))
  return lane && lane[1] === kind ? lane[0] : null
}

/**
 * Which tracks to receive: sound and cameras of those in the roster, and screens while they are shown. Of two tracks
 * for one lane the one named last counts. What does not fit into an offer is left out: small pictures first, sound last.
 *
 * @param {readonly SfuTrack[]} tracks  As the SFU says.
 * @param {ReadonlyMap<string, {screen: boolean}>} others  The roster without this member, and who shows a screen.
 * @param {Views} views
 * @returns {Wanted[]}
 */
export function wantedOf(tracks, others, views) {
  /** @type {Map<string, Wanted>} */
  const lanes = new Map()
  for (const each of tracks) {
    const source = sourceOf(each)
    const member = others.get(each.sid)
    if (!source || !member || (source === 'screen' && !member.screen)) continue
    lanes.set(`${each.sid} ${source}`, { track: each.track, sid: each.sid, source })
  }
  /** @param {Wanted} wanted */
  const rank = (wanted) => (wanted.source === 'mic' ? -1 : RANKS[sizeOf(wanted, views)])
  let bytes = 0
  const fitting = (/** @type {Wanted} */ { source }) => {
    bytes += source === 'mic' ? SECTION_BYTES.audio : SECTION_BYTES.video
    return bytes <= MOST_BYTES
  }
  return [...lanes.values()].sort((one, other) => rank(one) - rank(other)).filter(fitting)
}

/**
 * What must change for a connection that receives `held` to receive `wanted`.
 *
 * @template {{sid: string, source: Source}} Held
 * @param {ReadonlyMap<string, Held>} held  By track.
 * @param {readonly Wanted[]} wanted
 * @returns {{add: Wanted[], drop: string[]}} A track that is said to be another member's than before is in both.
 */
export function changesOf(held, wanted) {
  const byTrack = new Map(wanted.map((each) => [each.track, each]))
  /** @param {string} track @param {{sid: string, source: Source}} place */
  const stays = (track, { sid, source }) => byTrack.get(track)?.sid === sid && byTrack.get(track)?.source === source
  const drop = [...held].filter(([track, place]) => !stays(track, place)).map(([track]) => track)
  return { add: wanted.filter(({ track }) => !held.has(track) || drop.includes(track)), drop }
}

/**
 * How good each picture is to be.
 *
 * @param {readonly Wanted[]} wanted
 * @param {Views} views
 * @returns {Wishes}
 */
export function wishesOf(wanted, views) {
  const pictures = wanted.filter(({ source }) => source !== 'mic')
  return Object.fromEntries(pictures.map((each) => [each.track, WISHES[sizeOf(each, views)]]))
}

/**
 * What to tell an SFU that knows of `told`, in messages of the size that it takes.
 *
 * @param {Wishes} told
 * @param {Wishes} wishes
 * @returns {Wishes[]}
 */
export function newWishes(told, wishes) {
  const news = Object.entries(wishes).filter(([track, { highest, paused }]) => {
    const known = told[track] ?? WISHES.large // what the SFU takes for granted
    return known.highest !== highest || known.paused !== paused
  })
  const messages = []
  while (news.length) messages.push(Object.fromEntries(news.splice(0, MOST_WISHES)))
  return messages
}

/**
 * @param {Pick<Wanted, 'sid' | 'source'>} wanted
 * @param {Views} views
 * @returns {Size}
 */
function sizeOf({ sid, source }, views) {
  return (source !== 'mic' && views[sid]?.[source]) || 'large'
}
