//! Packets that come from one peer.

use rustc_hash::FxHashMap;

use super::cipher::{Cipher, Stream};
use super::profile::{Profile, Role};
use super::window::Window;
use crate::rtp::unwrap;

/// Why a packet was not opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rejected {
    /// Not sealed with the peer's key, or not sealed at all.
    NotAuthentic,
    /// Seen before, or too old to tell.
    Replayed,
    /// The peer uses more SSRCs than it may.
    TooManyStreams,
}

/// Opens what one peer sent: authenticity first, then the replay window, per SSRC.
pub struct Receiver {
    rtp: Cipher,
    rtcp: Cipher,
    rtp_windows: FxHashMap<u32, Window>,
    rtcp_windows: FxHashMap<u32, Window>,
    max_streams: usize,
}

impl Receiver {
    /// Keys of the end that `role` names, from exported keying material; `None` when the material is too short.
    /// At most `max_streams` SSRCs are followed per protocol.
    pub fn new(profile: Profile, material: &[u8], role: Role, max_streams: usize) -> Option<Self> {
        let (key, salt) = profile.master(material, role)?;
        Some(Self {
            rtp: Cipher::derive(profile, key, salt, Stream::Rtp),
            rtcp: Cipher::derive(profile, key, salt, Stream::Rtcp),
            rtp_windows: FxHashMap::default(),
            rtcp_windows: FxHashMap::default(),
            max_streams,
        })
    }

    /// Opens an RTP packet in place, whose header ends at `header`; returns its plain length and its index, the
    /// sequence number with the rollover counter above it.
    ///
    /// # Errors
    /// See [`Rejected`]. The bytes of a rejected packet mean nothing.
    pub fn open(
        &mut self,
        packet: &mut [u8],
        header: usize,
        ssrc: u32,
        sequence: u16,
    ) -> Result<(usize, u64), Rejected> {
        if let Some(window) = self.rtp_windows.get_mut(&ssrc) {
            let index = nearest_index(window.highest(), sequence);
            if !window.is_fresh(index) {
                return Err(Rejected::Replayed);
            }
            let plain = self.rtp.open_rtp(packet, header, ssrc, index).ok_or(Rejected::NotAuthentic)?;
            window.mark(index);
            return Ok((plain, index));
        }
        if self.rtp_windows.len() >= self.max_streams {
            return Err(Rejected::TooManyStreams);
        }
        let index = nearest_index(None, sequence);
        let plain = self.rtp.open_rtp(packet, header, ssrc, index).ok_or(Rejected::NotAuthentic)?;
        self.rtp_windows.entry(ssrc).or_insert(Window::new()).mark(index);
        Ok((plain, index))
    }

    /// Opens an RTCP packet in place; returns its plain length.
    ///
    /// # Errors
    /// See [`Rejected`]. The bytes of a rejected packet mean nothing.
    pub fn open_rtcp(&mut self, packet: &mut [u8]) -> Result<usize, Rejected> {
        let ssrc = packet.get(4..8).and_then(<[u8]>::first_chunk).ok_or(Rejected::NotAuthentic)?;
        let ssrc = u32::from_be_bytes(*ssrc);
        let index = self.rtcp.rtcp_index(packet).ok_or(Rejected::NotAuthentic)?;
        let window = self.rtcp_windows.get(&ssrc);
        if window.is_some_and(|window| !window.is_fresh(index.into())) {
            return Err(Rejected::Replayed);
        }
        if window.is_none() && self.rtcp_windows.len() >= self.max_streams {
            return Err(Rejected::TooManyStreams);
        }
        let plain = self.rtcp.open_rtcp(packet, ssrc, index).ok_or(Rejected::NotAuthentic)?;
        self.rtcp_windows.entry(ssrc).or_insert(Window::new()).mark(index.into());
        Ok(plain)
    }
}

/// RFC 3711 section 3.3.1 and appendix A: the index nearest to the highest one seen. Below the very first packet
/// there is no earlier rollover: such a packet reads as one far ahead and fails.
fn nearest_index(highest: Option<u64>, sequence: u16) -> u64 {
    highest.map_or(sequence.into(), |highest| unwrap(highest, sequence))
}
