//! Transport-wide feedback from a subscriber: what became of each packet that was sent to it.

use rtc_rtcp::transport_feedbacks::transport_layer_cc::{PacketStatusChunk, SymbolTypeTcc, TransportLayerCc};

use crate::rtp::unwrap;
use crate::time::Time;

/// Packets on which feedback may still come: a second's worth for one subscriber.
pub const KEPT: u64 = 2048;

#[derive(Clone, Copy, Debug, Default)]
struct Sent {
    number: u64,
    at: Time,
    size: u32,
    is_reported: bool,
    was_missing: bool,
}

/// One packet's fate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Departure {
    /// The transport-wide number, unwrapped.
    pub number: u64,
    /// When the packet was sealed.
    pub sent: Time,
    /// Bytes of the datagram.
    pub size: u32,
    /// When it arrived, in microseconds of the subscriber's clock; `None` when it did not.
    pub arrived: Option<i64>,
    /// An earlier feedback said that it had not.
    pub was_missing: bool,
}

/// What was sent over one transport.
#[derive(Debug, Default)]
pub struct Departures {
    /// Empty until the first packet, for many peers only publish.
    ring: Vec<Sent>,
    next: u64,
    bytes: u64,
    /// The subscriber's base time, unwrapped, in units of 64 ms.
    reference: Option<i64>,
}

impl Departures {
    /// The number of the next packet.
    pub fn next(&self) -> u16 {
        self.next as u16
    }

    /// Notes that a packet with [`Departures::next`] went out.
    pub fn sent(&mut self, at: Time, size: usize) {
        if self.ring.is_empty() {
            self.ring.resize(KEPT as usize, Sent { is_reported: true, ..Sent::default() });
        }
        let slot = &mut self.ring[(self.next % KEPT) as usize];
        *slot = Sent { number: self.next, at, size: size as u32, ..Sent::default() };
        self.next += 1;
        self.bytes += size as u64;
    }

    /// Bytes sent since the start.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Reads a feedback; packets that were reported before, or are not known any more, are left out.
    pub fn feedback(&mut self, feedback: &TransportLayerCc) -> Vec<Departure> {
        if self.ring.is_empty() {
            return Vec::new();
        }
        let mut clock = self.base_time(feedback.reference_time);
        let base = unwrap(self.next, feedback.base_sequence_number);
        let mut deltas = feedback.recv_deltas.iter();
        let mut departures = Vec::new();
        let count = usize::from(feedback.packet_status_count);
        for (step, symbol) in symbols(&feedback.packet_chunks).take(count).enumerate() {
            let arrived = match symbol {
                SymbolTypeTcc::PacketReceivedSmallDelta | SymbolTypeTcc::PacketReceivedLargeDelta => {
                    let Some(delta) = deltas.next() else { break };
                    clock += delta.delta;
                    Some(clock)
                }
                SymbolTypeTcc::PacketNotReceived | SymbolTypeTcc::PacketReceivedWithoutDelta => None,
            };
            let number = base + step as u64;
            let sent = &mut self.ring[(number % KEPT) as usize];
            if sent.number != number || sent.is_reported {
                continue;
            }
            // A packet that is missing now may turn up in the next feedback.
            sent.is_reported = arrived.is_some();
            let was_missing = std::mem::replace(&mut sent.was_missing, arrived.is_none());
            departures.push(Departure { number, sent: sent.at, size: sent.size, arrived, was_missing });
        }
        departures
    }

    /// The base time in microseconds, from its low 24 bits.
    fn base_time(&mut self, low: u32) -> i64 {
        let reference = match self.reference {
            None => i64::from(low),
            Some(before) => {
                let step = (i64::from(low) - before) & 0xFF_FFFF;
                before + if step >= 0x80_0000 { step - 0x100_0000 } else { step }
            }
        };
        self.reference = Some(reference);
        reference * 64_000
    }
}

fn symbols(chunks: &[PacketStatusChunk]) -> impl Iterator<Item = SymbolTypeTcc> + '_ {
    chunks.iter().flat_map(|chunk| {
        let (run, list) = match chunk {
            PacketStatusChunk::RunLengthChunk(run) => (Some(run), &[][..]),
            PacketStatusChunk::StatusVectorChunk(vector) => (None, &vector.symbol_list[..]),
        };
        let run = run
            .into_iter()
            .flat_map(|run| std::iter::repeat_n(run.packet_status_symbol, usize::from(run.run_length)));
        run.chain(list.iter().copied())
    })
}

#[cfg(test)]
mod tests {
    use super::super::Arrivals;
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    proptest! {
        /// The two halves of the protocol agree, over the wire format, under loss and uneven delay.
        #[test]
        fn feedback_tells_the_fate_of_every_packet(
            fates in proptest::collection::vec((any::<bool>(), 0_u64..40_000, 0_u64..3_000), 1..900),
            start in 0_u64..70_000,
        ) {
            let mut departures = Departures { next: start, ..Departures::default() };
            let mut arrivals = Arrivals::default();
            let mut truth = BTreeMap::new();
            let mut clock = 5_000_000_u64;
            for (step, (lost, pause, delay)) in fates.into_iter().enumerate() {
                clock += pause * 1000;
                let number = departures.next();
                departures.sent(Time::from_nanos(clock), 1000 + step);
                // The feedback's base is the first packet that arrived: nothing is known of those before it.
                if !lost || step == 0 {
                    let arrival = clock + delay * 1000;
                    arrivals.arrived(number, Time::from_nanos(arrival));
                    truth.insert(start + step as u64, arrival / 1000);
                }
            }
            let mut reported = BTreeMap::new();
            for feedback in arrivals.take(1, 2) {
                let packets: [Box<dyn rtc_rtcp::packet::Packet>; 1] = [Box::new(feedback)];
                let bytes = rtc_rtcp::packet::marshal(&packets).unwrap();
                prop_assert!(bytes.len() <= 1100);
                let read = rtc_rtcp::packet::unmarshal(&mut &bytes[..]).unwrap();
                let read = read[0].as_any().downcast_ref::<TransportLayerCc>().unwrap();
                for departure in departures.feedback(read) {
                    if let Some(arrived) = departure.arrived {
                        reported.insert(departure.number, arrived);
                    }
                }
            }
            prop_assert_eq!(reported.keys().collect::<Vec<_>>(), truth.keys().collect::<Vec<_>>());
            for (number, arrived) in reported {
                let exact = truth[&number] as i64;
                prop_assert!((0..250).contains(&(exact - arrived)), "{number}: {exact} {arrived}");
            }
        }
    }

    #[test]
    fn a_packet_is_reported_once() {
        let mut departures = Departures::default();
        let mut arrivals = Arrivals::default();
        departures.sent(Time::ZERO, 10);
        arrivals.arrived(0, Time::from_millis(7));
        let feedback = arrivals.take(1, 2).remove(0);
        assert_eq!(departures.feedback(&feedback).len(), 1);
        assert_eq!(departures.feedback(&feedback), []);
        assert!(arrivals.take(1, 2).is_empty());
    }
}
