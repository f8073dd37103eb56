//! Which SRTP profiles the SFU chose: str0m keeps that to itself, so its DTLS is watched for the moment of the keys.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use str0m::config::{CryptoProvider, DtlsCert, DtlsVersion};
use str0m::crypto::dtls::{DtlsImplError, DtlsInstance, DtlsOutput, DtlsProvider, ProtocolVersion};
use str0m::crypto::{CryptoError, from_feature_flags};

/// Transports by profile; of the whole process, for the library takes its providers from statics.
static CHOSEN: Mutex<BTreeMap<String, usize>> = Mutex::new(BTreeMap::new());
static WATCHED: Watched = Watched;

/// How many transports use which profile.
pub fn chosen() -> BTreeMap<String, usize> {
    CHOSEN.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

/// The library's own cryptography, watched.
pub fn provider() -> Arc<CryptoProvider> {
    let mut provider = from_feature_flags();
    provider.dtls_provider = &WATCHED;
    Arc::new(provider)
}

#[derive(Debug)]
struct Watched;

impl DtlsProvider for Watched {
    fn generate_certificate(&self) -> Option<DtlsCert> {
        from_feature_flags().dtls_provider.generate_certificate()
    }

    fn new_dtls(
        &self,
        certificate: &DtlsCert,
        now: Instant,
        version: DtlsVersion,
        mtu: Option<usize>,
    ) -> Result<Box<dyn DtlsInstance>, CryptoError> {
        let inner = from_feature_flags().dtls_provider.new_dtls(certificate, now, version, mtu)?;
        Ok(Box::new(WatchedInstance(inner)))
    }
}

#[derive(Debug)]
struct WatchedInstance(Box<dyn DtlsInstance>);

impl DtlsInstance for WatchedInstance {
    fn set_active(&mut self, active: bool) {
        self.0.set_active(active);
    }

    fn handle_packet(&mut self, packet: &[u8]) -> Result<(), DtlsImplError> {
        self.0.handle_packet(packet)
    }

    fn poll_output<'a>(&mut self, buffer: &'a mut [u8]) -> DtlsOutput<'a> {
        let output = self.0.poll_output(buffer);
        if let DtlsOutput::KeyingMaterial(_, profile) = &output {
            let mut chosen = CHOSEN.lock().unwrap_or_else(PoisonError::into_inner);
            *chosen.entry(format!("{profile:?}")).or_default() += 1;
        }
        output
    }

    fn handle_timeout(&mut self, now: Instant) -> Result<(), DtlsImplError> {
        self.0.handle_timeout(now)
    }

    fn send_application_data(&mut self, data: &[u8]) -> Result<usize, DtlsImplError> {
        self.0.send_application_data(data)
    }

    fn is_active(&self) -> bool {
        self.0.is_active()
    }

    fn protocol_version(&self) -> Option<ProtocolVersion> {
        self.0.protocol_version()
    }

    fn is_closing(&self) -> bool {
        self.0.is_closing()
    }

    fn is_closed(&self) -> bool {
        self.0.is_closed()
    }

    fn close(&mut self) -> Result<(), DtlsImplError> {
        self.0.close()
    }
}
