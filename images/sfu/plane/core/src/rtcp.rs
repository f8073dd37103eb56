//! RTCP compounds, taken apart.

use rtc_rtcp::packet::{Packet, unmarshal};

use crate::feedback::KEPT;

/// A packet's fixed header and sender.
const SHORTEST: usize = 8;

/// One part of a compound makes no sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

/// Transport-wide feedback (draft-holmer-rmcat-transport-wide-cc-extensions-01, section 3.1): format and packet type.
const TRANSPORT_WIDE: (u8, u8) = (15, 205);
/// More than there is memory of, which forty bytes could claim: they would cost milliseconds to unfold.
const MOST_STATUSES: u16 = KEPT as u16;

/// Reads a compound part by part, so that one that makes no sense does not spoil its neighbours.
pub fn packets(compound: &[u8]) -> impl Iterator<Item = Result<Vec<Box<dyn Packet>>, Malformed>> {
    parts(compound).map(|mut part| {
        if claims_too_much(part) { Err(Malformed) } else { unmarshal(&mut part).map_err(|_| Malformed) }
    })
}

fn claims_too_much(part: &[u8]) -> bool {
    let Some(head) = part.first_chunk::<16>() else { return false };
    (head[0] & 0x1f, head[1]) == TRANSPORT_WIDE && u16::from_be_bytes([head[14], head[15]]) > MOST_STATUSES
}

/// The packets of a compound, by the lengths they claim; ends at the first one that is cut.
fn parts(mut compound: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let head = compound.first_chunk::<4>()?;
        let length = 4 * (usize::from(u16::from_be_bytes([head[2], head[3]])) + 1);
        let (part, rest) = compound.split_at_checked(length.max(SHORTEST))?;
        compound = rest;
        Some(part)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A feedback that says "nothing arrived" of `count` packets, in as few chunks as it takes.
    fn feedback(count: u16) -> Vec<u8> {
        let mut body = vec![0; 8];
        body.extend([0, 0]);
        body.extend(count.to_be_bytes());
        body.extend([0; 4]);
        let mut rest = count;
        while rest > 0 {
            let run = rest.min(0x1fff);
            body.extend(run.to_be_bytes());
            rest -= run;
        }
        body.resize(body.len().next_multiple_of(4), 0);
        let words = (body.len() / 4) as u16;
        [&[0x8f, 205], words.to_be_bytes().as_slice(), body.as_slice()].concat()
    }

    #[test]
    fn feedback_on_more_packets_than_are_remembered_is_not_unfolded() {
        let read = |count| packets(&feedback(count)).next().unwrap().map(|found| found.len());
        assert_eq!(read(MOST_STATUSES), Ok(1));
        assert_eq!(read(MOST_STATUSES + 1), Err(Malformed));
        assert_eq!(read(u16::MAX), Err(Malformed));
    }
}
