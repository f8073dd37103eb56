//! When which frame leaves; decides on times alone.

use std::time::{Duration, Instant};

use crate::request::Pace;

/// Further behind than this, frames are skipped rather than sent in a rush.
const PATIENCE: Duration = Duration::from_millis(50);
/// What has not arrived by then is taken for lost, and the window opens again.
const STALL: Duration = Duration::from_millis(100);

/// One publication's frames to come.
pub struct Timetable {
    /// As the driver asked for it.
    pub pace: Pace,
    interval: Duration,
    due: Instant,
    arrived: u64,
    progress: Instant,
}

/// What to do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// Send a frame, after `skipped` ones that it is too late for.
    Frame {
        /// How many were left out.
        skipped: u64,
    },
    /// Not before this.
    At(Instant),
}

impl Timetable {
    /// The first frame is due at a `share` (0 to 1) of the interval after `now`, so that publications do not send
    /// all at once.
    ///
    /// # Errors
    /// A rate that is no positive number.
    pub fn new(pace: Pace, now: Instant, share: f64) -> Result<Self, String> {
        if pace.window.is_none() && !(pace.rate > 0.0 && pace.rate <= 1e6) {
            return Err("rate: frames a second, above 0 and up to a million".into());
        }
        let interval = if pace.window.is_some() { STALL } else { Duration::from_secs_f64(1.0 / pace.rate) };
        let due = now + interval.mul_f64(share);
        Ok(Self { pace, interval, due, arrived: 0, progress: now })
    }

    /// Asks at `now`, when `sent` packets of the publication have left and `arrived` of them are known to have come
    /// through.
    pub fn ask(&mut self, now: Instant, sent: u64, arrived: u64) -> Due {
        if let Some(window) = self.pace.window {
            return self.ask_window(now, sent, arrived, window);
        }
        if now < self.due {
            return Due::At(self.due);
        }
        let behind = now - self.due;
        let skipped =
            if behind > PATIENCE { (behind.as_secs_f64() / self.interval.as_secs_f64()) as u64 } else { 0 };
        self.due += self.interval.mul_f64((1 + skipped) as f64);
        Due::Frame { skipped }
    }

    fn ask_window(&mut self, now: Instant, sent: u64, arrived: u64, window: u64) -> Due {
        if arrived > self.arrived {
            self.arrived = arrived;
            self.progress = now;
        } else if now - self.progress > STALL {
            self.arrived = sent;
            self.progress = now;
        }
        if sent + u64::from(self.pace.packets) > self.arrived + window {
            return Due::At(now);
        }
        Due::Frame { skipped: 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timetable(rate: f64, window: Option<u64>, now: Instant) -> Timetable {
        let pace = Pace { peer: 1, mid: "0".into(), size: 1100, packets: 3, rate, window };
        Timetable::new(pace, now, 0.0).unwrap()
    }

    #[test]
    fn frames_keep_their_rate_however_late_each_is_asked_for() {
        let start = Instant::now();
        let mut timetable = timetable(100.0, None, start);
        let mut frames = 0;
        for step in 0..250_u64 {
            // Asked every 4 ms, for frames that are due every 10 ms.
            let due = timetable.ask(start + Duration::from_millis(4 * step), 0, 0);
            frames += u32::from(matches!(due, Due::Frame { .. }));
        }
        assert_eq!(frames, 100);
    }

    #[test]
    fn what_is_far_behind_is_skipped_and_counted() {
        let start = Instant::now();
        let mut timetable = timetable(100.0, None, start);
        assert_eq!(timetable.ask(start + Duration::from_millis(200), 0, 0), Due::Frame { skipped: 20 });
        let next = start + Duration::from_millis(210);
        assert_eq!(timetable.ask(start + Duration::from_millis(201), 3, 0), Due::At(next));
    }

    #[test]
    fn a_window_closes_until_packets_arrive_or_are_given_up() {
        let start = Instant::now();
        let mut timetable = timetable(0.0, Some(6), start);
        assert_eq!(timetable.ask(start, 0, 0), Due::Frame { skipped: 0 });
        assert_eq!(timetable.ask(start, 6, 0), Due::At(start));
        assert_eq!(timetable.ask(start, 6, 3), Due::Frame { skipped: 0 });
        assert_eq!(timetable.ask(start, 9, 3), Due::At(start));
        let later = start + Duration::from_millis(101);
        assert_eq!(timetable.ask(later, 9, 3), Due::Frame { skipped: 0 });
    }

    #[test]
    fn a_rate_that_makes_no_sense_is_refused() {
        let pace = Pace { peer: 1, mid: "0".into(), size: 1100, packets: 3, rate: 0.0, window: None };
        assert!(Timetable::new(pace, Instant::now(), 0.0).is_err());
    }
}
