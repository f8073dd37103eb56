//! Who speaks, by the levels that publishers put into their headers (RFC 6464).

use std::time::Duration;

use crate::time::Time;

/// How often the loudness is told while somebody speaks.
const INTERVAL: Duration = Duration::from_millis(200);
/// Levels are 0 (loudest) to 127 dB below; what is quieter than this on average is a room, not a voice.
const AUDIBLE: u32 = 127 - 50;

/// The loudness of one track over the present interval.
#[derive(Debug, Default)]
pub struct Loudness {
    sum: u32,
    count: u32,
    due: Time,
    was_audible: bool,
}

impl Loudness {
    /// Notes a packet's level, with or without the voice flag.
    pub fn arrived(&mut self, level: u8) {
        self.sum += 127 - u32::from(level & 0x7F);
        self.count += 1;
    }

    /// What there is to tell: decibels above silence, 0 once when the voice ends.
    pub fn take(&mut self, now: Time) -> Option<u8> {
        if now < self.due {
            return None;
        }
        self.due = now + INTERVAL;
        let average = self.sum.checked_div(self.count).unwrap_or(0);
        (self.sum, self.count) = (0, 0);
        let was_audible = std::mem::replace(&mut self.was_audible, average >= AUDIBLE);
        match self.was_audible {
            true => Some(average as u8),
            false => was_audible.then_some(0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_voice_is_told_while_it_lasts_and_once_when_it_ends() {
        let mut loudness = Loudness::default();
        let mut told = Vec::new();
        for tick in 0..120_u64 {
            let now = Time::from_millis(1000 + 10 * tick);
            if tick % 2 == 0 {
                loudness.arrived(if tick < 60 { 0x80 | 30 } else { 120 });
            }
            told.extend(loudness.take(now));
        }
        assert_eq!(told, [97, 97, 97, 88, 0], "the last but one has a quiet packet in it");
    }

    #[test]
    fn silence_is_not_told() {
        let mut loudness = Loudness::default();
        assert_eq!(loudness.take(Time::from_millis(1)), None);
        loudness.arrived(127);
        assert_eq!(loudness.take(Time::from_millis(500)), None);
    }
}
