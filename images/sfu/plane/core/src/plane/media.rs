//! Media from publishers: opened, routed, kept.

use std::net::SocketAddr;

use rustc_hash::FxHashMap;

use super::Plane;
use crate::command::Event;
use crate::ids::TrackId;
use crate::media::{Descriptor, Fresh, Packet, Track};
use crate::outbox::Outbox;
use crate::peer::{Peer, Route};
use crate::rtp::{Extensions, Header};
use crate::time::Time;

impl Plane {
    pub(super) fn receive_media(
        &mut self,
        now: Time,
        arrival: Time,
        from: SocketAddr,
        datagram: &mut [u8],
        out: &mut impl Outbox,
    ) {
        let Some(peer) = self.addresses.get(&from).and_then(|id| self.peers.get_mut(id)) else {
            self.counters.strangers += 1;
            return;
        };
        let Some(taken) = take(peer, &mut self.tracks, now, arrival, datagram) else {
            self.counters.rejected += 1;
            return;
        };
        self.counters.media_in += 1;
        if let Some(live) = taken.live {
            self.events.push(live);
        }
        let Some((id, fresh)) = taken.fresh else { return };
        let Some(track) = self.tracks.get_mut(&id) else { return };
        if track.fresh.is_empty() {
            self.dirty.push(id);
        }
        track.fresh.push(fresh);
        if track.is_full() {
            self.flush(now, out);
        }
    }
}

/// What an authentic packet came to.
#[derive(Default)]
struct Taken {
    fresh: Option<(TrackId, Fresh)>,
    live: Option<Event>,
}

/// Opens a packet and keeps it; `None` when it is not authentic or makes no sense.
fn take(
    peer: &mut Peer,
    tracks: &mut FxHashMap<TrackId, Track>,
    now: Time,
    arrival: Time,
    datagram: &mut [u8],
) -> Option<Taken> {
    let header = Header::parse(datagram)?;
    let receiver = peer.receiver.as_mut()?;
    let (plain, index) = receiver.open(datagram, header.end, header.ssrc, header.sequence).ok()?;
    let packet = &datagram[..plain];
    let extensions = Extensions::parse(packet, &header, &peer.extensions);
    if let Some(number) = extensions.transport_sequence {
        peer.arrivals.arrived(number, arrival);
    }
    let payload = &packet[header.end..header.payload_end(packet)?];
    let route = match peer.routes.get(&header.ssrc) {
        Some(route) => *route,
        None => match learn(peer, tracks, &header, &extensions) {
            Some(route) => route,
            // A probe that names no m-line: authentic, measured, and of no further use.
            None => return Some(Taken::default()),
        },
    };
    let track = tracks.get_mut(&route.track)?;
    let encoding = &mut track.encodings[usize::from(route.encoding)];
    let (index, payload) = if route.is_repair {
        // Padding on the repair stream only probes the bandwidth.
        let Some((original, payload)) = payload.split_first_chunk().filter(|(_, rest)| !rest.is_empty()) else {
            return Some(Taken::default());
        };
        let Some(index) = encoding.repaired(u16::from_be_bytes(*original)) else {
            return Some(Taken::default());
        };
        (index, payload)
    } else {
        let index = encoding.index(index);
        encoding.reception.arrived(index, header.timestamp, arrival, track.codec.clock_rate());
        if header.payload_type != track.payload_type {
            return Some(Taken::default());
        }
        (index, payload)
    };
    let descriptor = match payload {
        [] => Descriptor::default(),
        payload => Descriptor::parse(track.codec, payload, extensions.dependency)?,
    };
    let packet = Packet {
        index,
        timestamp: header.timestamp,
        marker: header.marker,
        audio_level: extensions.audio_level,
        descriptor,
    };
    let was_live = encoding.is_live(now);
    if !encoding.store(now, packet, extensions.dependency.unwrap_or_default(), payload) {
        return Some(Taken::default());
    }
    if let Some(level) = extensions.audio_level {
        track.loudness.arrived(level);
    }
    let live = Event::EncodingLive { track: route.track, encoding: route.encoding };
    Some(Taken {
        fresh: Some((route.track, Fresh { encoding: route.encoding, index })),
        live: (!was_live).then_some(live),
    })
}

/// Finds out what an SSRC carries that no session description named (RFC 8843 section 9.2, RFC 8852).
fn learn(
    peer: &mut Peer,
    tracks: &mut FxHashMap<TrackId, Track>,
    header: &Header,
    extensions: &Extensions<'_>,
) -> Option<Route> {
    let mid = extensions.mid?;
    let id = *peer.tracks.iter().find(|id| tracks.get(id).is_some_and(|track| track.mid == mid))?;
    let track = tracks.get_mut(&id)?;
    let is_repair = Some(header.payload_type) == track.rtx_payload_type;
    if !is_repair && header.payload_type != track.payload_type {
        return None;
    }
    let rid = if is_repair { extensions.repaired_rid } else { extensions.rid };
    let encoding = track.encoding_named(rid)?;
    let state = &mut track.encodings[usize::from(encoding)];
    let before = if is_repair { state.rtx_ssrc.replace(header.ssrc) } else { state.ssrc };
    if let Some(before) = before {
        peer.routes.remove(&before);
    }
    if !is_repair {
        state.rebind(header.ssrc);
        track.legs.iter_mut().for_each(|leg| leg.restart(encoding));
        if track.codec.is_video() && !track.legs.is_empty() {
            state.requests.want();
        }
    }
    let route = Route { track: id, encoding, is_repair };
    peer.routes.insert(header.ssrc, route);
    Some(route)
}
