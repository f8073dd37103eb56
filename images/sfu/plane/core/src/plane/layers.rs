//! Which encoding each subscriber gets, by what its link carries.

use std::time::Duration;

use super::Plane;
use crate::bandwidth::{Link, Want, allocate};
use crate::command::Event;
use crate::ids::{LegId, PeerId, TrackId};
use crate::media::{Ladder, Track};
use crate::time::Time;

/// How often the choice is looked at; a fallen estimate does not wait for it.
const CHOICE: Duration = Duration::from_millis(100);
/// An estimate backs off to 85 % of what arrives at every doubt. A link that is short of no more than this share of
/// what is taken, and for no longer, loses nothing: what was no limit is over by then.
const DIP: (u64, u64) = (4, 5);
const DIP_TIME: Duration = Duration::from_millis(1000);

/// A video among which the link is divided.
struct Candidate {
    track: TrackId,
    leg: LegId,
    ladder: Ladder,
    want: Want,
}

impl Plane {
    /// Chooses for every subscriber whose legs were ordered since the last call: once, however many orders there
    /// were.
    pub fn settle(&mut self, now: Time) {
        for id in std::mem::take(&mut self.unsettled) {
            self.choose(id, now);
        }
    }

    pub(super) fn tick_layers(&mut self, id: PeerId, now: Time) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        if peer.legs.is_empty() {
            (peer.taken, peer.wish) = (0, 0);
        } else if now >= peer.choice_due {
            self.choose(id, now);
        }
    }

    /// Divides the link to `id`: audio always, then videos by [`allocate`].
    fn choose(&mut self, id: PeerId, now: Time) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        peer.choice_due = now + CHOICE;
        let mut audio = 0;
        let mut candidates = Vec::new();
        for (track, leg) in peer.legs.values().copied() {
            let Some(state) = self.tracks.get_mut(&track) else { continue };
            if state.codec.is_video() {
                candidates.extend(candidate(track, leg, state, now));
            } else if let Some(leg) = state.leg_mut(leg) {
                leg.aim(leg.wish.map(|_| 0));
                let is_taken = leg.wish.is_some() && state.encodings[0].is_live(now);
                audio += if is_taken { state.encodings[0].bitrate.bits_per_second(now) } else { 0 };
            }
        }
        // The map's order is none.
        candidates.sort_unstable_by_key(|one| one.leg);
        let wants: Vec<Want> = candidates.iter().map(|one| one.want).collect();
        // Who cannot report on what arrives is trusted with everything.
        let is_limited = peer.extensions.transport_sequence != 0;
        let estimate = if is_limited { peer.estimator.bits_per_second() } else { u64::MAX };
        let present: u64 = wants.iter().map(Want::taken).sum();
        let mut budget = estimate.saturating_sub(audio);
        if budget >= present {
            peer.short_since = None;
        } else if now.since(*peer.short_since.get_or_insert(now)) < DIP_TIME
            && DIP.1 * budget >= DIP.0 * present
        {
            budget = present;
        }
        let link = Link { budget, is_untried: peer.estimator.is_untried() };
        let outcome = allocate(link, &wants);
        peer.taken = audio + outcome.total;
        peer.wish = outcome.next.map_or(0, |next| audio + next);
        for (one, granted) in candidates.iter().zip(outcome.granted) {
            let Some(track) = self.tracks.get_mut(&one.track) else { continue };
            self.events.extend(one.give(track, granted, now));
        }
    }
}

/// What a video leg takes part with. One of which nothing comes takes nothing: it waits for the lowest layer.
fn candidate(track: TrackId, id: LegId, state: &mut Track, now: Time) -> Option<Candidate> {
    let leg = state.leg_mut(id)?;
    let Some(wish) = leg.wish else {
        leg.aim(None);
        return None;
    };
    let present = leg.target();
    let ladder = state.ladder(wish.highest, present, now);
    let leg = state.leg(id)?;
    if ladder.layers == 0 {
        if present.is_none() {
            aim(state, id, Some(0));
        }
        return None;
    }
    let has =
        |target| ladder.encodings[..ladder.layers].iter().filter(|place| **place <= target).count().max(1);
    let want = Want {
        priority: wish.priority,
        rates: ladder.rates,
        layers: ladder.layers,
        present: present.map_or(0, has),
        may_rise: leg.pace.may_rise(now),
    };
    Some(Candidate { track, leg: id, ladder, want })
}

impl Candidate {
    /// Gives the subscriber so many of the ladder's layers.
    fn give(&self, track: &mut Track, granted: usize, now: Time) -> Option<Event> {
        let present = self.want.present;
        let leg = track.leg_mut(self.leg)?;
        let pauses = leg.pace.pauses(now, granted > 0);
        let granted = if present > 0 && !pauses { granted.max(1) } else { granted };
        if granted > present {
            leg.pace.raised(now);
        } else if granted < present {
            leg.pace.lowered(now);
        }
        let chosen = granted.checked_sub(1).map(|layer| self.ladder.encodings[layer]);
        if chosen != leg.target() {
            aim(track, self.leg, chosen);
        }
        (present > 0 && granted == 0).then_some(Event::Paused { leg: self.leg })
    }
}

/// Aims a video leg, and asks for the key frame that it needs.
fn aim(track: &mut Track, leg: LegId, target: Option<u8>) {
    let Some(leg) = track.leg_mut(leg) else { return };
    leg.aim(target);
    if let Some(awaited) = leg.awaits() {
        track.encodings[usize::from(awaited)].requests.want();
    }
}
