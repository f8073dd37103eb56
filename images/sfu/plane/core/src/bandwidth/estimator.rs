//! The estimate: up while the delay is even, down when it grows or packets are lost.

use std::time::Duration;

use super::delay::{Delay, Usage};
use super::rate::Rate;
use crate::feedback::Departure;
use crate::time::Time;

/// Bits a second: what a new link is trusted with, and the limits of any estimate.
const START: f64 = 600_000.0;
const LIMITS: (f64, f64) = (30_000.0, 100_000_000.0);
/// Down to this share of what arrived.
const BACK_OFF: f64 = 0.85;
/// Growth a second while nothing has shown a limit, where the limit shown last is left behind, and near it.
const FIRST_GROWTH: f64 = 1.5;
const GROWTH: f64 = 1.15;
const NEAR_GROWTH: f64 = 1.1;
/// Nothing is known above this multiple of what was really sent.
const HEADROOM: f64 = 1.5;
const HEADROOM_BASE: f64 = 10_000.0;
/// The limit found last is left behind when what arrives is so much off.
const NEAR: (f64, f64) = (0.8, 1.2);
/// A share of losses that is no chance but a queue that overflows (draft-ietf-rmcat-gcc-02 section 6).
const LOSS: f64 = 0.10;
const LOSS_INTERVAL: Duration = Duration::from_millis(500);
const LOSS_SAMPLE: u32 = 20;
/// Without feedback for so long the estimate is history.
const FRESH: Duration = Duration::from_secs(1);
/// Who reported before, and leaves what it is sent unanswered for so long, may have lost its link: the estimate
/// halves every second, and doubles every second once reports are back, until it is what it was.
const SILENCE: Duration = Duration::from_millis(1500);
const FADING: f64 = 0.5;
const RECOVERY: f64 = 2.0;
/// One back-off has to show before the next.
const BACK_OFF_INTERVAL: Duration = Duration::from_millis(200);

/// The estimate for one subscriber.
#[derive(Debug)]
pub struct Estimator {
    delay: Delay,
    rate: Rate,
    estimate: f64,
    /// Where the link overflowed last.
    limit: Option<f64>,
    updated: Option<Time>,
    backed_off: Option<Time>,
    expected: u32,
    lost: u32,
    losses_judged: Time,
    is_losing: bool,
    is_untried: bool,
    /// What had been sent by the last tick, and when that last grew.
    sent: (u64, Time),
    /// Since when nothing is answered of what was sent.
    unanswered: Option<Time>,
    /// The estimate, and whether it was untried, before it began to fade; and when it last did.
    before: Option<(f64, bool)>,
    faded: Time,
}

impl Default for Estimator {
    fn default() -> Self {
        Self {
            delay: Delay::default(),
            rate: Rate::default(),
            estimate: START,
            limit: None,
            updated: None,
            backed_off: None,
            expected: 0,
            lost: 0,
            losses_judged: Time::ZERO,
            is_losing: false,
            is_untried: true,
            sent: (0, Time::ZERO),
            unanswered: None,
            before: None,
            faded: Time::ZERO,
        }
    }
}

impl Estimator {
    /// Bits a second, on the wire with all headers of the datagram.
    pub fn bits_per_second(&self) -> u64 {
        self.estimate as u64
    }

    /// Whether feedback is coming.
    pub fn is_informed(&self, now: Time) -> bool {
        self.updated.is_some_and(|updated| now.since(updated) < FRESH)
    }

    /// Whether nothing has shown a limit of the link so far.
    pub fn is_untried(&self) -> bool {
        self.is_untried
    }

    /// To be called every tick with the bytes that were sent since the start: the estimate fades while none of
    /// them is answered.
    pub fn tick(&mut self, now: Time, sent: u64) {
        if sent != self.sent.0 {
            self.sent = (sent, now);
            self.unanswered.get_or_insert(now);
        }
        let is_sending = now.since(self.sent.1) < SILENCE;
        let Some(silent) = self.unanswered.map(|since| since + SILENCE).filter(|silent| now >= *silent) else {
            return;
        };
        // Who never reported may be unable to.
        if !is_sending || self.updated.is_none() {
            return;
        }
        let elapsed = now.since(self.faded.max(silent)).min(SILENCE);
        self.faded = now;
        self.before.get_or_insert((self.estimate, self.is_untried));
        self.is_untried = false;
        self.estimate = (self.estimate * FADING.powf(elapsed.as_secs_f64())).max(LIMITS.0);
    }

    /// Takes the fates of packets that one feedback told.
    pub fn feedback(&mut self, now: Time, departures: &[Departure]) {
        self.unanswered = None;
        for departure in departures {
            self.expected += u32::from(!departure.was_missing);
            match departure.arrived {
                None => self.lost += u32::from(!departure.was_missing),
                Some(arrived) => {
                    // It was late, not lost.
                    self.lost = self.lost.saturating_sub(departure.was_missing.into());
                    self.delay.arrived(departure.sent.as_micros().cast_signed(), arrived);
                    self.rate.arrived(departure.sent, arrived, departure.size);
                }
            }
        }
        let elapsed = self.updated.replace(now).map_or(Duration::ZERO, |before| now.since(before));
        let Some(arriving) = self.rate.bits_per_second() else { return };
        match self.delay.usage() {
            Usage::Over => self.back_off(now, arriving),
            Usage::Normal if !self.is_losing => self.grow(elapsed.min(Duration::from_secs(1)), arriving),
            // A full queue has an even delay, too. One that empties will show what is right when it is empty.
            Usage::Normal | Usage::Under => {}
        }
        self.judge_losses(now, arriving);
        self.estimate = self.estimate.clamp(LIMITS.0, LIMITS.1);
    }

    fn back_off(&mut self, now: Time, arriving: f64) {
        if self.backed_off.is_some_and(|before| now.since(before) < BACK_OFF_INTERVAL) {
            return;
        }
        self.backed_off = Some(now);
        self.before = None;
        self.is_untried = false;
        self.limit = Some(arriving);
        self.estimate = self.estimate.min(BACK_OFF * arriving);
    }

    fn grow(&mut self, elapsed: Duration, arriving: f64) {
        self.limit = self.limit.filter(|limit| arriving < NEAR.1 * limit);
        let is_near = self.limit.is_some_and(|limit| self.estimate > NEAR.0 * limit);
        let seconds = elapsed.as_secs_f64();
        let growth = match (self.before, is_near, self.is_untried) {
            (Some(_), ..) => RECOVERY,
            (None, true, _) => NEAR_GROWTH,
            (None, false, true) => FIRST_GROWTH,
            (None, false, false) => GROWTH,
        };
        let grown = self.estimate * growth.powf(seconds);
        // An estimate that is already above what is sent stays: less was sent, not less carried.
        self.estimate = grown.min((HEADROOM * arriving + HEADROOM_BASE).max(self.estimate));
        if let Some((before, was_untried)) = self.before.take_if(|(before, _)| self.estimate >= *before) {
            (self.estimate, self.is_untried) = (before, was_untried);
        }
    }

    fn judge_losses(&mut self, now: Time, arriving: f64) {
        if now.since(self.losses_judged) < LOSS_INTERVAL || self.expected < LOSS_SAMPLE {
            return;
        }
        let share = f64::from(self.lost) / f64::from(self.expected);
        (self.expected, self.lost, self.losses_judged) = (0, 0, now);
        self.is_losing = share > LOSS;
        if self.is_losing {
            self.before = None;
            self.is_untried = false;
            self.limit = Some(arriving);
            self.estimate *= 1.0 - share / 2.0;
        }
    }
}
