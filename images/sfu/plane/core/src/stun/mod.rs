//! STUN as an ICE-lite agent needs it (RFC 8489, RFC 8445 section 7.3).

mod message;
mod response;

pub use message::{Malformed, Request};
#[cfg(test)]
pub use response::request;
pub use response::{role_conflict, success};

/// "Magic cookie" of RFC 8489 section 5.
const COOKIE: [u8; 4] = [0x21, 0x12, 0xA4, 0x42];
const HEADER: usize = 20;
const INTEGRITY: usize = 20;
const FINGERPRINT_XOR: u32 = 0x5354_554E;

mod attribute {
    pub const USERNAME: u16 = 0x0006;
    pub const MESSAGE_INTEGRITY: u16 = 0x0008;
    pub const ERROR_CODE: u16 = 0x0009;
    pub const XOR_MAPPED_ADDRESS: u16 = 0x0020;
    pub const USE_CANDIDATE: u16 = 0x0025;
    pub const FINGERPRINT: u16 = 0x8028;
    pub const ICE_CONTROLLED: u16 = 0x8029;
}

/// CRC-32 of ISO 3309, as FINGERPRINT wants it; bit by bit, for a message is short and rare.
fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0xEDB8_8320 & (crc & 1).wrapping_neg());
        }
    }
    !crc
}

#[cfg(test)]
mod tests;
