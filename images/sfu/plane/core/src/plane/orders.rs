//! Orders of the control half.

use super::{Plane, send};
use crate::bandwidth::MAX_LAYERS;
use crate::command::{Command, Refusal};
use crate::dtls::Server;
use crate::ice::{Agent, Credentials};
use crate::ids::{LegId, PeerId, TrackId};
use crate::media::{Leg, LegSpec, Track, TrackSpec, Wish};
use crate::outbox::Outbox;
use crate::peer::{MAX_STREAMS, Peer, Route};
use crate::rtp::ExtensionIds;
use crate::time::Time;

/// Tracks of one peer, legs to one peer: more than any page shows.
const MAX_TRACKS: usize = 64;
const MAX_LEGS: usize = 1024;

impl Plane {
    /// Carries out an order. What subscribers get changes with the next [`Plane::settle`].
    ///
    /// # Errors
    /// See [`Refusal`]; then nothing has changed.
    pub fn command(&mut self, now: Time, command: Command, out: &mut impl Outbox) -> Result<(), Refusal> {
        match command {
            Command::AddPeer { peer, ufrag, password, fingerprint, extensions } => {
                self.add_peer(now, peer, Credentials::new(&ufrag, &password), fingerprint, extensions)
            }
            Command::RemovePeer(peer) => self.remove_peer(peer, out),
            Command::RestartIce { peer, ufrag, password } => {
                self.restart_ice(peer, Credentials::new(&ufrag, &password))
            }
            Command::SetExtensions { peer, extensions } => {
                self.peers.get_mut(&peer).ok_or(Refusal::UnknownName)?.extensions = extensions;
                Ok(())
            }
            Command::AddTrack(spec) => self.add_track(spec),
            Command::RemoveTrack(track) => self.remove_track(track),
            Command::AddLeg { track, spec, wish } => self.add_leg(track, spec, wish),
            Command::AimLeg { leg, wish } => self.aim_leg(leg, wish),
            Command::RemoveLeg(leg) => self.remove_leg(leg),
            Command::RequestKeyFrame(track) => {
                let track = self.tracks.get_mut(&track).ok_or(Refusal::UnknownName)?;
                let live = track.encodings.iter_mut().filter(|one| one.is_live(now));
                live.for_each(|one| one.requests.want());
                Ok(())
            }
        }
    }

    fn add_peer(
        &mut self,
        now: Time,
        id: PeerId,
        credentials: Credentials,
        fingerprint: [u8; 32],
        extensions: ExtensionIds,
    ) -> Result<(), Refusal> {
        if self.peers.contains_key(&id) || self.is_taken(credentials.ufrag()) {
            return Err(Refusal::NameTaken);
        }
        if self.peers.len() >= self.config.max_peers {
            return Err(Refusal::TooMany);
        }
        self.ufrags.insert(credentials.ufrag().to_vec(), id);
        let dtls = Server::new(&self.config.identity, fingerprint, MAX_STREAMS, self.origin.instant(now));
        let agent = Agent::new(credentials, now);
        self.peers.insert(id, Peer::new(agent, dtls, extensions, now));
        Ok(())
    }

    fn is_taken(&self, ufrag: &[u8]) -> bool {
        let by_health = self.config.health.as_ref().is_some_and(|health| health.ufrag() == ufrag);
        by_health || self.ufrags.contains_key(ufrag)
    }

    fn remove_peer(&mut self, id: PeerId, out: &mut impl Outbox) -> Result<(), Refusal> {
        let peer = self.peers.get_mut(&id).ok_or(Refusal::UnknownName)?;
        if let Some(to) = peer.agent.selected() {
            peer.dtls.close().records.iter().for_each(|record| send(out, to, record));
        }
        self.forget_peer(id);
        Ok(())
    }

    /// Drops every trace of a peer, so that its names can be used again.
    pub(super) fn forget_peer(&mut self, id: PeerId) {
        let Some(peer) = self.peers.remove(&id) else { return };
        self.ufrags.retain(|_, owner| *owner != id);
        peer.agent.addresses().iter().for_each(|address| {
            self.addresses.remove(address);
        });
        for track in &peer.tracks {
            self.forget_track(*track);
        }
        for (track, leg) in peer.legs.values() {
            self.legs.remove(leg);
            if let Some(track) = self.tracks.get_mut(track) {
                track.remove_leg(*leg);
            }
        }
    }

    fn restart_ice(&mut self, id: PeerId, credentials: Credentials) -> Result<(), Refusal> {
        if self.is_taken(credentials.ufrag()) {
            return Err(Refusal::NameTaken);
        }
        let peer = self.peers.get_mut(&id).ok_or(Refusal::UnknownName)?;
        self.ufrags.insert(credentials.ufrag().to_vec(), id);
        if let Some(void) = peer.agent.restart(credentials) {
            self.ufrags.remove(void.ufrag());
        }
        Ok(())
    }

    fn add_track(&mut self, spec: TrackSpec) -> Result<(), Refusal> {
        let peer = self.peers.get_mut(&spec.peer).ok_or(Refusal::UnknownName)?;
        if self.tracks.contains_key(&spec.id) {
            return Err(Refusal::NameTaken);
        }
        if spec.encodings.is_empty() {
            return Err(Refusal::NoSuchEncoding);
        }
        if peer.tracks.len() >= MAX_TRACKS || spec.encodings.len() > MAX_LAYERS {
            return Err(Refusal::TooMany);
        }
        for (encoding, one) in (0..).zip(&spec.encodings) {
            for (ssrc, is_repair) in [(one.ssrc, false), (one.rtx_ssrc, true)] {
                if let Some(ssrc) = ssrc {
                    peer.routes.insert(ssrc, Route { track: spec.id, encoding, is_repair });
                }
            }
        }
        peer.tracks.push(spec.id);
        self.tracks.insert(spec.id, Track::new(spec));
        Ok(())
    }

    fn remove_track(&mut self, id: TrackId) -> Result<(), Refusal> {
        let publisher = self.tracks.get(&id).ok_or(Refusal::UnknownName)?.peer;
        self.forget_track(id);
        if let Some(peer) = self.peers.get_mut(&publisher) {
            peer.tracks.retain(|track| *track != id);
            peer.routes.retain(|_, route| route.track != id);
        }
        Ok(())
    }

    fn forget_track(&mut self, id: TrackId) {
        let Some(track) = self.tracks.remove(&id) else { return };
        self.dirty.retain(|dirty| *dirty != id);
        for leg in &track.legs {
            self.legs.remove(&leg.spec.id);
            if let Some(peer) = self.peers.get_mut(&leg.spec.peer) {
                peer.legs.remove(&leg.spec.ssrc);
            }
        }
    }

    fn add_leg(&mut self, id: TrackId, spec: LegSpec, wish: Option<Wish>) -> Result<(), Refusal> {
        let track = self.tracks.get_mut(&id).ok_or(Refusal::UnknownName)?;
        let peer = self.peers.get_mut(&spec.peer).ok_or(Refusal::UnknownName)?;
        if self.legs.contains_key(&spec.id) {
            return Err(Refusal::NameTaken);
        }
        if peer.legs.len() >= MAX_LEGS {
            return Err(Refusal::TooMany);
        }
        let is_new = peer.spend(spec.ssrc) & spec.rtx.is_none_or(|(ssrc, _)| peer.spend(ssrc));
        if !is_new {
            return Err(Refusal::SsrcSpent);
        }
        peer.legs.insert(spec.ssrc, (id, spec.id));
        self.legs.insert(spec.id, id);
        self.unsettled.insert(spec.peer);
        track.add_leg(Leg::new(spec, wish));
        Ok(())
    }

    fn aim_leg(&mut self, id: LegId, wish: Option<Wish>) -> Result<(), Refusal> {
        let track = self.legs.get(&id).and_then(|track| self.tracks.get_mut(track));
        let leg = track.and_then(|track| track.leg_mut(id)).ok_or(Refusal::UnknownName)?;
        leg.wish = wish;
        self.unsettled.insert(leg.spec.peer);
        Ok(())
    }

    fn remove_leg(&mut self, id: LegId) -> Result<(), Refusal> {
        let track = self.legs.remove(&id).ok_or(Refusal::UnknownName)?;
        let leg = self.tracks.get_mut(&track).and_then(|track| track.remove_leg(id));
        if let Some(leg) = leg
            && let Some(peer) = self.peers.get_mut(&leg.spec.peer)
        {
            peer.legs.remove(&leg.spec.ssrc);
        }
        Ok(())
    }

    /// A subscriber is ready: whatever it waits for has to begin with a key frame.
    pub(super) fn want_key_frames_for(&mut self, id: PeerId) {
        let Some(peer) = self.peers.get(&id) else { return };
        for (track, leg) in peer.legs.values() {
            let Some(track) = self.tracks.get_mut(track).filter(|track| track.codec.is_video()) else {
                continue;
            };
            if let Some(target) = track.leg(*leg).and_then(Leg::target) {
                track.encodings[usize::from(target)].requests.want();
            }
        }
    }
}
