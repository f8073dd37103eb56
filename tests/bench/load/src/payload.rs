//! Payloads that an SFU takes for media, with a stamp at their end: descriptors in front may change on the way.

use std::time::Duration;

/// Bytes of RTP header and extensions that [`crate::request::Pace::size`] counts and a payload has not.
pub const HEADER: usize = 30;
const MARK: u32 = 0xCA11_C105;
const STAMP: usize = 24;
/// Descriptor, start of a key frame, stamp.
const SHORTEST: usize = 6 + 10 + STAMP;

/// What a receiver learns of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// The publisher's SSRC.
    pub source: u32,
    /// Counts the publication's packets from 0.
    pub index: u64,
    /// When it was handed to the client's protocol, since the Unix epoch.
    pub sent: Duration,
}

/// A VP8 packet's place in its frame.
#[derive(Clone, Copy, Debug)]
pub struct Picture {
    /// Picture id.
    pub id: u16,
    /// A key frame.
    pub is_key: bool,
    /// First packet of its frame.
    pub is_first: bool,
}

/// Writes an Opus payload (`picture` is `None`) or a VP8 one (RFC 7741) of `length` bytes, or of as many as the stamp
/// needs, into `buffer`.
pub fn write(buffer: &mut Vec<u8>, length: usize, stamp: Stamp, picture: Option<Picture>) {
    buffer.clear();
    if let Some(Picture { id, is_key, is_first }) = picture {
        let [high, low] = (id | 0x8000).to_be_bytes();
        // Extended, start of partition 0; picture id, TL0PICIDX and temporal layer 0.
        buffer.extend([if is_first { 0x90 } else { 0x80 }, 0xE0, high, low, 0, 0]);
        if is_first {
            // 640x360; the last bit of the first byte is 0 in key frames.
            buffer.extend([0x10 | u8::from(!is_key), 0, 0, 0x9D, 0x01, 0x2A, 0x80, 0x02, 0x68, 0x01]);
        }
    }
    buffer.resize(length.max(SHORTEST) - STAMP, 0x5A);
    buffer.extend(MARK.to_be_bytes());
    buffer.extend(stamp.source.to_be_bytes());
    buffer.extend(stamp.index.to_be_bytes());
    buffer.extend((stamp.sent.as_nanos() as u64).to_be_bytes());
}

/// The stamp of a payload; `None` for one that [`write`] has not made.
pub fn read(payload: &[u8]) -> Option<Stamp> {
    let stamp: &[u8; STAMP] = payload.last_chunk()?;
    let number = |range: std::ops::Range<usize>| {
        stamp[range].iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
    };
    (number(0..4) == u64::from(MARK)).then(|| Stamp {
        source: number(4..8) as u32,
        index: number(8..16),
        sent: Duration::from_nanos(number(16..24)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAMPED: Stamp =
        Stamp { source: 0xAABB_CCDD, index: 7, sent: Duration::from_nanos(1_234_567_890_123) };

    #[test]
    fn a_stamp_survives_another_descriptor_in_front() {
        let mut payload = Vec::new();
        let picture = Picture { id: 300, is_key: true, is_first: true };
        write(&mut payload, 1000, STAMPED, Some(picture));
        assert_eq!(payload.len(), 1000);
        assert_eq!(read(&payload[3..]), Some(STAMPED));
    }

    #[test]
    fn a_short_payload_still_has_its_stamp() {
        let mut payload = Vec::new();
        write(&mut payload, 0, STAMPED, None);
        assert_eq!(read(&payload), Some(STAMPED));
    }

    #[test]
    fn foreign_bytes_have_no_stamp() {
        assert_eq!(read(&[0; 100]), None);
        assert_eq!(read(&[0; 5]), None);
    }
}
