//! RTP (RFC 3550) with header extensions (RFC 8285).

mod extension;
mod header;
mod sequence;

pub use extension::{ExtensionIds, ExtensionWriter, Extensions};
pub use header::Header;
pub use sequence::unwrap;

#[cfg(test)]
mod tests;
