//! What the control half tells the plane, and what it hears back.

use crate::dtls::Closed;
use crate::ids::{LegId, PeerId, TrackId};
use crate::media::{LegSpec, TrackSpec, Wish};
use crate::rtp::ExtensionIds;

/// An order. Orders take effect in the order in which they are given.
#[derive(Clone, Debug)]
pub enum Command {
    /// Expects a client: answers its checks and its handshake.
    AddPeer {
        /// Its name.
        peer: PeerId,
        /// Our user fragment, unique on this plane.
        ufrag: Vec<u8>,
        /// Our ICE password.
        password: Vec<u8>,
        /// SHA-256 of the client's certificate.
        fingerprint: [u8; 32],
        /// From the client's session description.
        extensions: ExtensionIds,
    },
    /// Forgets a client with its tracks and legs; says goodbye to it.
    RemovePeer(PeerId),
    /// Starts another ICE generation.
    RestartIce {
        /// Whose.
        peer: PeerId,
        /// Our new user fragment.
        ufrag: Vec<u8>,
        /// Our new password.
        password: Vec<u8>,
    },
    /// Takes the ids of a renegotiated session description.
    SetExtensions {
        /// Whose.
        peer: PeerId,
        /// All ids, old and new.
        extensions: ExtensionIds,
    },
    /// Expects what a client publishes.
    AddTrack(TrackSpec),
    /// Forgets a track with its legs.
    RemoveTrack(TrackId),
    /// Forwards a track to a subscriber.
    AddLeg {
        /// What.
        track: TrackId,
        /// To whom, and how.
        spec: LegSpec,
        /// What the subscriber wants of it; `None` is "paused".
        wish: Option<Wish>,
    },
    /// Changes what a subscriber wants of a track. Which encoding it gets is the plane's choice, by what its link
    /// carries.
    AimLeg {
        /// Which leg.
        leg: LegId,
        /// What it wants; `None` is "paused".
        wish: Option<Wish>,
    },
    /// Stops forwarding.
    RemoveLeg(LegId),
    /// Asks the publisher for a key frame of every live encoding, at most twice a second.
    RequestKeyFrame(TrackId),
}

/// Why an order was not carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The name, or the user fragment, is taken.
    NameTaken,
    /// Nobody has that name.
    UnknownName,
    /// The SSRC was used towards this peer before. Under GCM a second use could repeat a nonce.
    SsrcSpent,
    /// The track has no encoding at all.
    NoSuchEncoding,
    /// The plane's limits are reached.
    TooMany,
}

impl Refusal {
    /// The name under which it is reported.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NameTaken => "name-taken",
            Self::UnknownName => "unknown-name",
            Self::SsrcSpent => "ssrc-spent",
            Self::NoSuchEncoding => "no-such-encoding",
            Self::TooMany => "too-many",
        }
    }
}

/// Why a peer is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parting {
    /// Its DTLS association ended.
    Dtls(Closed),
    /// No check for [`crate::ice::CONSENT`].
    Silent,
}

impl Parting {
    /// The name under which it is reported.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Dtls(Closed::ByPeer) => "closed",
            Self::Dtls(Closed::WrongFingerprint) => "wrong-fingerprint",
            Self::Dtls(Closed::Failed) => "handshake-failed",
            Self::Silent => "silent",
        }
    }
}

/// News for the control half. It carries no address and nothing of any packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The handshake is complete: media flows.
    Connected {
        /// Whose.
        peer: PeerId,
        /// The SRTP profile's registered name.
        profile: &'static str,
    },
    /// The plane has forgotten the peer, its tracks and its legs.
    Disconnected {
        /// Whom.
        peer: PeerId,
        /// Why.
        why: Parting,
    },
    /// The first packet of an encoding came.
    EncodingLive {
        /// Of which track.
        track: TrackId,
        /// Which one.
        encoding: u8,
    },
    /// A subscriber sees another encoding from now on.
    Switched {
        /// Which leg.
        leg: LegId,
        /// To which encoding.
        encoding: u8,
    },
    /// A subscriber's link does not carry even the lowest encoding; [`Event::Switched`] tells that it does again.
    Paused {
        /// Which leg.
        leg: LegId,
    },
    /// Somebody speaks, or just stopped; told five times a second.
    Loudness {
        /// On which track.
        track: TrackId,
        /// Decibels above silence, on average; 0 when it stopped.
        loudness: u8,
    },
    /// What the link to a subscriber carries, all datagrams together; told when it changes.
    Estimate {
        /// Whose link.
        peer: PeerId,
        /// In the direction to the client.
        bits_per_second: u64,
    },
}
