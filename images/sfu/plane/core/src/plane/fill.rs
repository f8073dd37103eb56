//! Padding towards subscribers who could have more: an estimate cannot grow beyond what was really sent, so while a
//! client waits for a better layer than its link is known to carry, the link is filled up to the estimate, never
//! above it.

use std::net::SocketAddr;
use std::time::Duration;

use super::{Counters, Plane, TICK};
use crate::ids::{LegId, PeerId, TrackId};
use crate::outbox::Outbox;
use crate::peer::Peer;
use crate::rtp::{ExtensionWriter, Header};
use crate::time::Time;

/// The longest padding that RTP can say (RFC 3550 section 5.1).
const PADDING: usize = 255;
/// About what a padding packet takes with its headers.
const PACKET: u64 = 300;
/// Padding packets of one tick: 10 Mb/s, above every layer that a client could wish for next.
const PER_TICK: usize = 48;
/// Without media there is nothing that the client could report on, so it would never come back.
const PROBE: Duration = Duration::from_millis(100);

impl Plane {
    pub(super) fn tick_filling(&mut self, id: PeerId, now: Time, out: &mut impl Outbox) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        let estimate = peer.estimator.bits_per_second();
        let sent =
            peer.departures.bytes() - std::mem::replace(&mut peer.bytes_at_tick, peer.departures.bytes());
        if peer.wish <= estimate || peer.extensions.transport_sequence == 0 || peer.sender.is_none() {
            return;
        }
        // Retransmissions have a stream of their own, in which nobody looks for a frame.
        let is_repaired = |(track, leg): &(TrackId, LegId)| {
            self.tracks.get(track).and_then(|track| track.leg(*leg)).is_some_and(|leg| leg.spec.rtx.is_some())
        };
        let found = peer.legs.values().copied().find(is_repaired);
        let leg = found.and_then(|(track, leg)| self.tracks.get_mut(&track)?.leg_mut(leg));
        let (Some(leg), Some(to)) = (leg, peer.agent.selected()) else { return };
        let Some((ssrc, payload_type)) = leg.spec.rtx else { return };
        if !peer.estimator.is_informed(now) {
            if now < peer.probe_due {
                return;
            }
            peer.probe_due = now + PROBE;
            peer.room = PACKET;
        } else {
            peer.room += (u128::from(estimate) * TICK.as_nanos() / 8_000_000_000) as u64;
            peer.room = peer.room.saturating_sub(sent);
        }
        for _ in 0..PER_TICK {
            if peer.room < PACKET {
                break;
            }
            let padding = Padding { ssrc, payload_type, index: leg.next_repair(), mid: &leg.spec.mid };
            let length = padding.write(peer, to, now, &mut self.counters, out) as u64;
            peer.room = peer.room.saturating_sub(length);
        }
        // Room that could not be used is gone.
        peer.room = peer.room.min(PACKET);
        // What was sent here is not the media of the next tick.
        peer.bytes_at_tick = peer.departures.bytes();
    }
}

struct Padding<'a> {
    ssrc: u32,
    payload_type: u8,
    index: u64,
    mid: &'a [u8],
}

impl Padding<'_> {
    fn write(
        &self,
        peer: &mut Peer,
        to: SocketAddr,
        now: Time,
        counters: &mut Counters,
        out: &mut impl Outbox,
    ) -> usize {
        let Peer { sender: Some(sender), extensions: ids, departures, .. } = peer else { return 0 };
        let number = departures.next();
        let mut sealed = 0;
        out.put(to, |datagram| {
            Header::write(datagram, false, self.payload_type, self.index as u16, 0, self.ssrc);
            datagram[0] |= Header::PADDED;
            let mut writer = ExtensionWriter::new(datagram, Header::LENGTH, self.mid.len(), ids.highest());
            writer.put(ids.mid, self.mid);
            writer.put(ids.transport_sequence, &number.to_be_bytes());
            let header = writer.finish();
            let end = header + PADDING;
            datagram[header..end].fill(0);
            datagram[end - 1] = PADDING as u8;
            sealed = sender.seal(datagram, header, end, self.ssrc, self.index);
            sealed
        });
        departures.sent(now, sealed);
        counters.padding_out += 1;
        sealed
    }
}
