//! Session keys from a master key (RFC 3711 section 4.3, RFC 7714 section 11).

use aws_lc_rs::cipher::{AES_128, AES_256, EncryptingKey, EncryptionContext, UnboundCipherKey};
use aws_lc_rs::iv::FixedLength;

/// What a session key is for (RFC 3711 section 4.3.2).
#[derive(Clone, Copy)]
pub(super) enum Label {
    RtpEncryption = 0,
    RtpAuthentication = 1,
    RtpSalt = 2,
    RtcpEncryption = 3,
    RtcpAuthentication = 4,
    RtcpSalt = 5,
}

/// A counter-mode key, for `key` of 16 or 32 bytes.
pub(super) fn counter_key(key: &[u8]) -> EncryptingKey {
    let algorithm = if key.len() == 32 { &AES_256 } else { &AES_128 };
    UnboundCipherKey::new(algorithm, key)
        .and_then(EncryptingKey::ctr)
        .expect("profiles have keys of 16 or 32 bytes only")
}

/// XORs the key stream that starts at `counter` into `bytes`.
pub(super) fn apply_key_stream(key: &EncryptingKey, counter: [u8; 16], bytes: &mut [u8]) {
    key.less_safe_encrypt(bytes, EncryptionContext::Iv128(FixedLength::from(counter)))
        .expect("counter mode takes any length");
}

/// Fills `out` with the session key for `label`; the key derivation rate is zero.
pub(super) fn derive(master_key: &[u8], master_salt: &[u8], label: Label, out: &mut [u8]) {
    let mut counter = [0; 16];
    // A 96-bit salt stands left-aligned in the 112 bits (RFC 7714 section 11).
    counter[..master_salt.len()].copy_from_slice(master_salt);
    counter[7] ^= label as u8;
    out.fill(0);
    apply_key_stream(&counter_key(master_key), counter, out);
}
