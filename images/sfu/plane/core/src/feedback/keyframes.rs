//! When to ask a publisher for a key frame. Each one costs every subscriber of the track, so wishes are pooled, and
//! a subscriber that begs without end, as one with the wrong key does, is heard less and less.

use std::time::Duration;

use crate::time::Time;

/// The least time between two requests for one encoding.
const MIN_INTERVAL: Duration = Duration::from_millis(500);
/// How often one subscriber is heard at first, and at the least.
const PLEA_INTERVAL: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(16));
/// After so long without a plea a subscriber starts afresh.
const CALM: Duration = Duration::from_secs(10);

/// The requests for one encoding.
#[derive(Debug, Default)]
pub struct Requests {
    wanted: bool,
    sent: Option<Time>,
}

impl Requests {
    /// Notes that someone needs a key frame.
    pub fn want(&mut self) {
        self.wanted = true;
    }

    /// A key frame came: everyone has what they wanted.
    pub fn arrived(&mut self) {
        self.wanted = false;
    }

    /// Whether to send a request now; asked again until a key frame comes.
    pub fn due(&mut self, now: Time) -> bool {
        let due = self.wanted && self.sent.is_none_or(|sent| now.since(sent) >= MIN_INTERVAL);
        if due {
            self.sent = Some(now);
        }
        due
    }
}

/// One subscriber's pleas for one track.
#[derive(Debug)]
pub struct Plea {
    interval: Duration,
    heard: Option<Time>,
    last: Time,
}

impl Default for Plea {
    fn default() -> Self {
        Self { interval: PLEA_INTERVAL.0, heard: None, last: Time::ZERO }
    }
}

impl Plea {
    /// Whether this plea counts.
    pub fn is_heard(&mut self, now: Time) -> bool {
        if now.since(self.last) >= CALM {
            *self = Self::default();
        }
        self.last = now;
        match self.heard {
            Some(heard) if now.since(heard) < self.interval => false,
            before => {
                if before.is_some() {
                    self.interval = (self.interval * 2).min(PLEA_INTERVAL.1);
                }
                self.heard = Some(now);
                true
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wishes_are_pooled_and_repeated_until_met() {
        let mut requests = Requests::default();
        let at = Time::from_millis;
        assert!(!requests.due(at(0)));
        requests.want();
        assert!(requests.due(at(1)));
        requests.want();
        assert!(!requests.due(at(400)));
        assert!(requests.due(at(501)));
        requests.arrived();
        assert!(!requests.due(at(2000)));
    }

    #[test]
    fn a_beggar_is_heard_less_and_less() {
        let mut plea = Plea::default();
        let heard = (0..600).filter(|tick| plea.is_heard(Time::from_millis(100_000 + tick * 100))).count();
        assert!(heard <= 9, "in a minute: {heard}");
        let fresh = Time::from_millis(100_000 + 60_000 + 10_000);
        assert!(plea.is_heard(fresh), "after a calm time");
    }
}
