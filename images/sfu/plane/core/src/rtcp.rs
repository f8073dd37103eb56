//! RTCP compounds, taken apart.

use rtc_rtcp::packet::{Packet, unmarshal};

/// A packet's fixed header and sender.
const SHORTEST: usize = 8;

/// One part of a compound makes no sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

/// Reads a compound part by part, so that one that makes no sense does not spoil its neighbours.
pub fn packets(compound: &[u8]) -> impl Iterator<Item = Result<Vec<Box<dyn Packet>>, Malformed>> {
    parts(compound).map(|mut part| unmarshal(&mut part).map_err(|_| Malformed))
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
