//! When to let datagrams come together: what came on several then needs one message to each subscriber, and one
//! wake-up. Decides on times alone.

use std::time::Duration;

use crate::time::Time;

/// How long a datagram may wait, at the most.
const LIMIT: Duration = Duration::from_millis(2);
/// Only what is worth it waits: turns that send so many datagrams and follow each other so closely.
const WORTH: u64 = 16;
const CLOSE: Duration = Duration::from_millis(4);
/// What comes within this time comes at once: a wait brought nothing together. After so many of those in a row, so
/// many turns go by without one: publishers may be waiting for us.
const APART: Duration = Duration::from_micros(250);
const MISSES: u32 = 16;
const SKIPS: u32 = 256;

/// One turn of the worker: datagrams are taken, then sent on.
#[derive(Clone, Copy, Debug)]
pub struct Turn {
    /// When it began.
    pub begun: Time,
    /// When all was sent.
    pub ended: Time,
    /// Between the arrivals of the first and of the last datagram that it took.
    pub span: Duration,
    /// Datagrams sent on.
    pub sent: u64,
}

/// Whether turns wait.
#[derive(Debug, Default)]
pub struct Hold {
    /// When the last turn that was worth a wait began.
    busy: Time,
    was_held: bool,
    /// Waits in a row that brought nothing together.
    misses: u32,
    /// Turns that go by without a wait.
    skips: u32,
}

impl Hold {
    /// How long to wait after a turn, whatever comes; `None` for "only until something comes".
    pub fn after(&mut self, turn: Turn) -> Option<Duration> {
        if std::mem::take(&mut self.was_held) {
            self.misses = if turn.span >= APART { 0 } else { self.misses + 1 };
            if self.misses == MISSES {
                (self.misses, self.skips) = (0, SKIPS);
            }
        }
        if turn.sent < WORTH {
            return None;
        }
        let is_close = turn.begun.since(std::mem::replace(&mut self.busy, turn.begun)) < CLOSE;
        if self.skips > 0 {
            self.skips -= 1;
            return None;
        }
        // What comes right now waits for the rest of the hold and then for its own turn, which may be as long.
        let rest = LIMIT.saturating_sub(2 * turn.ended.since(turn.begun));
        self.was_held = is_close && !rest.is_zero();
        self.was_held.then_some(rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Turns of `busy` microseconds each, the next when the wait or `interval` is over; how many of them waited.
    fn waits(hold: &mut Hold, turns: u32, interval: u64, busy: u64, span: u64, sent: u64) -> u32 {
        let mut now = Time::from_millis(1000);
        let mut count = 0;
        for _ in 0..turns {
            let ended = now + Duration::from_micros(busy);
            let turn = Turn { begun: now, ended, span: Duration::from_micros(span), sent };
            let wait = hold.after(turn);
            if let Some(wait) = wait {
                count += 1;
                assert!(wait + 2 * Duration::from_micros(busy) <= LIMIT, "{wait:?}");
            }
            now = ended + wait.unwrap_or(Duration::from_micros(interval));
        }
        count
    }

    #[test]
    fn a_steady_stream_to_many_waits_but_for_the_first_turn() {
        assert_eq!(waits(&mut Hold::default(), 100, 1000, 70, 1000, 30), 99);
    }

    #[test]
    fn who_sends_little_or_seldom_or_has_no_time_left_does_not_wait() {
        assert_eq!(waits(&mut Hold::default(), 100, 1000, 70, 1000, 15), 0, "little");
        assert_eq!(waits(&mut Hold::default(), 100, 33_000, 70, 1000, 30), 0, "seldom");
        assert_eq!(waits(&mut Hold::default(), 100, 10, 1000, 1000, 300), 0, "no time left");
    }

    #[test]
    fn where_nothing_comes_together_few_turns_wait() {
        let few = waits(&mut Hold::default(), 10_000, 100, 70, 20, 30);
        assert!((16..=16 * 10_000 / 256).contains(&few), "{few}");
        let mut hold = Hold::default();
        waits(&mut hold, 1000, 100, 70, 20, 30);
        assert!(waits(&mut hold, 1000, 1000, 70, 1000, 30) > 700, "and they find it when it does again");
    }
}
