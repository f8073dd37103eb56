//! Which packets of a stream are missing and when to ask for them again (RFC 4585 section 6.2.1).

use std::collections::BTreeMap;
use std::time::Duration;

use crate::time::Time;

/// Reordering that is not a loss yet.
const PATIENCE: Duration = Duration::from_millis(10);
/// A retransmission that takes longer than this helps no live picture.
const LIFETIME: Duration = Duration::from_secs(1);
/// More at once cannot be repaired packet by packet.
const MAX_MISSING: u64 = 256;
/// The least time between two requests for one packet.
const MIN_RETRY: Duration = Duration::from_millis(40);

#[derive(Debug)]
struct Missing {
    since: Time,
    due: Time,
}

/// The gaps of one stream.
#[derive(Debug, Default)]
pub struct Losses {
    newest: Option<u64>,
    missing: BTreeMap<u64, Missing>,
}

/// The gap is too wide to be repaired; a key frame has to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooMany;

impl Losses {
    /// Notes the arrival of packet `index`, first sent or repaired.
    ///
    /// # Errors
    /// [`TooMany`] when the stream jumped so far that no repair is tried.
    pub fn arrived(&mut self, now: Time, index: u64) -> Result<(), TooMany> {
        let Some(newest) = self.newest else {
            self.newest = Some(index);
            return Ok(());
        };
        if index <= newest {
            self.missing.remove(&index);
            return Ok(());
        }
        self.newest = Some(index);
        let gap = index - newest - 1;
        if gap + self.missing.len() as u64 > MAX_MISSING {
            self.missing.clear();
            return Err(TooMany);
        }
        for lost in newest + 1..index {
            self.missing.insert(lost, Missing { since: now, due: now + PATIENCE });
        }
        Ok(())
    }

    /// Whether nothing is missing.
    pub fn is_empty(&self) -> bool {
        self.missing.is_empty()
    }

    /// Sequence numbers to ask for now, in order; each comes back after a round trip and a half.
    pub fn due(&mut self, now: Time, round_trip: Duration) -> Vec<u16> {
        self.missing.retain(|_, missing| now.since(missing.since) < LIFETIME);
        let retry = (round_trip + round_trip / 2).max(MIN_RETRY);
        let mut due = Vec::new();
        for (index, missing) in self.missing.iter_mut().filter(|(_, missing)| missing.due <= now) {
            missing.due = now + retry;
            due.push(*index as u16);
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RTT: Duration = Duration::from_millis(100);

    #[test]
    fn a_gap_is_asked_for_until_it_is_filled() {
        let mut losses = Losses::default();
        let at = Time::from_millis;
        losses.arrived(at(0), 65_534).unwrap();
        losses.arrived(at(1), 65_538).unwrap();
        assert_eq!(losses.due(at(5), RTT), [], "it may be reordering");
        assert_eq!(losses.due(at(11), RTT), [65_535, 0, 1]);
        losses.arrived(at(60), 65_536).unwrap();
        assert_eq!(losses.due(at(100), RTT), [], "the answer is on its way");
        assert_eq!(losses.due(at(161), RTT), [65_535, 1]);
        assert_eq!(losses.due(at(1001), RTT), [], "too late to help");
        assert!(losses.is_empty());
    }

    #[test]
    fn a_wide_gap_is_given_up_at_once() {
        let mut losses = Losses::default();
        losses.arrived(Time::ZERO, 0).unwrap();
        assert_eq!(losses.arrived(Time::ZERO, 300), Err(TooMany));
        assert!(losses.is_empty());
        assert_eq!(losses.arrived(Time::ZERO, 302), Ok(()));
        assert_eq!(losses.due(Time::from_millis(10), RTT), [301]);
    }
}
