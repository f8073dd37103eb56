//! Protection profiles and the keys that DTLS exports for them (RFC 5764 section 4.2, RFC 7714 section 12).

/// How packets are protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// `AEAD_AES_128_GCM`.
    Aes128Gcm,
    /// `AEAD_AES_256_GCM`.
    Aes256Gcm,
    /// `AES_CM_128_HMAC_SHA1_80`.
    Aes128CmSha1,
}

/// Which end of the DTLS association a key belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The end that sent the ClientHello.
    Client,
    /// The end that answered it.
    Server,
}

impl Profile {
    /// The registered name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Aes128Gcm => "AEAD_AES_128_GCM",
            Self::Aes256Gcm => "AEAD_AES_256_GCM",
            Self::Aes128CmSha1 => "AES_CM_128_HMAC_SHA1_80",
        }
    }

    pub(super) const fn key_length(self) -> usize {
        match self {
            Self::Aes128Gcm | Self::Aes128CmSha1 => 16,
            Self::Aes256Gcm => 32,
        }
    }

    pub(super) const fn salt_length(self) -> usize {
        match self {
            Self::Aes128Gcm | Self::Aes256Gcm => 12,
            Self::Aes128CmSha1 => 14,
        }
    }

    pub(super) const fn tag_length(self) -> usize {
        match self {
            Self::Aes128Gcm | Self::Aes256Gcm => 16,
            Self::Aes128CmSha1 => 10,
        }
    }

    /// Master key and master salt of `role` in exported `material`; `None` when the material is too short.
    pub(super) fn master(self, material: &[u8], role: Role) -> Option<(&[u8], &[u8])> {
        let (key, salt) = (self.key_length(), self.salt_length());
        let index = match role {
            Role::Client => 0,
            Role::Server => 1,
        };
        let key_at = index * key;
        let salt_at = 2 * key + index * salt;
        Some((material.get(key_at..key_at + key)?, material.get(salt_at..salt_at + salt)?))
    }
}
