//! Transport-wide feedback to a publisher: when each of its packets arrived
//! (draft-holmer-rmcat-transport-wide-cc-extensions-01).

use rtc_rtcp::transport_feedbacks::transport_layer_cc::{
    PacketStatusChunk, RecvDelta, RunLengthChunk, StatusChunkTypeTcc, StatusVectorChunk, SymbolSizeTypeTcc,
    SymbolTypeTcc, TransportLayerCc,
};

use crate::rtp::unwrap;
use crate::time::Time;

/// The unit of the base time, in microseconds.
const REFERENCE: u64 = 64_000;
/// The unit of the differences, in microseconds.
const TICK: i64 = 250;
/// Packets in one feedback: keeps it inside one datagram even if every difference needs two bytes.
const MAX_STATUSES: u64 = 400;
/// Arrivals kept between two feedbacks; what is above was a burst that the next feedback reports as lost.
const MAX_PENDING: usize = 4096;
const RUN_LIMIT: usize = 0x1FFF;
const VECTOR: usize = 7;

/// The arrivals of one transport since the last feedback.
#[derive(Debug, Default)]
pub struct Arrivals {
    pending: Vec<(u64, Time)>,
    newest: Option<u64>,
    /// Where the next feedback starts.
    next: u64,
    count: u8,
}

impl Arrivals {
    /// Notes a packet by its transport-wide number and the kernel's arrival time.
    pub fn arrived(&mut self, number: u16, arrival: Time) {
        // The first number lies one cycle up, so that an older one that comes late has a place below it.
        let number = unwrap(self.newest.unwrap_or(u64::from(number) + 0x1_0000), number);
        if self.newest.is_none() {
            self.next = number;
        }
        self.newest = self.newest.max(Some(number));
        if self.pending.len() < MAX_PENDING {
            self.pending.push((number, arrival));
        }
    }

    /// The feedbacks that are due, none when nothing arrived. `media_ssrc` is any SSRC of the publisher.
    pub fn take(&mut self, sender_ssrc: u32, media_ssrc: u32) -> Vec<TransportLayerCc> {
        self.pending.sort_unstable();
        self.pending.dedup_by_key(|(number, _)| *number);
        let mut feedbacks = Vec::new();
        let mut rest = &self.pending[..];
        while let Some((lowest, _)) = rest.first() {
            // Gaps since the last feedback are reported, unless they are too wide or this one looks back.
            let base =
                if self.next <= *lowest && lowest - self.next < MAX_STATUSES { self.next } else { *lowest };
            let (feedback, taken) = feedback(base, rest, self.count);
            self.count = self.count.wrapping_add(1);
            self.next = self.next.max(rest[taken - 1].0 + 1);
            rest = &rest[taken..];
            feedbacks.push(TransportLayerCc { sender_ssrc, media_ssrc, ..feedback });
        }
        self.pending.clear();
        feedbacks
    }
}

/// One feedback from `base` on, and how many of `arrivals` it holds: at least one.
fn feedback(base: u64, arrivals: &[(u64, Time)], count: u8) -> (TransportLayerCc, usize) {
    let reference = arrivals[0].1.as_micros() / REFERENCE;
    let mut clock = (reference * REFERENCE).cast_signed();
    let mut symbols = Vec::new();
    let mut deltas = Vec::new();
    let mut taken = 0;
    for (number, arrival) in arrivals {
        if number - base >= MAX_STATUSES {
            break;
        }
        let ticks = (arrival.as_micros().cast_signed() - clock).div_euclid(TICK);
        let symbol = match ticks {
            0..=255 => SymbolTypeTcc::PacketReceivedSmallDelta,
            -32_768..=32_767 => SymbolTypeTcc::PacketReceivedLargeDelta,
            // The next feedback has a base time of its own.
            _ => break,
        };
        clock += ticks * TICK;
        symbols.resize((number - base) as usize, SymbolTypeTcc::PacketNotReceived);
        symbols.push(symbol);
        deltas.push(RecvDelta { type_tcc_packet: symbol, delta: ticks * TICK });
        taken += 1;
    }
    let feedback = TransportLayerCc {
        base_sequence_number: base as u16,
        packet_status_count: symbols.len() as u16,
        reference_time: (reference & 0xFF_FFFF) as u32,
        fb_pkt_count: count,
        packet_chunks: chunks(&symbols),
        recv_deltas: deltas,
        ..TransportLayerCc::default()
    };
    (feedback, taken)
}

fn chunks(mut symbols: &[SymbolTypeTcc]) -> Vec<PacketStatusChunk> {
    let mut chunks = Vec::new();
    while let Some(first) = symbols.first() {
        let run = symbols.iter().take(RUN_LIMIT).take_while(|symbol| *symbol == first).count();
        if run >= VECTOR || run == symbols.len() {
            chunks.push(PacketStatusChunk::RunLengthChunk(RunLengthChunk {
                type_tcc: StatusChunkTypeTcc::RunLengthChunk,
                packet_status_symbol: *first,
                run_length: run as u16,
            }));
            symbols = &symbols[run..];
        } else {
            let (vector, rest) = symbols.split_at(symbols.len().min(VECTOR));
            chunks.push(PacketStatusChunk::StatusVectorChunk(StatusVectorChunk {
                type_tcc: StatusChunkTypeTcc::StatusVectorChunk,
                symbol_size: SymbolSizeTypeTcc::TwoBit,
                symbol_list: vector.to_vec(),
            }));
            symbols = rest;
        }
    }
    chunks
}
