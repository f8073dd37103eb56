//! How fast a leg follows what its subscriber's link is said to carry: down at once, out of sight and up again with
//! patience.

use std::time::Duration;

use crate::time::Time;

/// How long a leg that lost a layer waits for another, at first and at the most.
const HOLD: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(16));
/// A layer that was lost so soon after it was given had better not been given: the next wait is twice as long.
const SOON: Duration = Duration::from_secs(10);
/// For so long the lowest layer goes on although the link is said not to carry it: an estimate that only wavered
/// is back by then, and a black picture is worse than a late one.
const GRACE: Duration = Duration::from_millis(1500);

/// One leg's patience.
#[derive(Debug)]
pub struct Pace {
    raised: Option<Time>,
    hold: Duration,
    held_until: Time,
    starving: Option<Time>,
}

impl Default for Pace {
    fn default() -> Self {
        Self { raised: None, hold: HOLD.0, held_until: Time::ZERO, starving: None }
    }
}

impl Pace {
    /// Whether the leg may get a better layer.
    pub fn may_rise(&self, now: Time) -> bool {
        now >= self.held_until
    }

    /// Notes that it got one.
    pub fn raised(&mut self, now: Time) {
        self.raised = Some(now);
    }

    /// Notes that one had to be taken.
    pub fn lowered(&mut self, now: Time) {
        let was_soon = self.raised.take().is_some_and(|raised| now.since(raised) < SOON);
        self.hold = if was_soon { (2 * self.hold).min(HOLD.1) } else { HOLD.0 };
        self.held_until = now + self.hold;
    }

    /// Whether the lowest layer that does not fit is paused by now; to be asked at every choice.
    pub fn pauses(&mut self, now: Time, fits: bool) -> bool {
        if fits {
            self.starving = None;
            return false;
        }
        now.since(*self.starving.get_or_insert(now)) >= GRACE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_falls_back_again_and_again_waits_longer_each_time() {
        let mut pace = Pace::default();
        let mut now = Time::from_millis(100_000);
        let mut waits = Vec::new();
        for _ in 0..7 {
            assert!(pace.may_rise(now));
            pace.raised(now);
            now = now + Duration::from_secs(1);
            pace.lowered(now);
            let start = now;
            while !pace.may_rise(now) {
                now = now + Duration::from_millis(100);
            }
            waits.push(now.since(start).as_secs());
        }
        assert_eq!(waits, [2, 4, 8, 16, 16, 16, 16]);
        pace.raised(now);
        now = now + Duration::from_secs(60);
        pace.lowered(now);
        assert!(pace.may_rise(now + HOLD.0), "it had held for long");
    }

    #[test]
    fn the_lowest_layer_outlasts_a_short_dip() {
        let mut pace = Pace::default();
        let at = Time::from_millis;
        assert!(!pace.pauses(at(1000), false));
        assert!(!pace.pauses(at(2000), false));
        assert!(!pace.pauses(at(2100), true));
        assert!(!pace.pauses(at(3000), false));
        assert!(pace.pauses(at(4500), false));
    }
}
