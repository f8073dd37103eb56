//! Header extensions: read from a publisher's block, written into a subscriber's.

use super::header::Header;

const ONE_BYTE: u16 = 0xBEDE;
const TWO_BYTE: u16 = 0x1000;
const MAX_ONE_BYTE_LENGTH: usize = 16;
const MAX_ONE_BYTE_ID: u8 = 14;

/// The ids that one peer's session description gave to the extensions; 0 is "not negotiated".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExtensionIds {
    /// `urn:ietf:params:rtp-hdrext:sdes:mid`
    pub mid: u8,
    /// `urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id`
    pub rid: u8,
    /// `urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id`
    pub repaired_rid: u8,
    /// `http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01`
    pub transport_sequence: u8,
    /// `urn:ietf:params:rtp-hdrext:ssrc-audio-level`
    pub audio_level: u8,
    /// `https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension`
    pub dependency: u8,
}

impl ExtensionIds {
    /// The highest id in use, which decides between the one-byte and the two-byte form.
    pub fn highest(&self) -> u8 {
        let ids =
            [self.mid, self.rid, self.repaired_rid, self.transport_sequence, self.audio_level, self.dependency];
        ids.into_iter().fold(0, u8::max)
    }
}

/// What a packet's extension block says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extensions<'a> {
    /// The m-line.
    pub mid: Option<&'a [u8]>,
    /// The simulcast encoding.
    pub rid: Option<&'a [u8]>,
    /// The encoding that a retransmission repairs.
    pub repaired_rid: Option<&'a [u8]>,
    /// The number that transport-wide feedback reports on.
    pub transport_sequence: Option<u16>,
    /// RFC 6464: voice flag and level in -dBov.
    pub audio_level: Option<u8>,
    /// The Dependency Descriptor, as it stands.
    pub dependency: Option<&'a [u8]>,
}

impl<'a> Extensions<'a> {
    /// Reads the extensions of `packet` that `ids` names; others are skipped, a cut block ends early.
    pub fn parse(packet: &'a [u8], header: &Header, ids: &ExtensionIds) -> Self {
        let mut found = Self::default();
        let two_byte = header.extension_profile & 0xFFF0 == TWO_BYTE;
        if !two_byte && header.extension_profile != ONE_BYTE {
            return found;
        }
        let mut rest = &packet[header.extension_start..header.end];
        while let Some((first, after)) = rest.split_first() {
            if *first == 0 {
                rest = after;
                continue;
            }
            let (id, length, after) = if two_byte {
                let Some((length, after)) = after.split_first() else { break };
                (*first, usize::from(*length), after)
            } else {
                // RFC 8285 section 4.2: id 15 ends the block.
                if first >> 4 == 15 {
                    break;
                }
                (first >> 4, usize::from(first & 0x0F) + 1, after)
            };
            let Some((value, after)) = after.split_at_checked(length) else { break };
            found.take(id, value, ids);
            rest = after;
        }
        found
    }

    fn take(&mut self, id: u8, value: &'a [u8], ids: &ExtensionIds) {
        if id == 0 {
            return;
        }
        if id == ids.transport_sequence {
            self.transport_sequence = value.first_chunk().map(|bytes| u16::from_be_bytes(*bytes));
        } else if id == ids.mid {
            self.mid = Some(value);
        } else if id == ids.audio_level {
            self.audio_level = value.first().copied();
        } else if id == ids.dependency {
            self.dependency = Some(value);
        } else if id == ids.rid {
            self.rid = Some(value);
        } else if id == ids.repaired_rid {
            self.repaired_rid = Some(value);
        }
    }
}

/// Writes an extension block behind a fixed header.
pub struct ExtensionWriter<'a> {
    out: &'a mut [u8],
    start: usize,
    at: usize,
    two_byte: bool,
}

impl<'a> ExtensionWriter<'a> {
    /// Starts a block at `start` in `out`; the two-byte form where `longest` or `highest_id` does not fit the other.
    pub fn new(out: &'a mut [u8], start: usize, longest: usize, highest_id: u8) -> Self {
        let two_byte = longest > MAX_ONE_BYTE_LENGTH || highest_id > MAX_ONE_BYTE_ID;
        Self { out, start, at: start + 4, two_byte }
    }

    /// Adds one element; nothing for id 0 and for an empty value, which the one-byte form cannot say.
    ///
    /// # Panics
    /// When `out` has no room, or the value is above 255 bytes.
    pub fn put(&mut self, id: u8, value: &[u8]) {
        self.put_parts(id, &[value]);
    }

    /// Adds one element whose value stands in several places, as [`ExtensionWriter::put`] does.
    ///
    /// # Panics
    /// As [`ExtensionWriter::put`] does.
    pub fn put_parts(&mut self, id: u8, parts: &[&[u8]]) {
        let length: usize = parts.iter().map(|part| part.len()).sum();
        if id == 0 || length == 0 {
            return;
        }
        let length = u8::try_from(length).expect("extension values have at most 255 bytes");
        if self.two_byte {
            self.out[self.at] = id;
            self.out[self.at + 1] = length;
            self.at += 2;
        } else {
            self.out[self.at] = id << 4 | (length - 1);
            self.at += 1;
        }
        for part in parts {
            self.out[self.at..self.at + part.len()].copy_from_slice(part);
            self.at += part.len();
        }
    }

    /// Pads and closes the block; returns where the payload starts.
    pub fn finish(self) -> usize {
        let data = self.start + 4;
        let end = data + (self.at - data).next_multiple_of(4);
        self.out[self.at..end].fill(0);
        let profile = if self.two_byte { TWO_BYTE } else { ONE_BYTE };
        let words = u16::try_from((end - data) / 4).expect("a block is below 64 KiB");
        self.out[self.start..self.start + 2].copy_from_slice(&profile.to_be_bytes());
        self.out[self.start + 2..data].copy_from_slice(&words.to_be_bytes());
        end
    }
}
