//! What is forwarded: packets as they were published, and how each subscriber gets to see them.

mod descriptor;
mod encoding;
mod history;
mod leg;
mod loudness;
mod rewrite;
mod track;

pub use descriptor::{Codec, Descriptor};
pub use encoding::{ClockPair, Encoding};
pub use history::{History, Packet, Stored};
pub use leg::{Leg, LegSpec};
pub use loudness::Loudness;
pub use rewrite::{Place, Rewriter, Shifts};
pub use track::{EncodingSpec, Fresh, Track, TrackSpec};
