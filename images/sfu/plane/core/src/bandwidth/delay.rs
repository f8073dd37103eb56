//! Whether the delay on the way to a subscriber grows.

use std::collections::VecDeque;

/// Packets sent within so many microseconds are one burst: a frame, which queues behind itself.
const BURST: i64 = 5000;
/// Points of the trend, and how much of each the smoothing keeps.
const POINTS: usize = 20;
const SMOOTHING: f64 = 0.9;
/// What turns a slope into the unit of the threshold.
const GAIN: f64 = 4.0;
const MAX_WEIGHT: u32 = 60;
/// Milliseconds that an overuse has to last.
const OVERUSE: f64 = 10.0;
/// The adaptive threshold: start, limits, speed upwards and downwards, and what is too far off to adapt to.
const THRESHOLD: f64 = 12.5;
const THRESHOLD_LIMITS: (f64, f64) = (6.0, 600.0);
const THRESHOLD_UP: f64 = 0.0087;
const THRESHOLD_DOWN: f64 = 0.039;
const OUTLIER: f64 = 15.0;

/// What the delay does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Usage {
    /// It stays.
    #[default]
    Normal,
    /// It grows: a queue fills.
    Over,
    /// It shrinks: a queue empties.
    Under,
}

#[derive(Clone, Copy, Debug)]
struct Burst {
    first_sent: i64,
    last_sent: i64,
    last_arrived: i64,
}

/// The trend of the delay between bursts. Times in microseconds; arrival is by the subscriber's clock.
#[derive(Debug)]
pub(super) struct Delay {
    current: Option<Burst>,
    previous: Option<Burst>,
    points: VecDeque<(f64, f64)>,
    origin: Option<i64>,
    accumulated: f64,
    smoothed: f64,
    count: u32,
    slope_before: f64,
    threshold: f64,
    over_for: f64,
    over_count: u32,
    usage: Usage,
}

impl Default for Delay {
    fn default() -> Self {
        Self {
            current: None,
            previous: None,
            points: VecDeque::with_capacity(POINTS),
            origin: None,
            accumulated: 0.0,
            smoothed: 0.0,
            count: 0,
            slope_before: 0.0,
            threshold: THRESHOLD,
            over_for: 0.0,
            over_count: 0,
            usage: Usage::Normal,
        }
    }
}

impl Delay {
    /// The present state.
    pub(super) fn usage(&self) -> Usage {
        self.usage
    }

    /// Notes a packet that arrived; packets come in the order in which they were sent.
    pub(super) fn arrived(&mut self, sent: i64, arrived: i64) {
        let Some(burst) = self.current.as_mut() else {
            self.current = Some(Burst { first_sent: sent, last_sent: sent, last_arrived: arrived });
            return;
        };
        if sent < burst.first_sent {
            return;
        }
        if sent - burst.first_sent <= BURST {
            burst.last_sent = burst.last_sent.max(sent);
            burst.last_arrived = burst.last_arrived.max(arrived);
            return;
        }
        let done = *burst;
        *burst = Burst { first_sent: sent, last_sent: sent, last_arrived: arrived };
        if let Some(before) = self.previous.replace(done) {
            let sent = milliseconds(done.last_sent - before.last_sent);
            let arrived = milliseconds(done.last_arrived - before.last_arrived);
            self.step(sent, arrived, done.last_arrived);
        }
    }

    fn step(&mut self, sent: f64, arrived: f64, at: i64) {
        let origin = *self.origin.get_or_insert(at);
        self.count = (self.count + 1).min(MAX_WEIGHT);
        self.accumulated += arrived - sent;
        self.smoothed = SMOOTHING * self.smoothed + (1.0 - SMOOTHING) * self.accumulated;
        if self.points.len() == POINTS {
            self.points.pop_front();
        }
        self.points.push_back((milliseconds(at - origin), self.smoothed));
        if self.points.len() == POINTS {
            let slope = slope(&self.points).unwrap_or(self.slope_before);
            self.judge(slope, sent);
        }
    }

    fn judge(&mut self, slope: f64, sent: f64) {
        let trend = f64::from(self.count) * slope * GAIN;
        self.usage = if trend > self.threshold {
            self.over_for += if self.over_count == 0 { sent / 2.0 } else { sent };
            self.over_count += 1;
            let is_over = self.over_for > OVERUSE && self.over_count > 1 && slope >= self.slope_before;
            if is_over { Usage::Over } else { self.usage }
        } else if trend < -self.threshold {
            Usage::Under
        } else {
            Usage::Normal
        };
        if self.usage == Usage::Over || trend <= self.threshold {
            self.over_for = 0.0;
            self.over_count = 0;
        }
        self.slope_before = slope;
        let size = trend.abs();
        if size <= self.threshold + OUTLIER {
            let speed = if size < self.threshold { THRESHOLD_DOWN } else { THRESHOLD_UP };
            let moved = self.threshold + speed * (size - self.threshold) * sent.clamp(0.0, 100.0);
            self.threshold = moved.clamp(THRESHOLD_LIMITS.0, THRESHOLD_LIMITS.1);
        }
    }
}

fn milliseconds(microseconds: i64) -> f64 {
    microseconds as f64 / 1000.0
}

/// Least squares; `None` when all points are above each other.
fn slope(points: &VecDeque<(f64, f64)>) -> Option<f64> {
    let count = points.len() as f64;
    let (x, y) = points.iter().fold((0.0, 0.0), |sum, point| (sum.0 + point.0, sum.1 + point.1));
    let (x, y) = (x / count, y / count);
    let (over, under) = points.iter().fold((0.0, 0.0), |sum, point| {
        (sum.0 + (point.0 - x) * (point.1 - y), sum.1 + (point.0 - x) * (point.0 - x))
    });
    (under != 0.0).then(|| over / under)
}
