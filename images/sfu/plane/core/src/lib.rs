//! The packet plane of the CallCluster SFU: everything that happens per packet. It holds the keys of each hop and
//! never one of the media, which is encrypted end to end.
//!
//! [`plane::Plane`] is the whole of it without I/O: datagrams, orders and time in, datagrams and news out.

pub mod bandwidth;
pub mod command;
pub mod demux;
pub mod dtls;
pub mod feedback;
pub mod hold;
pub mod ice;
pub mod ids;
pub mod media;
pub mod net;
pub mod news;
pub mod outbox;
pub mod peer;
pub mod plane;
pub mod rtcp;
pub mod rtp;
pub mod srtp;
pub mod stun;
pub mod time;
pub mod worker;
