//! The RTP header, read in place.

const FIXED: usize = 12;
const VERSION: u8 = 2;

/// What the plane needs of a header; offsets count from the start of the packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The last bytes of the payload are padding (RFC 3550 section 5.1).
    pub padded: bool,
    /// The frame's last packet, or a talk spurt's first.
    pub marker: bool,
    /// 7 bits.
    pub payload_type: u8,
    /// 16 bits of the packet's index.
    pub sequence: u16,
    /// In the clock of the codec.
    pub timestamp: u32,
    /// The stream.
    pub ssrc: u32,
    /// The profile of the extension block, 0 without one.
    pub extension_profile: u16,
    /// Where the extension block's data starts.
    pub extension_start: usize,
    /// Where the payload starts.
    pub end: usize,
}

impl Header {
    /// Reads the header of `packet`; `None` when it is not RTP version 2 or cut.
    pub fn parse(packet: &[u8]) -> Option<Self> {
        let fixed = packet.first_chunk::<FIXED>()?;
        if fixed[0] >> 6 != VERSION {
            return None;
        }
        let mut end = FIXED + 4 * usize::from(fixed[0] & 0x0F);
        let mut extension_profile = 0;
        let mut extension_start = end;
        if fixed[0] & 0x10 != 0 {
            let head = packet.get(end..end + 4)?;
            extension_profile = u16::from_be_bytes([head[0], head[1]]);
            extension_start = end + 4;
            end = extension_start + 4 * usize::from(u16::from_be_bytes([head[2], head[3]]));
        }
        if end > packet.len() {
            return None;
        }
        Some(Self {
            padded: fixed[0] & Self::PADDED != 0,
            marker: fixed[1] & 0x80 != 0,
            payload_type: fixed[1] & 0x7F,
            sequence: u16::from_be_bytes([fixed[2], fixed[3]]),
            timestamp: u32::from_be_bytes([fixed[4], fixed[5], fixed[6], fixed[7]]),
            ssrc: u32::from_be_bytes([fixed[8], fixed[9], fixed[10], fixed[11]]),
            extension_profile,
            extension_start,
            end,
        })
    }

    /// Where the payload ends in a plain packet, without padding; `None` when the padding's length is a lie.
    pub fn payload_end(&self, plain: &[u8]) -> Option<usize> {
        if !self.padded {
            return Some(plain.len());
        }
        let padding = usize::from(*plain.last()?);
        plain.len().checked_sub(padding).filter(|end| padding > 0 && *end >= self.end)
    }

    /// Writes a fixed header with an extension block to come; its length is [`Header::LENGTH`].
    pub fn write(out: &mut [u8], marker: bool, payload_type: u8, sequence: u16, timestamp: u32, ssrc: u32) {
        out[0] = VERSION << 6 | 0x10;
        out[1] = u8::from(marker) << 7 | payload_type;
        out[2..4].copy_from_slice(&sequence.to_be_bytes());
        out[4..8].copy_from_slice(&timestamp.to_be_bytes());
        out[8..12].copy_from_slice(&ssrc.to_be_bytes());
    }

    /// The flag of the first byte that says "padded".
    pub const PADDED: u8 = 0x20;

    /// Length of what [`Header::write`] writes.
    pub const LENGTH: usize = FIXED;
}
