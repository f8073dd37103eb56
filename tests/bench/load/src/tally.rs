//! What arrived, how late, and what did not.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use callcluster_plane::rtp::unwrap;
use serde::Serialize;

use crate::payload::Stamp;

/// Samples above this are only counted; an even load reaches it after minutes.
const MAX_SAMPLES: usize = 8 << 20;

/// The counts of one interval.
#[derive(Debug, Serialize)]
pub struct Measured {
    /// Its length.
    pub seconds: f64,
    /// Media packets that clients sent.
    pub sent: u64,
    /// Media packets that clients got, once each.
    pub received: u64,
    /// Those of them that were decrypted.
    pub opened: u64,
    /// Holes in the sequence numbers of all streams at the end of the interval.
    pub lost: u64,
    /// Frames that were not sent because the generator was behind its schedule.
    pub skipped: u64,
    /// From the sender's protocol to the receiving socket, in microseconds; `None` if nothing was opened.
    pub latency: Option<Latency>,
}

/// Percentiles in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Latency {
    /// Half of the packets were faster.
    pub p50: u32,
    /// 90 of 100 were.
    pub p90: u32,
    /// 99 of 100 were.
    pub p99: u32,
    /// The slowest.
    pub max: u32,
}

/// One stream of one receiver.
#[derive(Clone, Copy, Default)]
struct Stream {
    first: u64,
    last: u64,
    count: u64,
}

/// Counts of all clients.
pub struct Tally {
    since: Instant,
    sent: u64,
    counted: u64,
    opened: u64,
    skipped: u64,
    streams: HashMap<(u32, u32), Stream>,
    samples: Vec<u32>,
    /// The highest index that arrived, by publisher.
    heights: HashMap<u32, u64>,
}

impl Tally {
    /// Begins at `now`.
    pub fn new(now: Instant) -> Self {
        Self {
            since: now,
            sent: 0,
            counted: 0,
            opened: 0,
            skipped: 0,
            streams: HashMap::new(),
            samples: Vec::new(),
            heights: HashMap::new(),
        }
    }

    /// A client sent this many packets.
    pub fn sent(&mut self, packets: u64) {
        self.sent += packets;
    }

    /// This many frames were not sent.
    pub fn skipped(&mut self, frames: u64) {
        self.skipped += frames;
    }

    /// A packet that nobody opened, with the `sequence` number on `ssrc` of `peer` that its header says.
    pub fn counted(&mut self, peer: u32, ssrc: u32, sequence: u16) {
        self.counted += 1;
        let newest = self.streams.get(&(peer, ssrc)).map(|stream| stream.last);
        // The first number lies one cycle up, so that an older one that comes late has a place below it.
        let sequence = unwrap(newest.unwrap_or(u64::from(sequence) + 0x1_0000), sequence);
        self.arrived(peer, ssrc, sequence);
    }

    /// A packet with the extended `sequence` number on `ssrc` of `peer`, which the kernel took at `arrival` (since
    /// the Unix epoch).
    pub fn opened(&mut self, peer: u32, ssrc: u32, sequence: u64, arrival: Duration, stamp: Stamp) {
        self.opened += 1;
        self.arrived(peer, ssrc, sequence);
        let height = self.heights.entry(stamp.source).or_default();
        *height = stamp.index.max(*height);
        if self.samples.len() < MAX_SAMPLES {
            let latency = arrival.saturating_sub(stamp.sent);
            self.samples.push(u32::try_from(latency.as_micros()).unwrap_or(u32::MAX));
        }
    }

    fn arrived(&mut self, peer: u32, ssrc: u32, sequence: u64) {
        let fresh = Stream { first: sequence, last: sequence, count: 0 };
        let stream = self.streams.entry((peer, ssrc)).or_insert(fresh);
        // One that was sent before the interval began, and is late, is no part of it.
        if sequence >= stream.first {
            stream.last = stream.last.max(sequence);
            stream.count += 1;
        }
    }

    /// The highest index of the publisher `source` that arrived anywhere.
    pub fn height(&self, source: u32) -> Option<u64> {
        self.heights.get(&source).copied()
    }

    /// Ends an interval and begins the next.
    pub fn measure(&mut self, now: Instant) -> Measured {
        let holes = |stream: &Stream| stream.last - stream.first + 1 - stream.count;
        let measured = Measured {
            seconds: (now - self.since).as_secs_f64(),
            sent: self.sent,
            received: self.counted + self.opened,
            opened: self.opened,
            lost: self.streams.values().map(holes).sum(),
            skipped: self.skipped,
            latency: percentiles(&mut self.samples),
        };
        let heights = std::mem::take(&mut self.heights);
        *self = Self { heights, ..Self::new(now) };
        measured
    }
}

fn percentiles(samples: &mut [u32]) -> Option<Latency> {
    samples.sort_unstable();
    let at = |share: f64| samples[((samples.len() - 1) as f64 * share).round() as usize];
    (!samples.is_empty()).then(|| Latency { p50: at(0.5), p90: at(0.9), p99: at(0.99), max: at(1.0) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(index: u64) -> Stamp {
        Stamp { source: 1, index, sent: Duration::from_micros(1_000) }
    }

    #[test]
    fn a_hole_is_a_loss_until_it_is_filled() {
        let now = Instant::now();
        let mut tally = Tally::new(now);
        for sequence in [10, 11, 13] {
            tally.opened(1, 2, sequence, Duration::from_micros(1_500), stamp(sequence));
        }
        assert_eq!(tally.measure(now).lost, 1);
        for sequence in [14, 16, 15] {
            tally.opened(1, 2, sequence, Duration::from_micros(1_500), stamp(sequence));
        }
        let measured = tally.measure(now);
        assert_eq!((measured.lost, measured.opened), (0, 3));
        assert_eq!(tally.height(1), Some(16));
    }

    #[test]
    fn a_hole_is_seen_without_opening_and_over_the_numbers_end() {
        let now = Instant::now();
        let mut tally = Tally::new(now);
        for sequence in [65_534, 65_533, 65_535, 1, 2] {
            tally.counted(1, 2, sequence);
        }
        tally.counted(3, 2, 9);
        let measured = tally.measure(now);
        assert_eq!((measured.lost, measured.received, measured.opened), (1, 6, 0));
    }

    #[test]
    fn percentiles_are_of_one_interval() {
        let now = Instant::now();
        let mut tally = Tally::new(now);
        for micros in 1..=101 {
            tally.opened(1, 2, micros, Duration::from_micros(1_000 + micros), stamp(micros));
        }
        let expected = Latency { p50: 51, p90: 91, p99: 100, max: 101 };
        assert_eq!(tally.measure(now).latency, Some(expected));
        assert_eq!(tally.measure(now).latency, None);
    }
}
