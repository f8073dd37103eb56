/** What the page knows, as types and first values. Everything on the screen is a function of this. */

/** @typedef {import('./store.js').Store<State>} PageStore */
/** @typedef {import('../sdk/types.js').Source} Source */
/** @typedef {import('../sdk/types.js').MediaState} MediaState */
/** @typedef {import('../sdk/types.js').MemberView} Member */
/** @typedef {import('../sdk/types.js').MemberStats} MemberStats */
/** @typedef {import('../sdk/types.js').EncryptionView} EncryptionReport */
/** @typedef {import('../sdk/types.js').Grants} Grants */
/** @typedef {{room: string, secret: Uint8Array<ArrayBuffer> | null, token: string | null, relay: boolean}} JoinLink */
/** @typedef {Partial<Record<Source, MediaStreamTrack | null>>} Tracks */

/** @typedef {'off' | 'asking' | 'on' | 'denied' | 'missing' | 'busy' | 'insecure' | 'failed'} DeviceStatus */
/**
 * @typedef {object} Capture One local source.
 * @property {DeviceStatus} status
 * @property {MediaStreamTrack | null} track
 * @property {boolean} wanted What the person asked for: false while muted or off.
 */

/** @typedef {'waiting' | 'idle' | 'starting' | 'encrypted' | 'unverified' | 'stranger' | 'problem'} Protection */
/**
 * @typedef {object} CallState
 * @property {'connecting' | 'joined' | 'reconnecting'} phase
 * @property {number} since Milliseconds since the epoch of the first join, 0 before it.
 * @property {Member[]} members This member included.
 * @property {Record<string, Tracks>} tracks By session id.
 * @property {import('./encryption.js').Judgement} encryption
 * @property {boolean} locked Whether newcomers are kept out.
 * @property {Grants} grants What this person may do.
 * @property {string} code Security code, '' while there is none.
 * @property {number} codeChanged Milliseconds since the epoch of when another code was there before, 0 for never.
 * @property {{code: string, result: 'match' | 'differ'} | null} compared What the person found, and for which code.
 * @property {Record<string, MemberStats>} stats
 * @property {Record<string, number[]>} history Received kbit/s of each member, oldest first.
 * @property {Record<string, boolean>} speaking
 */

/** @typedef {{reason: string}} Ending What the SDK said: the word of its `state` event or its error. */
/** @typedef {{id: number, tone: 'info' | 'good' | 'bad', text: string}} Toast */
/** @typedef {'people' | 'details' | 'security' | 'devices' | 'menu' | null} Panel */
/** @typedef {{kind: 'shortcuts'} | {kind: 'end'} | {kind: 'remove', sid: string, ban: boolean}} Dialog */

/**
 * @typedef {object} State
 * @property {'start' | 'lobby' | 'call' | 'ended'} screen
 * @property {JoinLink | null} link
 * @property {string} linkProblem Why the address or the pasted link can't be used, '' if it can.
 * @property {string} pasted
 * @property {string} name
 * @property {Record<Source, Capture>} capture
 * @property {{mics: MediaDeviceInfo[], cams: MediaDeviceInfo[], speakers: MediaDeviceInfo[]}} devices
 * @property {{mic: string, cam: string, speaker: string}} chosen Device ids, '' for the system's choice.
 * @property {boolean} hand
 * @property {CallState | null} call
 * @property {Ending | null} ending
 * @property {Panel} panel
 * @property {string} moderating Session id of the member whose actions are open in the people panel, '' for none.
 * @property {Dialog | null} dialog
 * @property {boolean} shortcuts Whether single keys act; some people's input devices need them off.
 * @property {Toast[]} toasts
 * @property {number} page Of the tiles, where they don't fit on one; counted from 0.
 * @property {{width: number, height: number}} stage Pixels that the tiles may fill.
 * @property {number} now Milliseconds since the epoch, renewed every second during a call.
 * @property {string[]} missing What this browser lacks for encrypted calls.
 */

/** @type {Source[]} */
export const SOURCES = ['mic', 'cam', 'screen']

/** @returns {Capture} */
const noCapture = () => ({ status: 'off', track: null, wanted: false })

/** @returns {State} */
export function initialState() {
  return {
    screen: 'start',
    link: null,
    linkProblem: '',
    pasted: '',
    name: '',
    capture: { mic: noCapture(), cam: noCapture(), screen: noCapture() },
    devices: { mics: [], cams: [], speakers: [] },
    chosen: { mic: '', cam: '', speaker: '' },
    hand: false,
    call: null,
    ending: null,
    panel: null,
    moderating: '',
    dialog: null,
    shortcuts: true,
    toasts: [],
    page: 0,
    stage: { width: 0, height: 0 },
    now: Date.now(),
    missing: [],
  }
}

/** @returns {CallState} */
export function initialCall() {
  return {
    phase: 'connecting',
    since: 0,
    members: [],
    tracks: {},
    encryption: { state: 'waiting', suspects: [], sample: null, strikes: 0 },
    locked: false,
    grants: { pub: SOURCES, msg: true, mod: false },
    code: '',
    codeChanged: 0,
    compared: null,
    stats: {},
    history: {},
    speaking: {},
  }
}

/** @param {State} state @returns {Member[]} */
export const others = (state) => (state.call?.members ?? []).filter((member) => !member.isSelf)

/** @param {State} state @returns {Member | undefined} */
export const self = (state) => state.call?.members.find((member) => member.isSelf)

/** @param {Member} member */
export const nameOf = (member) => member.name || (member.isSelf ? 'You' : 'Guest')

/** Whether a local source is being sent. @param {Capture} capture */
export const isSending = (capture) => capture.wanted && capture.status === 'on'

/** Whether this person moderates the call. @param {State} state */
export const moderates = (state) => state.call?.grants.mod ?? false
