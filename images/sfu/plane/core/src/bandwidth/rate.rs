//! What arrives, in bits a second.

use std::collections::VecDeque;
use std::time::Duration;

use crate::time::Time;

const WINDOW: Duration = Duration::from_millis(500);
/// Below this the window says nothing.
const SHORTEST: Duration = Duration::from_millis(100);

#[derive(Clone, Copy, Debug, Default)]
struct Acknowledged {
    sent: Time,
    arrived: i64,
    size: u32,
}

/// The rate of acknowledged bytes over the last half second or more.
#[derive(Debug, Default)]
pub(super) struct Rate {
    acknowledged: VecDeque<Acknowledged>,
    bytes: u64,
}

impl Rate {
    /// Notes that a packet sent at `sent` arrived, in microseconds of the subscriber's clock.
    pub(super) fn arrived(&mut self, sent: Time, arrived: i64, size: u32) {
        self.acknowledged.push_back(Acknowledged { sent, arrived, size });
        self.bytes += u64::from(size);
        // What is left spans at least the window, however slowly packets come.
        while self.acknowledged.get(1).is_some_and(|second| sent.since(second.sent) >= WINDOW) {
            self.bytes -= u64::from(self.acknowledged.pop_front().unwrap_or_default().size);
        }
    }

    /// Bits a second; `None` while too little is known.
    pub(super) fn bits_per_second(&self) -> Option<f64> {
        let (first, last) = (self.acknowledged.front()?, self.acknowledged.back()?);
        // Packets that a queue let go in a lump were not that fast, nor were those that it holds back.
        let arrival = Duration::from_micros(u64::try_from(last.arrived - first.arrived).unwrap_or(0));
        let span = last.sent.since(first.sent).max(arrival);
        // The first packet began the span, what followed filled it.
        let bits = 8.0 * (self.bytes - u64::from(first.size)) as f64;
        (span >= SHORTEST).then(|| bits / span.as_secs_f64())
    }
}
