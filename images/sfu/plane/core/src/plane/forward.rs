//! Media to subscribers: placed, rewritten, sealed.

use std::net::SocketAddr;

use super::{Counters, Plane};
use crate::command::Event;
use crate::ids::{LegId, PeerId, TrackId};
use crate::media::{Fresh, Leg, Place, Stored, Track};
use crate::outbox::{MAX_DATAGRAM, Outbox};
use crate::peer::Peer;
use crate::rtp::{ExtensionWriter, Header};
use crate::srtp::MAX_OVERHEAD;
use crate::time::Time;

/// The number of the repaired packet in front of a retransmission (RFC 4588 section 4).
const ORIGINAL: usize = 2;

/// The longest Dependency Descriptor that is passed on: one with a full template structure is about 100 bytes.
const MAX_DEPENDENCY: usize = 200;
/// A payload above this has no room beside the longest header that the plane writes: fixed part, four short
/// extensions, a descriptor, the number of a repaired packet.
const MAX_PAYLOAD: usize = MAX_DATAGRAM - MAX_OVERHEAD - Header::LENGTH - 40 - MAX_DEPENDENCY - ORIGINAL;

/// The numbers that a packet leaves with.
struct Outgoing {
    ssrc: u32,
    payload_type: u8,
    index: u64,
    /// For retransmissions: the number of the packet that is sent again.
    original: Option<u16>,
}

impl Plane {
    /// Forwards what came since the last call: subscriber by subscriber, so that datagrams for one are neighbours.
    pub fn flush(&mut self, now: Time, out: &mut impl Outbox) {
        for id in &self.dirty {
            let Some(track) = self.tracks.get(id) else { continue };
            let due = (0..).zip(&track.legs);
            // Video first: one message can hold many datagrams of one size and then a shorter one.
            self.due.extend(due.map(|(at, leg)| (leg.spec.peer, !track.codec.is_video(), *id, at)));
        }
        if self.dirty.len() > 1 {
            self.due.sort_unstable();
        }
        let mut due = std::mem::take(&mut self.due);
        for (peer, _, track, at) in due.drain(..) {
            self.forward_fresh(peer, track, at, now, out);
        }
        self.due = due;
        for id in self.dirty.drain(..) {
            if let Some(track) = self.tracks.get_mut(&id) {
                track.fresh.clear();
            }
        }
    }

    /// Forwards what came of one track to the subscriber of the leg at a place in it.
    fn forward_fresh(&mut self, peer: PeerId, track: TrackId, at: usize, now: Time, out: &mut impl Outbox) {
        let Some(peer) = self.peers.get_mut(&peer) else { return };
        let Some(to) = peer.agent.selected().filter(|_| peer.sender.is_some()) else { return };
        let Some(Track { legs, encodings, fresh, .. }) = self.tracks.get_mut(&track) else { return };
        let leg = &mut legs[at];
        let before = leg.encoding();
        for Fresh { encoding, index } in fresh.iter().copied() {
            let history = encodings[usize::from(encoding)].history();
            let Some(stored) = history.and_then(|history| history.get(index)) else { continue };
            if stored.payload.is_empty() {
                leg.skip(encoding, index);
            } else if let Some(place) = leg.place(now, encoding, stored.packet, encodings) {
                forward(leg, peer, to, now, &place, &stored, &mut self.counters, out);
            }
        }
        match leg.encoding() {
            Some(encoding) if before != Some(encoding) => {
                self.events.push(Event::Switched { leg: leg.spec.id, encoding });
            }
            _ => {}
        }
    }

    /// Sends packets again that a subscriber asked for, as far as they are kept and its budget goes.
    pub(super) fn repair(
        track: &mut Track,
        leg: LegId,
        peer: &mut Peer,
        sequences: impl Iterator<Item = u16>,
        now: Time,
        counters: &mut Counters,
        out: &mut impl Outbox,
    ) {
        let Some(to) = peer.agent.selected() else { return };
        let Ok(at) = track.legs.binary_search_by_key(&leg, |leg| leg.spec.id) else { return };
        let leg = &mut track.legs[at];
        let Some((ssrc, payload_type)) = leg.spec.rtx else { return };
        for sequence in sequences {
            let Some(place) = leg.repair(now, sequence) else { continue };
            let history = track.encodings[usize::from(place.encoding)].history();
            let kept = history.and_then(|history| history.get(place.incoming));
            let Some(stored) = kept.filter(|stored| !stored.payload.is_empty()) else { continue };
            let index = leg.next_repair();
            let outgoing = Outgoing { ssrc, payload_type, index, original: Some(place.outgoing as u16) };
            write(leg, peer, to, now, &place, &stored, &outgoing, counters, out);
            counters.repairs_out += 1;
        }
    }
}

#[expect(clippy::too_many_arguments, reason = "the parts of a plane that one packet needs, borrowed apart")]
fn forward(
    leg: &mut Leg,
    peer: &mut Peer,
    to: SocketAddr,
    now: Time,
    place: &Place,
    stored: &Stored<'_>,
    counters: &mut Counters,
    out: &mut impl Outbox,
) {
    let outgoing = Outgoing {
        ssrc: leg.spec.ssrc,
        payload_type: leg.spec.payload_type,
        index: place.outgoing,
        original: None,
    };
    write(leg, peer, to, now, place, stored, &outgoing, counters, out);
    leg.sent(stored.payload.len());
}

#[expect(clippy::too_many_arguments, reason = "the parts of a plane that one packet needs, borrowed apart")]
fn write(
    leg: &Leg,
    peer: &mut Peer,
    to: SocketAddr,
    now: Time,
    place: &Place,
    stored: &Stored<'_>,
    outgoing: &Outgoing,
    counters: &mut Counters,
    out: &mut impl Outbox,
) {
    let Peer { sender: Some(sender), extensions: ids, departures, .. } = peer else { return };
    if stored.payload.len() > MAX_PAYLOAD || stored.dependency.len() > MAX_DEPENDENCY {
        return;
    }
    let number = departures.next();
    let mut sealed = 0;
    out.put(to, |datagram| {
        let packet = stored.packet;
        let timestamp = packet.timestamp.wrapping_add(place.shifts.timestamp);
        let sequence = outgoing.index as u16;
        Header::write(datagram, packet.marker, outgoing.payload_type, sequence, timestamp, outgoing.ssrc);
        let longest = stored.dependency.len().max(leg.spec.mid.len());
        let mut writer = ExtensionWriter::new(datagram, Header::LENGTH, longest, ids.highest());
        writer.put(ids.mid, &leg.spec.mid);
        writer.put(ids.transport_sequence, &number.to_be_bytes());
        if let Some(level) = packet.audio_level {
            writer.put(ids.audio_level, &[level]);
        }
        if let Some((fixed, rest)) = stored.dependency.split_first_chunk::<3>() {
            let frame = packet.descriptor.frame_number.wrapping_add(place.shifts.frame).to_be_bytes();
            writer.put_parts(ids.dependency, &[&[fixed[0], frame[0], frame[1]], rest]);
        }
        let header = writer.finish();
        let mut at = header;
        if let Some(original) = outgoing.original {
            datagram[at..at + ORIGINAL].copy_from_slice(&original.to_be_bytes());
            at += ORIGINAL;
        }
        let end = at + stored.payload.len();
        datagram[at..end].copy_from_slice(stored.payload);
        packet.descriptor.shift(&mut datagram[at..end], place.shifts.picture, place.shifts.base);
        sealed = sender.seal(datagram, header, end, outgoing.ssrc, outgoing.index);
        sealed
    });
    if ids.transport_sequence != 0 {
        departures.sent(now, sealed);
    }
    counters.media_out += 1;
    counters.bytes_out += sealed as u64;
}
