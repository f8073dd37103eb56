//! The last packets of one encoding, kept once for all subscribers.

use super::descriptor::Descriptor;

/// What is kept of a packet beside its bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Packet {
    /// Sequence number that does not wrap.
    pub index: u64,
    /// As published.
    pub timestamp: u32,
    /// As published.
    pub marker: bool,
    /// RFC 6464, as published.
    pub audio_level: Option<u8>,
    /// What the payload says in the clear.
    pub descriptor: Descriptor,
}

/// A packet with its bytes.
#[derive(Clone, Copy, Debug)]
pub struct Stored<'a> {
    /// The header's part.
    pub packet: &'a Packet,
    /// The Dependency Descriptor, empty without one.
    pub dependency: &'a [u8],
    /// Sealed end to end.
    pub payload: &'a [u8],
}

#[derive(Clone, Copy, Default)]
struct Entry {
    packet: Packet,
    /// Where the bytes start, counted over all bytes ever written; `u64::MAX` before the slot's first use.
    position: u64,
    dependency: u16,
    payload: u16,
}

/// A ring of packets over a ring of bytes: memory is fixed, old packets are overwritten.
pub struct History {
    bytes: Box<[u8]>,
    written: u64,
    entries: Box<[Entry]>,
    newest: Option<u64>,
}

impl History {
    /// Keeps at most `packets` packets (a power of two) in `bytes` bytes.
    pub fn new(packets: usize, bytes: usize) -> Self {
        let empty = Entry { position: u64::MAX, ..Entry::default() };
        Self {
            bytes: vec![0; bytes].into(),
            written: 0,
            entries: vec![empty; packets.next_power_of_two()].into(),
            newest: None,
        }
    }

    /// The highest index kept so far.
    pub fn newest(&self) -> Option<u64> {
        self.newest
    }

    /// Keeps a packet; false when it was here before, is too old to tell, or does not fit at all.
    pub fn insert(&mut self, packet: Packet, dependency: &[u8], payload: &[u8]) -> bool {
        let length = dependency.len() + payload.len();
        let reach = self.entries.len() as u64;
        let too_old = self.newest.is_some_and(|newest| packet.index + reach <= newest);
        let slot = (packet.index % reach) as usize;
        let known = self.entries[slot].position != u64::MAX && self.entries[slot].packet.index == packet.index;
        let (Ok(dependency_length), Ok(payload_length)) =
            (dependency.len().try_into(), payload.len().try_into())
        else {
            return false;
        };
        if too_old || known || length > self.bytes.len() {
            return false;
        }
        let capacity = self.bytes.len() as u64;
        let until_end = capacity - self.written % capacity;
        // A packet is never split over the ring's end.
        let position = if until_end < length as u64 { self.written + until_end } else { self.written };
        let start = (position % capacity) as usize;
        self.bytes[start..start + dependency.len()].copy_from_slice(dependency);
        self.bytes[start + dependency.len()..start + length].copy_from_slice(payload);
        self.written = position + length as u64;
        self.entries[slot] = Entry { packet, position, dependency: dependency_length, payload: payload_length };
        self.newest = self.newest.max(Some(packet.index));
        true
    }

    /// The packet with `index`, while it is kept.
    pub fn get(&self, index: u64) -> Option<Stored<'_>> {
        let entry = &self.entries[(index % self.entries.len() as u64) as usize];
        let capacity = self.bytes.len() as u64;
        let is_kept = entry.position != u64::MAX
            && entry.packet.index == index
            && self.written - entry.position <= capacity;
        if !is_kept {
            return None;
        }
        let start = (entry.position % capacity) as usize;
        let middle = start + usize::from(entry.dependency);
        Some(Stored {
            packet: &entry.packet,
            dependency: &self.bytes[start..middle],
            payload: &self.bytes[middle..middle + usize::from(entry.payload)],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn packet(index: u64) -> Packet {
        Packet { index, ..Packet::default() }
    }

    #[test]
    fn a_packet_is_kept_once() {
        let mut history = History::new(8, 100);
        assert!(history.insert(packet(5), b"dd", b"five"));
        assert!(!history.insert(packet(5), b"", b"again"));
        let stored = history.get(5).unwrap();
        assert_eq!((stored.dependency, stored.payload), (&b"dd"[..], &b"five"[..]));
        assert!(history.insert(packet(13), b"", b"same slot"));
        assert!(history.get(5).is_none());
        assert!(!history.insert(packet(5), b"", b"too old"));
    }

    #[test]
    fn index_zero_is_a_packet_like_any_other() {
        let mut history = History::new(8, 100);
        assert!(history.get(0).is_none());
        assert!(history.insert(packet(0), b"", b"zero"));
        assert!(!history.insert(packet(0), b"", b"zero"));
    }

    proptest! {
        #[test]
        fn what_is_returned_is_what_was_kept(lengths in proptest::collection::vec((0_usize..60, 0_u64..4), 1..200)) {
            let mut history = History::new(16, 256);
            let mut index = 0;
            let mut kept = std::collections::BTreeMap::new();
            for (length, step) in lengths {
                index += step;
                let payload = vec![index as u8; length];
                if history.insert(packet(index), &[], &payload) {
                    kept.insert(index, payload);
                }
                for (index, payload) in &kept {
                    if let Some(stored) = history.get(*index) {
                        prop_assert_eq!(stored.payload, &payload[..]);
                    }
                }
                prop_assert!(history.get(index).is_some());
            }
        }
    }
}
