//! What the driver asks for.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

/// One line of the input.
#[derive(Debug, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
pub enum Request {
    /// Makes a client and starts its transport.
    Connect(Box<Connect>),
    /// More media that a client is to expect.
    Receive {
        /// Whose.
        peer: u32,
        /// Added to what it expects.
        tracks: Vec<Track>,
    },
    /// Replaces all that is sent; a publication that is not named is idle and sends one key frame when asked to.
    Pace {
        /// May be empty.
        tracks: Vec<Pace>,
    },
    /// Ends a client without a goodbye to the SFU.
    Close {
        /// Whose.
        peer: u32,
    },
    /// Who is connected and who has received media; see [`State`].
    State,
    /// What was counted since the last such question; see [`crate::tally::Measured`].
    Measure,
}

/// A client.
#[derive(Debug, Deserialize)]
pub struct Connect {
    /// Chosen by the driver.
    pub peer: u32,
    /// The client's ICE credentials.
    pub local: Credentials,
    /// The SFU's.
    pub remote: Credentials,
    /// SHA-256 of the SFU's certificate, in hex with colons.
    pub fingerprint: String,
    /// Where the SFU listens; the client binds a port on the same address.
    pub address: SocketAddr,
    /// ICE role.
    pub controlling: bool,
    /// Header extensions, id and URI. Those that are not known are left out.
    pub extensions: Vec<(u8, String)>,
    /// What it may send.
    pub publishes: Vec<Track>,
    /// What it is to expect.
    pub receives: Vec<Track>,
    /// Take data channels; nothing is sent on them.
    #[serde(default)]
    pub data: bool,
    /// Answer what it opens with transport-wide feedback. Without, an SFU cannot estimate the link and holds nothing
    /// back.
    #[serde(default = "always")]
    pub feedback: bool,
    /// Read and count media by its clear header, but open none and answer with no feedback for it. For loads that
    /// clients could not follow on one core.
    #[serde(default)]
    pub counts_only: bool,
}

fn always() -> bool {
    true
}

/// ICE credentials.
#[derive(Debug, Deserialize)]
pub struct Credentials {
    /// The name.
    pub ufrag: String,
    /// The password.
    pub password: String,
}

/// Audio is Opus with payload type 111, video is VP8 with 96, retransmitted with 97.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Opus.
    Audio,
    /// VP8.
    Video,
}

/// One stream on one section.
#[derive(Clone, Debug, Deserialize)]
pub struct Track {
    /// The section.
    pub mid: String,
    /// Audio or video.
    pub kind: Kind,
    /// Of the media.
    pub ssrc: u32,
    /// Of its retransmissions.
    pub rtx: Option<u32>,
}

/// How one publication is sent.
#[derive(Clone, Debug, Deserialize)]
pub struct Pace {
    /// Whose.
    pub peer: u32,
    /// On which section.
    pub mid: String,
    /// Bytes of a packet before SRTP, headers included.
    pub size: usize,
    /// Packets of a frame, which leave together.
    pub packets: u16,
    /// Frames a second.
    pub rate: f64,
    /// Instead of the rate: as fast as the SFU goes, with at most so many packets on their way. Needs a client that
    /// opens what it gets.
    pub window: Option<u64>,
}

/// The answer to [`Request::State`].
#[derive(Debug, Serialize)]
pub struct State {
    /// Transports that are up.
    pub connected: Vec<u32>,
    /// Transports that have ended.
    pub dead: Vec<u32>,
    /// How many transports use which SRTP profile, since the start.
    pub profiles: BTreeMap<String, usize>,
    /// How many streams brought each client media since it is there.
    pub streams: BTreeMap<u32, usize>,
}
