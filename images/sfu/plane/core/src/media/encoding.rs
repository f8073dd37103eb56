//! One simulcast encoding as it comes from its publisher.

use std::time::Duration;

use super::bitrate::Bitrate;
use super::descriptor::Codec;
use super::history::{History, Packet};
use crate::feedback::{Losses, Reception, Requests};
use crate::rtp::unwrap;
use crate::time::Time;

/// Packets and bytes kept for retransmission: three seconds of 720p, a second of Opus.
const VIDEO_HISTORY: (usize, usize) = (1024, 640 * 1024);
const AUDIO_HISTORY: (usize, usize) = (64, 16 * 1024);
/// An encoding without packets for so long is not being sent; a still picture of a screen comes once a second.
const IDLE: Duration = Duration::from_millis(1500);
/// What a packet takes beside payload and descriptor: header, other extensions, authentication.
const HEADERS: usize = 40;

/// A moment in the publisher's clocks, as its sender report gave it.
#[derive(Clone, Copy, Debug)]
pub struct ClockPair {
    /// 32.32 seconds.
    pub ntp: u64,
    /// RTP ticks at that moment.
    pub timestamp: u32,
    /// When the report came.
    pub arrival: Time,
}

/// The state of one encoding.
pub struct Encoding {
    codec: Codec,
    /// Simulcast name; `None` for a track with one encoding.
    pub rid: Option<Vec<u8>>,
    /// Known from the session description or from the first packet.
    pub ssrc: Option<u32>,
    /// The stream of its retransmissions.
    pub rtx_ssrc: Option<u32>,
    /// Gaps to be asked for.
    pub losses: Losses,
    /// For receiver reports.
    pub reception: Reception,
    /// Wishes of its subscribers.
    pub requests: Requests,
    /// The last sender report.
    pub clock: Option<ClockPair>,
    /// What it takes.
    pub bitrate: Bitrate,
    history: Option<History>,
    last_packet: Option<Time>,
    /// Added to the indices of the present SSRC, so that they stay above those of the ones before.
    base: u64,
}

impl Encoding {
    /// An encoding of which nothing came yet.
    pub fn new(codec: Codec, rid: Option<Vec<u8>>, ssrc: Option<u32>, rtx_ssrc: Option<u32>) -> Self {
        Self {
            codec,
            rid,
            ssrc,
            rtx_ssrc,
            losses: Losses::default(),
            reception: Reception::default(),
            requests: Requests::default(),
            clock: None,
            bitrate: Bitrate::starting(Time::ZERO),
            history: None,
            last_packet: None,
            base: 0,
        }
    }

    /// Ticks of the RTP clock in a second.
    pub fn clock_rate(&self) -> u32 {
        self.codec.clock_rate()
    }

    /// What can be sent again.
    pub fn history(&self) -> Option<&History> {
        self.history.as_ref()
    }

    /// Whether packets are coming.
    pub fn is_live(&self, now: Time) -> bool {
        self.last_packet.is_some_and(|last| now.since(last) < IDLE)
    }

    /// The publisher moved the encoding to another SSRC: what was counted for the old one is void.
    pub fn rebind(&mut self, ssrc: u32) {
        let above = self.history.as_ref().and_then(History::newest).map_or(0, |newest| newest + 1);
        // A whole cycle between them: no number of the new stream can be taken for one of the old.
        self.base = above.next_multiple_of(0x1_0000) + 0x1_0000;
        self.ssrc = Some(ssrc);
        self.losses = Losses::default();
        self.reception = Reception::default();
        self.clock = None;
    }

    /// The index, unique for this encoding, of a packet with the SRTP index `index`.
    pub fn index(&self, index: u64) -> u64 {
        self.base + index
    }

    /// The index of the packet whose number a retransmission names; `None` before the first packet.
    pub fn repaired(&self, sequence: u16) -> Option<u64> {
        let newest = self.history.as_ref()?.newest()?;
        Some(unwrap(newest, sequence))
    }

    /// Keeps a packet; false when it was here before. An empty payload is counted, never kept.
    pub fn store(&mut self, now: Time, packet: Packet, dependency: &[u8], payload: &[u8]) -> bool {
        if !self.is_live(now) {
            self.bitrate = Bitrate::starting(now);
        }
        self.last_packet = Some(now);
        let (packets, bytes) = if self.codec.is_video() { VIDEO_HISTORY } else { AUDIO_HISTORY };
        let is_new = self
            .history
            .get_or_insert_with(|| History::new(packets, bytes))
            .insert(packet, dependency, payload);
        if is_new && !payload.is_empty() {
            self.bitrate.add(HEADERS + dependency.len() + payload.len());
        }
        if is_new && self.codec.is_video() {
            if packet.descriptor.starts_key_frame {
                self.requests.arrived();
            }
            if self.losses.arrived(now, packet.index).is_err() {
                self.requests.want();
            }
        }
        is_new
    }
}
