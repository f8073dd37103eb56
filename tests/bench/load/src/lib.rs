//! Clients of an SFU, many in one thread, for measurements. The driver makes the session descriptions; this side has
//! the transports, the media and the counts.

pub mod ciphers;
pub mod client;
pub mod generator;
pub mod payload;
pub mod request;
pub mod schedule;
pub mod tally;
