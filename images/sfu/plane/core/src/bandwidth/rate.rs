//! What arrives, in bits a second.

use std::collections::VecDeque;
use std::time::Duration;

use crate::time::Time;

const WINDOW: Duration = Duration::from_millis(500);
/// Below this the window says nothing.
const SHORTEST: Duration = Duration::from_millis(100);

/// The rate of acknowledged bytes over the last half second or more.
#[derive(Debug, Default)]
pub(super) struct Rate {
    acknowledged: VecDeque<(Time, u32)>,
    bytes: u64,
}

impl Rate {
    /// Notes that a packet sent at `sent` arrived. By sending time, so that feedback that comes in lumps does not
    /// look like packets that do.
    pub(super) fn arrived(&mut self, sent: Time, size: u32) {
        self.acknowledged.push_back((sent, size));
        self.bytes += u64::from(size);
        // What is left spans at least the window, however slowly packets come.
        while self.acknowledged.get(1).is_some_and(|(second, _)| sent.since(*second) >= WINDOW) {
            let (_, size) = self.acknowledged.pop_front().unwrap_or_default();
            self.bytes -= u64::from(size);
        }
    }

    /// Bits a second; `None` while too little is known.
    pub(super) fn bits_per_second(&self) -> Option<f64> {
        let ((first, size), (last, _)) = (self.acknowledged.front()?, self.acknowledged.back()?);
        let span = last.since(*first);
        // The first packet began the span, what followed filled it.
        let bits = 8.0 * (self.bytes - u64::from(*size)) as f64;
        (span >= SHORTEST).then(|| bits / span.as_secs_f64())
    }
}
