//! A link in virtual time: a queue that drains at a rate and overflows at a length.

use std::collections::VecDeque;
use std::time::Duration;

use super::Estimator;
use crate::feedback::Departure;
use crate::time::Time;

const PACKET: u32 = 1200;
const FEEDBACK: Duration = Duration::from_millis(50);

struct Link {
    bits_per_second: f64,
    /// Share of packets lost by chance.
    noise: f64,
    free_at: f64,
    seed: u64,
}

impl Link {
    fn new(bits_per_second: f64, noise: f64) -> Self {
        Self { bits_per_second, noise, free_at: 0.0, seed: 7 }
    }

    /// When a packet sent at `at` seconds arrives; `None` for one that is lost.
    fn carry(&mut self, at: f64) -> Option<f64> {
        self.seed = self.seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        if ((self.seed >> 33) as f64 / f64::from(1_u32 << 31)) < self.noise {
            return None;
        }
        let start = self.free_at.max(at);
        if start - at > 0.3 {
            return None;
        }
        self.free_at = start + f64::from(8 * PACKET) / self.bits_per_second;
        Some(self.free_at + 0.020)
    }
}

/// Sends at the estimate, at most at `cap`, for `seconds`; returns the estimate's mean over the last half.
fn run(estimator: &mut Estimator, link: &mut Link, start: f64, seconds: f64, cap: f64) -> f64 {
    let (mut at, mut number) = (start, 0);
    let mut flying = VecDeque::new();
    let mut feedback_at = start;
    let mut samples = Vec::new();
    while at < start + seconds {
        let rate = (estimator.bits_per_second() as f64).min(cap);
        // A frame of three packets at a time.
        for _ in 0..3 {
            let arrived = link.carry(at);
            let sent = Time::from_nanos((at * 1e9) as u64);
            let told = arrived.unwrap_or(at + 0.1);
            let arrived = arrived.map(|arrived| (arrived * 1e6) as i64 + 5_000_000_000);
            flying.push_back((told, Departure { number, sent, size: PACKET, arrived, was_missing: false }));
            number += 1;
        }
        at += f64::from(3 * 8 * PACKET) / rate;
        if at >= feedback_at + FEEDBACK.as_secs_f64() {
            feedback_at = at;
            let known = flying.iter().take_while(|(told, _)| *told <= at).count();
            let departures: Vec<_> = flying.drain(..known).map(|(_, departure)| departure).collect();
            estimator.feedback(Time::from_nanos((at * 1e9) as u64), &departures);
            samples.push(estimator.bits_per_second() as f64);
        }
    }
    let half = &samples[samples.len() / 2..];
    half.iter().sum::<f64>() / half.len() as f64
}

#[test]
fn the_estimate_finds_a_narrow_link() {
    for capacity in [150_000.0, 400_000.0, 1_500_000.0] {
        let mut estimator = Estimator::default();
        let found = run(&mut estimator, &mut Link::new(capacity, 0.0), 1.0, 60.0, f64::MAX);
        assert!((0.6..1.2).contains(&(found / capacity)), "{capacity}: {found}");
    }
}

#[test]
fn a_link_that_collapses_is_noticed_within_two_seconds_and_found_again() {
    let mut estimator = Estimator::default();
    let mut link = Link::new(2_000_000.0, 0.0);
    run(&mut estimator, &mut link, 1.0, 40.0, 1_500_000.0);
    link.bits_per_second = 100_000.0;
    run(&mut estimator, &mut link, 41.0, 2.0, 1_500_000.0);
    let narrow = estimator.bits_per_second();
    assert!(narrow < 400_000, "{narrow}");
    let settled = run(&mut estimator, &mut link, 43.0, 20.0, 1_500_000.0);
    assert!((30_000.0..130_000.0).contains(&settled), "{settled}");
    link.bits_per_second = 2_000_000.0;
    let back = run(&mut estimator, &mut link, 63.0, 60.0, 1_500_000.0);
    assert!(back > 800_000.0, "{back}");
}

#[test]
fn losses_by_chance_do_not_stop_it_but_heavy_ones_do() {
    let mut light = Estimator::default();
    let found = run(&mut light, &mut Link::new(2_000_000.0, 0.05), 1.0, 60.0, f64::MAX);
    assert!(found > 1_000_000.0, "{found}");
    let mut heavy = Estimator::default();
    let found = run(&mut heavy, &mut Link::new(2_000_000.0, 0.4), 1.0, 30.0, f64::MAX);
    assert!(found < 200_000.0, "{found}");
}

#[test]
fn what_was_never_tried_is_not_promised() {
    let mut estimator = Estimator::default();
    let found = run(&mut estimator, &mut Link::new(50_000_000.0, 0.0), 1.0, 60.0, 1_000_000.0);
    assert!((1_000_000.0..1_600_000.0).contains(&found), "{found}");
}

/// Ticks from second `start` to second `end`, with something sent at each tick.
fn ticks(estimator: &mut Estimator, start: u64, end: u64) {
    for step in 100 * start..100 * end {
        estimator.tick(Time::from_millis(10 * step), step);
    }
}

#[test]
fn an_estimate_fades_while_nothing_is_answered_and_is_soon_what_it_was() {
    let mut estimator = Estimator::default();
    let mut link = Link::new(4_000_000.0, 0.0);
    run(&mut estimator, &mut link, 1.0, 40.0, 2_000_000.0);
    let before = estimator.bits_per_second();
    assert!(before > 1_000_000, "{before}");
    ticks(&mut estimator, 41, 42);
    assert_eq!(estimator.bits_per_second(), before, "feedback is only late");
    ticks(&mut estimator, 42, 45);
    let faded = estimator.bits_per_second();
    assert!(faded < before / 4, "{faded} of {before}");
    ticks(&mut estimator, 45, 60);
    assert_eq!(estimator.bits_per_second(), 30_000);
    run(&mut estimator, &mut link, 60.0, 10.0, 2_000_000.0);
    let after = estimator.bits_per_second();
    assert!(2 * after > before, "{after} of {before}");
}

#[test]
fn an_estimate_stays_while_nothing_is_sent_or_nothing_was_ever_reported() {
    let mut idle = Estimator::default();
    run(&mut idle, &mut Link::new(4_000_000.0, 0.0), 1.0, 20.0, 2_000_000.0);
    let before = idle.bits_per_second();
    (2100..6000).for_each(|step| idle.tick(Time::from_millis(10 * step), 7));
    assert_eq!(idle.bits_per_second(), before);
    let mut mute = Estimator::default();
    ticks(&mut mute, 1, 60);
    assert_eq!(mute.bits_per_second(), Estimator::default().bits_per_second());
}
