//! The DTLS server of one peer: a handshake that ends in SRTP keys, or in nothing.

use std::sync::Arc;
use std::time::Instant;

use aws_lc_rs::{constant_time, digest};
use dimpl::{Config, Dtls, DtlsCertificate, Output, SrtpProfile};

use crate::srtp::{Profile, Receiver, Role, Sender};

/// Fits every record at the MTU that `dimpl` cuts its flights to.
const RECORD: usize = 2048;

/// Who the plane is to its clients; made once, shared by all handshakes.
#[derive(Clone)]
pub struct Identity {
    config: Arc<Config>,
    certificate: DtlsCertificate,
}

/// The certificate, its key or the DTLS settings cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnusableIdentity(String);

impl std::fmt::Display for UnusableIdentity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the DTLS certificate cannot be used: {}", self.0)
    }
}

impl std::error::Error for UnusableIdentity {}

impl Identity {
    /// Takes a certificate and its ECDSA P-256 or P-384 key (PKCS#8), both DER.
    ///
    /// # Errors
    /// [`UnusableIdentity`] when the certificate is empty, the key is of another kind, or the DTLS library refuses
    /// its configuration.
    pub fn new(certificate: Vec<u8>, private_key: Vec<u8>) -> Result<Self, UnusableIdentity> {
        // ICE has proved the address before the first record, so the cookie would only cost a round trip.
        let config = Config::builder().use_server_cookie(false).build();
        let config = config.map_err(|error| UnusableIdentity(error.to_string()))?;
        // The library takes any bytes here and panics at the first handshake.
        let key = config.crypto_provider().key_provider.load_private_key(&private_key);
        if certificate.is_empty() || key.is_err() {
            return Err(UnusableIdentity(
                "give a certificate with an ECDSA P-256 or P-384 key, PKCS#8 DER".into(),
            ));
        }
        let certificate = DtlsCertificate { certificate, private_key };
        Ok(Self { config: Arc::new(config), certificate })
    }
}

/// What came of feeding the handshake.
#[derive(Default)]
pub struct Progress {
    /// Records to send, in order.
    pub records: Vec<Vec<u8>>,
    /// When to call [`Server::expire`] at the latest.
    pub deadline: Option<Instant>,
    /// The handshake is complete and the client's certificate is the announced one.
    pub keys: Option<Keys>,
    /// The association is over; say why in the plane's event.
    pub closed: Option<Closed>,
}

/// SRTP in both directions.
pub struct Keys {
    /// Seals what the client gets.
    pub sender: Sender,
    /// Opens what the client sends.
    pub receiver: Receiver,
    /// As negotiated.
    pub profile: Profile,
}

/// Why an association ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closed {
    /// The client said goodbye.
    ByPeer,
    /// The client's certificate is not the announced one.
    WrongFingerprint,
    /// The handshake failed or offered no SRTP profile of ours.
    Failed,
}

/// One association, always as server.
pub struct Server {
    dtls: Dtls,
    fingerprint: [u8; 32],
    max_streams: usize,
    proved: bool,
    keyed: bool,
    over: bool,
}

impl Server {
    /// Waits for a ClientHello of the client whose certificate has the SHA-256 `fingerprint`.
    pub fn new(identity: &Identity, fingerprint: [u8; 32], max_streams: usize, now: Instant) -> Self {
        let dtls = Dtls::new_auto(identity.config.clone(), identity.certificate.clone(), now);
        Self { dtls, fingerprint, max_streams, proved: false, keyed: false, over: false }
    }

    /// Takes one datagram.
    pub fn receive(&mut self, datagram: &[u8], now: Instant) -> Progress {
        let outcome = self.dtls.handle_timeout(now).and_then(|()| self.dtls.handle_packet(datagram));
        self.progress(outcome.is_err())
    }

    /// Resends what was not answered.
    pub fn expire(&mut self, now: Instant) -> Progress {
        let outcome = self.dtls.handle_timeout(now);
        self.progress(outcome.is_err())
    }

    /// Says goodbye.
    pub fn close(&mut self) -> Progress {
        let outcome = self.dtls.close();
        self.progress(outcome.is_err())
    }

    fn progress(&mut self, failed: bool) -> Progress {
        let mut progress = Progress::default();
        if self.over {
            return progress;
        }
        let mut connected = false;
        let mut buffer = [0; RECORD];
        loop {
            match self.dtls.poll_output(&mut buffer) {
                Output::Packet(record) => progress.records.push(record.to_vec()),
                Output::Timeout(at) => {
                    progress.deadline = Some(at);
                    break;
                }
                Output::PeerCert(certificate) => {
                    let sum = digest::digest(&digest::SHA256, certificate);
                    self.proved =
                        constant_time::verify_slices_are_equal(sum.as_ref(), &self.fingerprint).is_ok();
                    if !self.proved {
                        progress.closed = Some(Closed::WrongFingerprint);
                        break;
                    }
                }
                // Keys of somebody who is not the announced client are never made.
                Output::KeyingMaterial(material, profile) if self.proved => {
                    progress.keys = keys(&material, profile, self.max_streams);
                    self.keyed = progress.keys.is_some();
                }
                Output::Connected => connected = true,
                Output::CloseNotify => {
                    progress.closed = Some(Closed::ByPeer);
                    break;
                }
                Output::BufferTooSmall { .. } => {
                    progress.closed = Some(Closed::Failed);
                    break;
                }
                _ => {}
            }
        }
        if failed || (connected && !self.keyed) {
            progress.closed.get_or_insert(Closed::Failed);
        }
        self.over = progress.closed.is_some();
        progress
    }
}

fn keys(material: &[u8], profile: SrtpProfile, max_streams: usize) -> Option<Keys> {
    let profile = match profile {
        SrtpProfile::AEAD_AES_128_GCM => Profile::Aes128Gcm,
        SrtpProfile::AEAD_AES_256_GCM => Profile::Aes256Gcm,
        SrtpProfile::AES128_CM_SHA1_80 => Profile::Aes128CmSha1,
        _ => return None,
    };
    Some(Keys {
        sender: Sender::new(profile, material, Role::Server)?,
        receiver: Receiver::new(profile, material, Role::Client, max_streams)?,
        profile,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use dimpl::certificate::generate_self_signed_certificate;

    #[test]
    fn a_key_that_cannot_sign_is_refused_before_any_client_comes() {
        let good = generate_self_signed_certificate().unwrap();
        assert!(Identity::new(good.certificate.clone(), good.private_key.clone()).is_ok());
        for (certificate, key) in [(vec![], good.private_key), (good.certificate, b"no key".to_vec())] {
            let error = Identity::new(certificate, key).err().unwrap();
            assert!(error.to_string().contains("ECDSA"), "{error}");
        }
    }
}
