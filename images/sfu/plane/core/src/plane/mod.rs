//! The plane without I/O: datagrams, orders and time in; datagrams and news out.

mod control;
mod fill;
mod forward;
mod layers;
mod media;
mod orders;
mod tick;

pub use tick::TICK;

use std::net::SocketAddr;

use rustc_hash::{FxHashMap, FxHashSet};

use crate::command::{Event, Parting};
use crate::demux::Protocol;
use crate::dtls::{Identity, Progress};
use crate::ice::Credentials;
use crate::ids::{LegId, PeerId, TrackId};
use crate::media::Track;
use crate::outbox::Outbox;
use crate::peer::Peer;
use crate::stun::{Request, success};
use crate::time::{Origin, Time};

/// What the plane is started with.
pub struct Config {
    /// The certificate that session descriptions announce.
    pub identity: Identity,
    /// Under these, checks are answered without any peer: the pod's own health check.
    pub health: Option<Credentials>,
    /// Orders to add more peers are refused.
    pub max_peers: usize,
}

/// Counts since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Media packets that were authentic.
    pub media_in: u64,
    /// Media packets sent, retransmissions among them.
    pub media_out: u64,
    /// Media bytes sent, as datagrams.
    pub bytes_out: u64,
    /// Packets sent again.
    pub repairs_out: u64,
    /// Padding packets sent.
    pub padding_out: u64,
    /// Datagrams from nobody we know, or of no protocol of ours.
    pub strangers: u64,
    /// Packets that were not authentic, were seen before, or made no sense.
    pub rejected: u64,
    /// Requests for key frames sent to publishers.
    pub key_frame_requests: u64,
}

/// All rooms of one pod.
pub struct Plane {
    config: Config,
    origin: Origin,
    peers: FxHashMap<PeerId, Peer>,
    tracks: FxHashMap<TrackId, Track>,
    legs: FxHashMap<LegId, TrackId>,
    /// User fragments come from the network unproved, so this map has the standard, keyed hash.
    ufrags: std::collections::HashMap<Vec<u8>, PeerId>,
    addresses: FxHashMap<SocketAddr, PeerId>,
    /// Tracks with packets for the next flush.
    dirty: Vec<TrackId>,
    /// The next flush's work: subscriber, whether it is audio, track, place of the leg in the track. Empty between
    /// flushes.
    due: Vec<(PeerId, bool, TrackId, usize)>,
    /// Subscribers whose legs were ordered since the last [`Plane::settle`].
    unsettled: FxHashSet<PeerId>,
    events: Vec<Event>,
    counters: Counters,
}

impl Plane {
    /// An empty plane whose [`Time`] is counted from `origin`.
    pub fn new(config: Config, origin: Origin) -> Self {
        Self {
            config,
            origin,
            peers: FxHashMap::default(),
            tracks: FxHashMap::default(),
            legs: FxHashMap::default(),
            ufrags: std::collections::HashMap::new(),
            addresses: FxHashMap::default(),
            dirty: Vec::new(),
            due: Vec::new(),
            unsettled: FxHashSet::default(),
            events: Vec::new(),
            counters: Counters::default(),
        }
    }

    /// Takes one datagram, which is opened in place. Media waits for [`Plane::flush`], to be called once per batch.
    /// `arrival` is the kernel's stamp, `now` the time of the call.
    pub fn receive(
        &mut self,
        now: Time,
        arrival: Time,
        from: SocketAddr,
        datagram: &mut [u8],
        out: &mut impl Outbox,
    ) {
        match Protocol::of(datagram) {
            Some(Protocol::Srtp) => self.receive_media(now, arrival, from, datagram, out),
            Some(Protocol::Srtcp) => self.receive_control(now, arrival, from, datagram, out),
            Some(Protocol::Stun) => self.receive_check(now, from, datagram, out),
            Some(Protocol::Dtls) => self.receive_record(now, from, datagram, out),
            None => self.counters.strangers += 1,
        }
    }

    /// The news since the last call.
    pub fn events(&mut self) -> std::vec::Drain<'_, Event> {
        self.events.drain(..)
    }

    /// Counts since the start.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// How many peers there are.
    pub fn peers(&self) -> usize {
        self.peers.len()
    }

    fn receive_check(&mut self, now: Time, from: SocketAddr, datagram: &[u8], out: &mut impl Outbox) {
        let Ok(request) = Request::parse(datagram) else {
            self.counters.strangers += 1;
            return;
        };
        let ufrag = request.local_ufrag();
        let health = self.config.health.as_ref().filter(|health| health.ufrag() == ufrag);
        if let Some(health) = health.filter(|health| request.is_signed_with(health.key())) {
            send(out, from, &success(request.transaction(), from, health.key()));
            return;
        }
        let id = self.ufrags.get(ufrag).copied();
        let Some((id, peer)) = id.and_then(|id| Some((id, self.peers.get_mut(&id)?))) else {
            self.counters.strangers += 1;
            return;
        };
        // A check by another peer's address is answered all the same, but the address stays where it is, unless
        // that peer is gone: one address cannot be two transports.
        if self.addresses.get(&from).is_some_and(|owner| *owner != id) {
            self.counters.rejected += 1;
            return;
        }
        let was_reachable = peer.agent.selected().is_some();
        let Some(checked) = peer.agent.check(now, from, &request) else {
            self.counters.rejected += 1;
            return;
        };
        if checked.learned {
            self.addresses.insert(from, id);
        }
        if let Some(forgotten) = checked.forgotten {
            self.addresses.remove(&forgotten);
        }
        if let Some(void) = checked.void {
            self.ufrags.remove(&void);
        }
        let begins = !was_reachable && peer.agent.selected().is_some() && peer.sender.is_some();
        send(out, from, &checked.answer);
        if begins {
            // The handshake was over before the nomination: a key frame that came in between went nowhere.
            self.want_key_frames_for(id);
        }
    }

    fn receive_record(&mut self, now: Time, from: SocketAddr, datagram: &[u8], out: &mut impl Outbox) {
        // Only addresses that ICE has proved get here, so a stranger's ClientHello costs nothing and is not answered.
        let Some(id) = self.addresses.get(&from).copied() else {
            self.counters.strangers += 1;
            return;
        };
        let Some(peer) = self.peers.get_mut(&id) else { return };
        let progress = peer.dtls.receive(datagram, self.origin.instant(now));
        self.advance(id, from, progress, out);
    }

    /// Carries out what the handshake of `id` came to.
    fn advance(&mut self, id: PeerId, to: SocketAddr, progress: Progress, out: &mut impl Outbox) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        progress.records.iter().for_each(|record| send(out, to, record));
        peer.dtls_deadline = progress.deadline.map(|deadline| self.origin.at(deadline));
        if let Some(keys) = progress.keys {
            self.events.push(Event::Connected { peer: id, profile: keys.profile.name() });
            peer.key(keys);
            self.want_key_frames_for(id);
        }
        if let Some(closed) = progress.closed {
            self.forget_peer(id);
            self.events.push(Event::Disconnected { peer: id, why: Parting::Dtls(closed) });
        }
    }
}

fn send(out: &mut impl Outbox, to: SocketAddr, datagram: &[u8]) {
    out.put(to, |space| match space.get_mut(..datagram.len()) {
        Some(space) => {
            space.copy_from_slice(datagram);
            datagram.len()
        }
        None => 0,
    });
}

#[cfg(test)]
mod tests;
