//! One participant's transport.

use std::time::Duration;

use rustc_hash::{FxHashMap, FxHashSet};

use crate::bandwidth::Estimator;
use crate::dtls::{Keys, Server};
use crate::feedback::{Arrivals, Departures};
use crate::ice::Agent;
use crate::ids::{LegId, TrackId};
use crate::rtp::ExtensionIds;
use crate::srtp::{Receiver, Sender};
use crate::time::Time;

/// SSRCs that one client may use over its session: its tracks with three layers each, and their retransmissions,
/// replaced many times.
pub const MAX_STREAMS: usize = 512;
/// Before the first receiver report.
const ROUND_TRIP: Duration = Duration::from_millis(100);

/// What a client's SSRC carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// The track.
    pub track: TrackId,
    /// The encoding in it.
    pub encoding: u8,
    /// Retransmissions of it.
    pub is_repair: bool,
}

/// The state of one peer.
pub struct Peer {
    /// Our half of ICE.
    pub agent: Agent,
    /// Our half of DTLS.
    pub dtls: Server,
    /// When DTLS wants to be asked again.
    pub dtls_deadline: Option<Time>,
    /// Opens what comes; after the handshake.
    pub receiver: Option<Receiver>,
    /// Seals what goes; after the handshake.
    pub sender: Option<Sender>,
    /// As negotiated.
    pub extensions: ExtensionIds,
    /// What the client publishes.
    pub tracks: Vec<TrackId>,
    /// What the client's SSRCs carry.
    pub routes: FxHashMap<u32, Route>,
    /// What our SSRCs towards the client carry.
    pub legs: FxHashMap<u32, (TrackId, LegId)>,
    /// When the client's packets arrived.
    pub arrivals: Arrivals,
    /// When our packets left.
    pub departures: Departures,
    /// What the link to the client carries.
    pub estimator: Estimator,
    /// The estimate that was told last, and when; 0 before the first feedback.
    pub told: (u64, Time),
    /// When the layers are chosen again.
    pub choice_due: Time,
    /// Since when the present choice takes more than the link is said to carry.
    pub short_since: Option<Time>,
    /// What the present choice takes, in bits a second.
    pub taken: u64,
    /// What the link would have to carry for the next better layer; 0 when the client has all that it wants.
    pub wish: u64,
    /// While the client reports nothing: when to give it something to report on.
    pub probe_due: Time,
    /// Bytes that padding may still take.
    pub room: u64,
    /// What had been sent by the last tick.
    pub bytes_at_tick: u64,
    /// To the client and back.
    pub round_trip: Duration,
    /// When the next transport-wide feedback is due.
    pub feedback_due: Time,
    /// When the next reports are due.
    pub report_due: Time,
    spent: FxHashSet<u32>,
}

impl Peer {
    /// A peer that is expected at `now`.
    pub fn new(agent: Agent, dtls: Server, extensions: ExtensionIds, now: Time) -> Self {
        Self {
            agent,
            dtls,
            dtls_deadline: None,
            receiver: None,
            sender: None,
            extensions,
            tracks: Vec::new(),
            routes: FxHashMap::default(),
            legs: FxHashMap::default(),
            arrivals: Arrivals::default(),
            departures: Departures::default(),
            estimator: Estimator::default(),
            told: (0, now),
            choice_due: now,
            short_since: None,
            taken: 0,
            wish: 0,
            probe_due: now,
            room: 0,
            bytes_at_tick: 0,
            round_trip: ROUND_TRIP,
            feedback_due: now,
            report_due: now,
            spent: FxHashSet::default(),
        }
    }

    /// Takes the keys of the finished handshake.
    pub fn key(&mut self, keys: Keys) {
        self.sender = Some(keys.sender);
        self.receiver = Some(keys.receiver);
    }

    /// Reserves an SSRC towards the client; false when it was ever used before.
    pub fn spend(&mut self, ssrc: u32) -> bool {
        self.spent.insert(ssrc)
    }
}
