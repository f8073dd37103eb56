//! Packets on their way to one peer.

use super::cipher::{Cipher, Stream};
use super::profile::{Profile, Role};

/// Seals what goes to one peer. The caller never gives the same SSRC and index twice: with GCM that would
/// lay the authentication key open.
pub struct Sender {
    rtp: Cipher,
    rtcp: Cipher,
    rtcp_index: u32,
    profile: Profile,
}

impl Sender {
    /// Keys of the end that `role` names, from exported keying material; `None` when the material is too short.
    pub fn new(profile: Profile, material: &[u8], role: Role) -> Option<Self> {
        let (key, salt) = profile.master(material, role)?;
        Some(Self {
            rtp: Cipher::derive(profile, key, salt, Stream::Rtp),
            rtcp: Cipher::derive(profile, key, salt, Stream::Rtcp),
            rtcp_index: 0,
            profile,
        })
    }

    /// Bytes that sealing adds to an RTP packet.
    pub fn overhead(&self) -> usize {
        self.profile.tag_length()
    }

    /// Seals `packet[..plain]`, whose header ends at `header`; returns the sealed length.
    /// `index` is the sequence number with the rollover counter above it.
    ///
    /// # Panics
    /// When `packet` has no room for [`Sender::overhead`] bytes behind `plain`.
    pub fn seal(&self, packet: &mut [u8], header: usize, plain: usize, ssrc: u32, index: u64) -> usize {
        self.rtp.seal_rtp(packet, header, plain, ssrc, index)
    }

    /// Seals the RTCP packet in `packet[..plain]` under the next SRTCP index; returns the sealed length, `None`
    /// when the indices of this key are used up (after 2^31 packets, RFC 3711 section 9.2).
    ///
    /// # Panics
    /// When `plain` is below 8 or `packet` has no room for [`super::MAX_OVERHEAD`] more bytes.
    pub fn seal_rtcp(&mut self, packet: &mut [u8], plain: usize) -> Option<usize> {
        if self.rtcp_index >> 31 != 0 {
            return None;
        }
        let ssrc = u32::from_be_bytes([packet[4], packet[5], packet[6], packet[7]]);
        let sealed = self.rtcp.seal_rtcp(packet, plain, ssrc, self.rtcp_index);
        self.rtcp_index += 1;
        Some(sealed)
    }
}
