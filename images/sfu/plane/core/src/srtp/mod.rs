//! SRTP and SRTCP (RFC 3711) with the transforms that WebRTC clients offer.

mod cipher;
mod derivation;
mod profile;
mod receiver;
mod sender;
mod window;

pub use profile::{Profile, Role};
pub use receiver::{Receiver, Rejected};
pub use sender::Sender;

/// The longest that a sealed packet is longer than its plain form: tag, and for SRTCP the index.
pub const MAX_OVERHEAD: usize = 20;

#[cfg(test)]
mod tests;
