/**
 * Types that the modules share. The frames themselves are described in
 * `images/common/callcluster_common/messages`.
 *
 * @typedef {Uint8Array<ArrayBuffer>} Bytes
 *
 * @typedef {'mic' | 'cam' | 'screen'} Source  What a track shows; also the order of the m-lines.
 *
 * @typedef {object} MediaState  What a member says that it sends. For display, never for a decision.
 * @property {boolean} audio
 * @property {boolean} video
 * @property {boolean} screen
 * @property {boolean} hand
 *
 * @typedef {object} Bundle  Public keys of one member for one join (docs/e2ee.md, section 3).
 * @property {'kx1'} suite
 * @property {string} ik
 * @property {string} ek
 * @property {number} nbf
 * @property {number} exp
 * @property {string} sig
 * @property {string} [mac]
 *
 * @typedef {object} WireMember
 * @property {string} sid
 * @property {Bundle} [bundle]
 * @property {string} [meta]
 * @property {Partial<MediaState>} [state]
 * @property {boolean} [reconnecting]
 *
 * @typedef {object} MemberView  One line of the `members` event.
 * @property {string} sid
 * @property {string} name  Empty where the room has no secret, or where the name did not open.
 * @property {boolean} isSelf
 * @property {boolean} trusted  Its bundle verified, so it is given keys and its keys are accepted.
 * @property {boolean} verified  It proved the room secret, or `confirmCode()` covered its identity; and that it is there.
 * @property {MediaState} state
 * @property {boolean} reconnecting
 *
 * @typedef {object} MemberStats  One member's line of `stats()`; `null` where the browser does not say yet.
 * @property {'direct' | 'relay' | 'sfu' | 'unknown'} route
 * @property {string | null} protocol  `udp`, `tcp` or, to the relay, `tls`.
 * @property {number | null} rttMs
 * @property {number} sendKbps  Since the last call of `stats()`.
 * @property {number} receiveKbps
 * @property {string | null} codec  Of the video that arrives.
 * @property {number} lost  Packets that never arrived, in all.
 * @property {string | null} localCandidateType
 * @property {string | null} remoteCandidateType
 *
 * @typedef {object} FrameCounts  Frames of one member since the call began.
 * @property {number} opened
 * @property {number} early  Dropped because their key was not there yet: it travels on a way of its own.
 * @property {number} repeated  Dropped because they came before, as when packets are sent again.
 * @property {number} failed  Dropped because they did not open: forged, altered or too late.
 *
 * @typedef {object} EncryptionView  Detail of the `encryption` event; counts are frames since the call began.
 * @property {boolean} active
 * @property {number} sealed
 * @property {number} opened
 * @property {number} early
 * @property {number} repeated
 * @property {number} failed
 * @property {Record<string, FrameCounts>} members
 *
 * @typedef {object} Grants  What the token allows.
 * @property {Source[]} pub  What this member may send.
 * @property {boolean} msg  Whether it may `send()`.
 * @property {boolean} mod  Whether it is a moderator.
 *
 * @typedef {object} RoomView  Detail of the `room` event.
 * @property {boolean} locked  Whether newcomers are kept out.
 * @property {Grants} grants
 *
 * @typedef {'large' | 'medium' | 'small' | 'hidden'} Size  How large a picture is shown; `hidden` costs nothing.
 * @typedef {Record<string, Partial<Record<'cam' | 'screen', Size>>>} Views  By session id; `large` where nothing is said.
 *
 * @typedef {object} SfuTrack  What a member publishes at an SFU, as the SFU says.
 * @property {string} track
 * @property {string} sid
 * @property {'audio' | 'video'} kind
 * @property {string} mid  Of the publisher's section.
 *
 * @typedef {object} SfuState  The whole truth each time.
 * @property {string} route  Names one connection of this member with one SFU.
 * @property {number} rev  Rises with each state of a route.
 * @property {SfuTrack[]} tracks
 *
 * @typedef {object} ServerFrame
 * @property {string} t
 * @property {string} [re]
 * @property {number} [off]
 * @property {string} [from]
 * @property {any} d
 */

export {}
