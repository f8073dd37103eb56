//! A binding request, read from the wire.

use aws_lc_rs::{constant_time, hmac};

use super::{COOKIE, FINGERPRINT_XOR, HEADER, INTEGRITY, attribute, crc32};

const BINDING_REQUEST: u16 = 0x0001;

/// Why a datagram is not a binding request that can be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

/// A binding request whose fingerprint is right and whose sender is not proved yet.
#[derive(Debug)]
pub struct Request<'a> {
    bytes: &'a [u8],
    integrity_at: usize,
    username: &'a [u8],
    /// The client chose this pair (RFC 8445 section 7.3.1.5).
    pub use_candidate: bool,
    /// The client believes that it is the controlled side, which is always ours.
    pub controlled: bool,
}

impl<'a> Request<'a> {
    /// Reads a binding request with USERNAME, MESSAGE-INTEGRITY and FINGERPRINT, which ICE demands of every check.
    ///
    /// # Errors
    /// [`Malformed`] for anything else, among it responses and indications.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let header = bytes.first_chunk::<HEADER>().ok_or(Malformed)?;
        let length = usize::from(u16::from_be_bytes([header[2], header[3]]));
        let is_request = u16::from_be_bytes([header[0], header[1]]) == BINDING_REQUEST;
        if !is_request || header[4..8] != COOKIE || length % 4 != 0 || bytes.len() != HEADER + length {
            return Err(Malformed);
        }
        let mut username = None;
        let mut integrity_at = None;
        let mut fingerprint = false;
        let (mut use_candidate, mut controlled) = (false, false);
        let mut at = HEADER;
        while at < bytes.len() {
            let (kind, value, next) = attribute_at(bytes, at)?;
            match kind {
                // Only FINGERPRINT counts after MESSAGE-INTEGRITY (RFC 8489 section 14.5).
                attribute::FINGERPRINT => {
                    let sent: [u8; 4] = value.try_into().map_err(|_| Malformed)?;
                    if next != bytes.len() || u32::from_be_bytes(sent) != crc32(&bytes[..at]) ^ FINGERPRINT_XOR
                    {
                        return Err(Malformed);
                    }
                    fingerprint = true;
                }
                _ if integrity_at.is_some() => {}
                attribute::USERNAME => username = Some(value),
                attribute::USE_CANDIDATE => use_candidate = true,
                attribute::ICE_CONTROLLED => controlled = true,
                attribute::MESSAGE_INTEGRITY if value.len() == INTEGRITY => integrity_at = Some(at),
                _ => {}
            }
            at = next;
        }
        match (username, integrity_at, fingerprint) {
            (Some(username), Some(integrity_at), true) => {
                Ok(Self { bytes, integrity_at, username, use_candidate, controlled })
            }
            _ => Err(Malformed),
        }
    }

    /// The fragment before the colon of USERNAME: ours (RFC 8445 section 7.2.2).
    pub fn local_ufrag(&self) -> &'a [u8] {
        let end = self.username.iter().position(|byte| *byte == b':').unwrap_or(self.username.len());
        &self.username[..end]
    }

    /// What the answer repeats.
    pub fn transaction(&self) -> [u8; 12] {
        let mut id = [0; 12];
        id.copy_from_slice(&self.bytes[8..HEADER]);
        id
    }

    /// Whether the sender knows our password (RFC 8489 section 14.5, short-term credentials).
    pub fn is_signed_with(&self, key: &hmac::Key) -> bool {
        let mut header = [0; HEADER];
        header.copy_from_slice(&self.bytes[..HEADER]);
        // The length that was signed ends with MESSAGE-INTEGRITY, not with FINGERPRINT.
        let signed_length = u16::try_from(self.integrity_at + 4 + INTEGRITY - HEADER).unwrap_or(0);
        header[2..4].copy_from_slice(&signed_length.to_be_bytes());
        let mut context = hmac::Context::with_key(key);
        context.update(&header);
        context.update(&self.bytes[HEADER..self.integrity_at]);
        let value_at = self.integrity_at + 4;
        let sent = &self.bytes[value_at..value_at + INTEGRITY];
        constant_time::verify_slices_are_equal(context.sign().as_ref(), sent).is_ok()
    }
}

/// Type, value and the place of the next attribute.
fn attribute_at(bytes: &[u8], at: usize) -> Result<(u16, &[u8], usize), Malformed> {
    let head = bytes.get(at..at + 4).ok_or(Malformed)?;
    let length = usize::from(u16::from_be_bytes([head[2], head[3]]));
    let value = bytes.get(at + 4..at + 4 + length).ok_or(Malformed)?;
    Ok((u16::from_be_bytes([head[0], head[1]]), value, at + 4 + length.next_multiple_of(4)))
}
