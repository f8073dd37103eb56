//! One session key with its transform: RFC 3711 section 4 and RFC 7714 sections 8 and 9.

use aws_lc_rs::aead::{AES_128_GCM, AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::cipher::EncryptingKey;
use aws_lc_rs::{constant_time, hmac};

use super::derivation::{Label, apply_key_stream, counter_key, derive};
use super::profile::Profile;

/// The flag before the SRTCP index: the packet is encrypted.
const ENCRYPTED: u32 = 1 << 31;
const RTCP_CLEAR: usize = 8;
const RTCP_TRAILER: usize = 4;
const GCM_TAG: usize = 16;
const SHA1_TAG: usize = 10;

/// Seals and opens packets of one direction and one protocol.
pub(super) enum Cipher {
    Gcm { key: LessSafeKey, salt: [u8; 12] },
    CounterSha1(Box<CounterSha1>),
}

/// Boxed, for it is much the larger of the two and the rarer.
pub(super) struct CounterSha1 {
    key: EncryptingKey,
    authentication: hmac::Key,
    salt: [u8; 14],
}

/// Which of the two protocols a cipher is derived for.
#[derive(Clone, Copy)]
pub(super) enum Stream {
    Rtp,
    Rtcp,
}

impl Cipher {
    /// Derives the session keys from a master key and salt.
    pub(super) fn derive(profile: Profile, master_key: &[u8], master_salt: &[u8], stream: Stream) -> Self {
        let (encryption, authentication, salting) = match stream {
            Stream::Rtp => (Label::RtpEncryption, Label::RtpAuthentication, Label::RtpSalt),
            Stream::Rtcp => (Label::RtcpEncryption, Label::RtcpAuthentication, Label::RtcpSalt),
        };
        let mut key = [0; 32];
        let key = &mut key[..profile.key_length()];
        derive(master_key, master_salt, encryption, key);
        let mut salt = [0; 14];
        derive(master_key, master_salt, salting, &mut salt[..profile.salt_length()]);
        match profile {
            Profile::Aes128Gcm | Profile::Aes256Gcm => Self::gcm(key, *salt.first_chunk().expect("14 >= 12")),
            Profile::Aes128CmSha1 => {
                let mut secret = [0; 20];
                derive(master_key, master_salt, authentication, &mut secret);
                Self::counter_sha1(key, &secret, salt)
            }
        }
    }

    pub(super) fn gcm(key: &[u8], salt: [u8; 12]) -> Self {
        let algorithm = if key.len() == 32 { &AES_256_GCM } else { &AES_128_GCM };
        let key = UnboundKey::new(algorithm, key).expect("profiles have keys of 16 or 32 bytes only");
        Self::Gcm { key: LessSafeKey::new(key), salt }
    }

    pub(super) fn counter_sha1(key: &[u8], authentication: &[u8], salt: [u8; 14]) -> Self {
        let authentication = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, authentication);
        Self::CounterSha1(Box::new(CounterSha1 { key: counter_key(key), authentication, salt }))
    }

    /// Seals `packet[header..plain]` in place and writes the tag behind it; returns the sealed length.
    /// `packet` has room for the tag.
    pub(super) fn seal_rtp(
        &self,
        packet: &mut [u8],
        header: usize,
        plain: usize,
        ssrc: u32,
        index: u64,
    ) -> usize {
        match self {
            Self::Gcm { key, salt } => {
                let (clear, rest) = packet.split_at_mut(header);
                let (payload, rest) = rest.split_at_mut(plain - header);
                let nonce = Nonce::assume_unique_for_key(rtp_nonce(salt, ssrc, index));
                let tag = key.seal_in_place_separate_tag(nonce, Aad::from(&*clear), payload);
                rest[..GCM_TAG].copy_from_slice(tag.expect("a packet is shorter than GCM's limit").as_ref());
                plain + GCM_TAG
            }
            Self::CounterSha1(session) => {
                let CounterSha1 { key, authentication, salt } = &**session;
                apply_key_stream(key, counter(salt, ssrc, index), &mut packet[header..plain]);
                let tag = rtp_tag(authentication, &packet[..plain], index);
                packet[plain..plain + SHA1_TAG].copy_from_slice(&tag.as_ref()[..SHA1_TAG]);
                plain + SHA1_TAG
            }
        }
    }

    /// Opens a sealed packet in place; returns the length without the tag, `None` when it is not authentic.
    pub(super) fn open_rtp(&self, packet: &mut [u8], header: usize, ssrc: u32, index: u64) -> Option<usize> {
        match self {
            Self::Gcm { key, salt } => {
                let plain = packet.len().checked_sub(GCM_TAG).filter(|plain| *plain >= header)?;
                let (clear, rest) = packet.split_at_mut(header);
                let nonce = Nonce::assume_unique_for_key(rtp_nonce(salt, ssrc, index));
                key.open_in_place(nonce, Aad::from(&*clear), rest).ok()?;
                Some(plain)
            }
            Self::CounterSha1(session) => {
                let CounterSha1 { key, authentication, salt } = &**session;
                let plain = packet.len().checked_sub(SHA1_TAG).filter(|plain| *plain >= header)?;
                let tag = rtp_tag(authentication, &packet[..plain], index);
                constant_time::verify_slices_are_equal(&tag.as_ref()[..SHA1_TAG], &packet[plain..]).ok()?;
                apply_key_stream(key, counter(salt, ssrc, index), &mut packet[header..plain]);
                Some(plain)
            }
        }
    }

    /// Seals the RTCP packet `packet[..plain]`; returns the sealed length. `packet` has room for tag and index.
    pub(super) fn seal_rtcp(&self, packet: &mut [u8], plain: usize, ssrc: u32, index: u32) -> usize {
        let trailer = (ENCRYPTED | index).to_be_bytes();
        match self {
            Self::Gcm { key, salt } => {
                let (clear, rest) = packet.split_at_mut(RTCP_CLEAR);
                let (payload, rest) = rest.split_at_mut(plain - RTCP_CLEAR);
                let nonce = Nonce::assume_unique_for_key(rtcp_nonce(salt, ssrc, index));
                let tag = key.seal_in_place_separate_tag(nonce, Aad::from(rtcp_aad(clear, trailer)), payload);
                rest[..GCM_TAG].copy_from_slice(tag.expect("a packet is shorter than GCM's limit").as_ref());
                rest[GCM_TAG..GCM_TAG + RTCP_TRAILER].copy_from_slice(&trailer);
                plain + GCM_TAG + RTCP_TRAILER
            }
            Self::CounterSha1(session) => {
                let CounterSha1 { key, authentication, salt } = &**session;
                apply_key_stream(key, counter(salt, ssrc, index.into()), &mut packet[RTCP_CLEAR..plain]);
                let tag_at = plain + RTCP_TRAILER;
                packet[plain..tag_at].copy_from_slice(&trailer);
                let tag = hmac::sign(authentication, &packet[..tag_at]);
                packet[tag_at..tag_at + SHA1_TAG].copy_from_slice(&tag.as_ref()[..SHA1_TAG]);
                tag_at + SHA1_TAG
            }
        }
    }

    /// The SRTCP index that `packet` claims; `None` when it is too short or not encrypted.
    pub(super) fn rtcp_index(&self, packet: &[u8]) -> Option<u32> {
        let behind = match self {
            Self::Gcm { .. } => 0,
            Self::CounterSha1(_) => SHA1_TAG,
        };
        let end = packet.len().checked_sub(behind)?;
        let trailer = u32::from_be_bytes(*packet.get(..end)?.last_chunk()?);
        (trailer & ENCRYPTED != 0).then_some(trailer & !ENCRYPTED)
    }

    /// Opens a sealed RTCP packet in place; returns the plain length, `None` when it is not authentic.
    pub(super) fn open_rtcp(&self, packet: &mut [u8], ssrc: u32, index: u32) -> Option<usize> {
        match self {
            Self::Gcm { key, salt } => {
                let sealed = packet.len().checked_sub(RTCP_TRAILER)?;
                let plain = sealed.checked_sub(GCM_TAG).filter(|plain| *plain >= RTCP_CLEAR)?;
                let aad = rtcp_aad(&packet[..RTCP_CLEAR], (ENCRYPTED | index).to_be_bytes());
                let nonce = Nonce::assume_unique_for_key(rtcp_nonce(salt, ssrc, index));
                key.open_in_place(nonce, Aad::from(aad), &mut packet[RTCP_CLEAR..sealed]).ok()?;
                Some(plain)
            }
            Self::CounterSha1(session) => {
                let CounterSha1 { key, authentication, salt } = &**session;
                let tag_at = packet.len().checked_sub(SHA1_TAG)?;
                let plain = tag_at.checked_sub(RTCP_TRAILER).filter(|plain| *plain >= RTCP_CLEAR)?;
                let tag = hmac::sign(authentication, &packet[..tag_at]);
                constant_time::verify_slices_are_equal(&tag.as_ref()[..SHA1_TAG], &packet[tag_at..]).ok()?;
                apply_key_stream(key, counter(salt, ssrc, index.into()), &mut packet[RTCP_CLEAR..plain]);
                Some(plain)
            }
        }
    }
}

/// RFC 7714 section 8.1: `index` is rollover counter and sequence number, 48 bits.
fn rtp_nonce(salt: &[u8; 12], ssrc: u32, index: u64) -> [u8; 12] {
    let mut nonce = [0; 12];
    nonce[2..6].copy_from_slice(&ssrc.to_be_bytes());
    nonce[6..].copy_from_slice(&index.to_be_bytes()[2..]);
    xor(nonce, salt)
}

/// RFC 7714 section 9.1.
fn rtcp_nonce(salt: &[u8; 12], ssrc: u32, index: u32) -> [u8; 12] {
    let mut nonce = [0; 12];
    nonce[2..6].copy_from_slice(&ssrc.to_be_bytes());
    nonce[8..].copy_from_slice(&index.to_be_bytes());
    xor(nonce, salt)
}

fn xor(mut nonce: [u8; 12], salt: &[u8; 12]) -> [u8; 12] {
    nonce.iter_mut().zip(salt).for_each(|(byte, salt)| *byte ^= salt);
    nonce
}

/// RFC 7714 section 9.2.
fn rtcp_aad(clear: &[u8], trailer: [u8; 4]) -> [u8; 12] {
    let mut aad = [0; 12];
    aad[..RTCP_CLEAR].copy_from_slice(&clear[..RTCP_CLEAR]);
    aad[RTCP_CLEAR..].copy_from_slice(&trailer);
    aad
}

/// RFC 3711 section 4.1.1.
fn counter(salt: &[u8; 14], ssrc: u32, index: u64) -> [u8; 16] {
    let mut counter = [0; 16];
    counter[4..8].copy_from_slice(&ssrc.to_be_bytes());
    counter[8..14].copy_from_slice(&index.to_be_bytes()[2..]);
    counter.iter_mut().zip(salt).for_each(|(byte, salt)| *byte ^= salt);
    counter
}

/// RFC 3711 section 4.2: the rollover counter is signed behind the packet.
fn rtp_tag(authentication: &hmac::Key, packet: &[u8], index: u64) -> hmac::Tag {
    let mut context = hmac::Context::with_key(authentication);
    context.update(packet);
    context.update(&index.to_be_bytes()[2..6]);
    context.sign()
}
