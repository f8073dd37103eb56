//! What is forwarded: packets as they were published, and how each subscriber gets to see them.

mod bitrate;
mod descriptor;
mod encoding;
mod history;
mod leg;
mod loudness;
mod pace;
mod rewrite;
mod track;

pub use bitrate::Bitrate;
pub use descriptor::{Codec, Descriptor};
pub use encoding::{ClockPair, Encoding};
pub use history::{History, Packet, Stored};
pub use leg::{Leg, LegSpec, Wish};
pub use loudness::Loudness;
pub use pace::Pace;
pub use rewrite::{Place, Rewriter, Shifts};
pub use track::{EncodingSpec, Fresh, Ladder, Track, TrackSpec};
