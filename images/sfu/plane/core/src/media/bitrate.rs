//! How much an encoding takes, measured.

use std::time::Duration;

use crate::time::Time;

const SAMPLE: Duration = Duration::from_millis(100);
/// Two seconds' worth: a key frame is a part of the rate, not the rate.
const SAMPLES: usize = 20;
/// From then on the rate is believed.
const SETTLED: Duration = Duration::from_millis(500);

/// The rate of what came over the last two seconds.
#[derive(Debug)]
pub struct Bitrate {
    begun: Time,
    bytes: u64,
    /// The count at each sample, of which `oldest` is overwritten next.
    samples: [(Time, u64); SAMPLES],
    oldest: usize,
}

impl Bitrate {
    /// Of something that begins now.
    pub fn starting(now: Time) -> Self {
        Self { begun: now, bytes: 0, samples: [(now, 0); SAMPLES], oldest: 0 }
    }

    /// Counts bytes.
    pub fn add(&mut self, bytes: usize) {
        self.bytes += bytes as u64;
    }

    /// To be called every tick.
    pub fn sample(&mut self, now: Time) {
        let newest = (self.oldest + SAMPLES - 1) % SAMPLES;
        if now.since(self.samples[newest].0) >= SAMPLE {
            self.samples[self.oldest] = (now, self.bytes);
            self.oldest = (self.oldest + 1) % SAMPLES;
        }
    }

    /// Whether it goes on for long enough to be judged.
    pub fn is_settled(&self, now: Time) -> bool {
        now.since(self.begun) >= SETTLED
    }

    /// Bits a second; too few while it is not settled.
    pub fn bits_per_second(&self, now: Time) -> u64 {
        let (since, before) = self.samples[self.oldest];
        let span = now.since(since).max(SETTLED);
        (u128::from(8 * (self.bytes - before)) * 1_000_000_000 / span.as_nanos()) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_follows_what_came_in_the_last_two_seconds() {
        let mut bitrate = Bitrate::starting(Time::ZERO);
        let run = |bitrate: &mut Bitrate, from: u64, bytes: usize| {
            for step in 0..300 {
                bitrate.add(bytes);
                bitrate.sample(Time::from_millis(from + 10 * step));
            }
        };
        assert!(!bitrate.is_settled(Time::from_millis(499)));
        run(&mut bitrate, 0, 1000);
        let fast = bitrate.bits_per_second(Time::from_millis(3000));
        assert!((780_000..=820_000).contains(&fast), "{fast}");
        run(&mut bitrate, 3000, 100);
        let slow = bitrate.bits_per_second(Time::from_millis(6000));
        assert!((78_000..=82_000).contains(&slow), "{slow}");
        assert!(bitrate.is_settled(Time::from_millis(500)));
    }
}
