//! What a datagram is, by its first bytes (RFC 7983, RFC 5761).

/// The protocols that share the one port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// RFC 8489.
    Stun,
    /// RFC 9147, RFC 6347.
    Dtls,
    /// RFC 3711, media.
    Srtp,
    /// RFC 3711, control.
    Srtcp,
}

impl Protocol {
    /// The protocol of `datagram`; `None` for what no peer of ours sends.
    pub fn of(datagram: &[u8]) -> Option<Self> {
        match (*datagram.first()?, *datagram.get(1)?) {
            (0..=3, _) => Some(Self::Stun),
            (20..=63, _) => Some(Self::Dtls),
            (128..=191, 192..=223) => Some(Self::Srtcp),
            (128..=191, _) => Some(Self::Srtp),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_bytes_tell_the_protocols_apart() {
        let of = |first, second| Protocol::of(&[first, second]);
        assert_eq!(of(0, 1), Some(Protocol::Stun));
        assert_eq!(of(22, 254), Some(Protocol::Dtls));
        assert_eq!(of(128, 96), Some(Protocol::Srtp));
        assert_eq!(of(144, 111 | 0x80), Some(Protocol::Srtp));
        assert_eq!(of(129, 201), Some(Protocol::Srtcp));
    }

    #[test]
    fn what_belongs_to_no_protocol_is_nothing() {
        assert_eq!(Protocol::of(&[]), None);
        assert_eq!(Protocol::of(&[128]), None);
        for first in [4, 19, 64, 79, 127, 192, 255] {
            assert_eq!(Protocol::of(&[first, 0]), None, "{first}");
        }
    }
}
