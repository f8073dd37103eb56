//! Answers to binding requests.

use std::net::SocketAddr;

use aws_lc_rs::hmac;

use super::{COOKIE, FINGERPRINT_XOR, HEADER, INTEGRITY, attribute, crc32};

const BINDING_SUCCESS: u16 = 0x0101;
const BINDING_ERROR: u16 = 0x0111;

/// Tells the client that its check arrived, and from where; signed with our password.
pub fn success(transaction: [u8; 12], from: SocketAddr, key: &hmac::Key) -> Vec<u8> {
    let mut message = Message::new(BINDING_SUCCESS, transaction);
    message.attribute(attribute::XOR_MAPPED_ADDRESS, &xor_mapped(from, transaction));
    message.finish(key)
}

/// Tells the client to take the controlling role (RFC 8445 section 7.3.1.1), for a lite agent never does.
pub fn role_conflict(transaction: [u8; 12], key: &hmac::Key) -> Vec<u8> {
    let mut message = Message::new(BINDING_ERROR, transaction);
    message.attribute(attribute::ERROR_CODE, b"\0\0\x04\x57Role Conflict");
    message.finish(key)
}

/// A binding request as a client would send it.
#[cfg(test)]
pub fn request(transaction: [u8; 12], attributes: &[(u16, Vec<u8>)], password: &[u8]) -> Vec<u8> {
    let mut message = Message::new(1, transaction);
    attributes.iter().for_each(|(kind, value)| message.attribute(*kind, value));
    message.finish(&hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, password))
}

struct Message(Vec<u8>);

impl Message {
    fn new(kind: u16, transaction: [u8; 12]) -> Self {
        let mut bytes = Vec::with_capacity(96);
        bytes.extend_from_slice(&kind.to_be_bytes());
        bytes.extend_from_slice(&[0, 0]);
        bytes.extend_from_slice(&COOKIE);
        bytes.extend_from_slice(&transaction);
        Self(bytes)
    }

    fn attribute(&mut self, kind: u16, value: &[u8]) {
        let length = u16::try_from(value.len()).unwrap_or(u16::MAX);
        self.0.extend_from_slice(&kind.to_be_bytes());
        self.0.extend_from_slice(&length.to_be_bytes());
        self.0.extend_from_slice(value);
        self.0.resize(self.0.len().next_multiple_of(4), 0);
    }

    /// Sets the header's length as if `more` bytes were already there, as both closing attributes want it.
    fn set_length(&mut self, more: usize) {
        let length = u16::try_from(self.0.len() + more - HEADER).unwrap_or(u16::MAX);
        self.0[2..4].copy_from_slice(&length.to_be_bytes());
    }

    fn finish(mut self, key: &hmac::Key) -> Vec<u8> {
        self.set_length(4 + INTEGRITY);
        let tag = hmac::sign(key, &self.0);
        self.attribute(attribute::MESSAGE_INTEGRITY, tag.as_ref());
        self.set_length(8);
        let fingerprint = crc32(&self.0) ^ FINGERPRINT_XOR;
        self.attribute(attribute::FINGERPRINT, &fingerprint.to_be_bytes());
        self.0
    }
}

/// RFC 8489 section 14.2.
fn xor_mapped(address: SocketAddr, transaction: [u8; 12]) -> Vec<u8> {
    let mut mask = [0; 16];
    mask[..4].copy_from_slice(&COOKIE);
    mask[4..].copy_from_slice(&transaction);
    let port = address.port() ^ u16::from_be_bytes([COOKIE[0], COOKIE[1]]);
    let (family, octets) = match address {
        SocketAddr::V4(v4) => (1, v4.ip().octets().to_vec()),
        SocketAddr::V6(v6) => (2, v6.ip().octets().to_vec()),
    };
    let mut value = vec![0, family];
    value.extend_from_slice(&port.to_be_bytes());
    value.extend(octets.iter().zip(mask).map(|(octet, mask)| octet ^ mask));
    value
}
