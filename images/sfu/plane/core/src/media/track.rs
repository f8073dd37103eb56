//! What one participant publishes under one m-line, with everyone who gets it.

use super::descriptor::Codec;
use super::encoding::Encoding;
use super::leg::Leg;
use super::loudness::Loudness;
use crate::bandwidth::MAX_LAYERS;
use crate::ids::{LegId, PeerId, TrackId};
use crate::time::Time;

/// Packets of one track that one flush can hold; what is above is flushed before.
const FRESH: usize = 64;

/// What the session description says about one encoding.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EncodingSpec {
    /// Simulcast name; `None` for a track with one encoding.
    pub rid: Option<Vec<u8>>,
    /// When the description names it.
    pub ssrc: Option<u32>,
    /// When the description names it.
    pub rtx_ssrc: Option<u32>,
}

/// What the session description says about a track.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrackSpec {
    /// Its name.
    pub id: TrackId,
    /// The publisher.
    pub peer: PeerId,
    /// The publisher's m-line.
    pub mid: Vec<u8>,
    /// The one codec that was answered.
    pub codec: Codec,
    /// The codec's, as the publisher numbers it.
    pub payload_type: u8,
    /// Of retransmissions; without it nothing is asked for again.
    pub rtx_payload_type: Option<u8>,
    /// From the lowest quality to the highest; at least one, at most [`MAX_LAYERS`].
    pub encodings: Vec<EncodingSpec>,
}

/// A packet that came since the last flush.
#[derive(Clone, Copy, Debug)]
pub struct Fresh {
    /// Place in [`Track::encodings`].
    pub encoding: u8,
    /// Within the encoding.
    pub index: u64,
}

/// The encodings among which a subscriber's is chosen, from the lowest quality to the highest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ladder {
    /// Their places; the first [`Ladder::layers`] count.
    pub encodings: [u8; MAX_LAYERS],
    /// What each takes, in bits a second.
    pub rates: [u64; MAX_LAYERS],
    /// How many there are.
    pub layers: usize,
}

/// The state of one track.
pub struct Track {
    /// The publisher.
    pub peer: PeerId,
    /// The publisher's m-line.
    pub mid: Vec<u8>,
    /// The one codec that was answered.
    pub codec: Codec,
    /// The codec's, as the publisher numbers it.
    pub payload_type: u8,
    /// Of retransmissions.
    pub rtx_payload_type: Option<u8>,
    /// From the lowest quality to the highest.
    pub encodings: Vec<Encoding>,
    /// In the order of their ids, which makes one easy to find.
    pub legs: Vec<Leg>,
    /// How loud it is.
    pub loudness: Loudness,
    /// What the next flush forwards.
    pub fresh: Vec<Fresh>,
}

impl Track {
    /// A track that nobody gets yet.
    pub fn new(spec: TrackSpec) -> Self {
        let codec = spec.codec;
        let encodings = spec.encodings.into_iter();
        Self {
            peer: spec.peer,
            mid: spec.mid,
            codec,
            payload_type: spec.payload_type,
            rtx_payload_type: spec.rtx_payload_type,
            encodings: encodings.map(|one| Encoding::new(codec, one.rid, one.ssrc, one.rtx_ssrc)).collect(),
            legs: Vec::new(),
            loudness: Loudness::default(),
            fresh: Vec::with_capacity(FRESH),
        }
    }

    /// Whether the next packet has to wait for a flush.
    pub fn is_full(&self) -> bool {
        self.fresh.len() >= FRESH
    }

    /// The leg with this id.
    pub fn leg(&self, id: LegId) -> Option<&Leg> {
        let at = self.legs.binary_search_by_key(&id, |leg| leg.spec.id).ok()?;
        self.legs.get(at)
    }

    /// The leg with this id, to be changed.
    pub fn leg_mut(&mut self, id: LegId) -> Option<&mut Leg> {
        let at = self.legs.binary_search_by_key(&id, |leg| leg.spec.id).ok()?;
        self.legs.get_mut(at)
    }

    /// Adds a leg; one with the same id gives way.
    pub fn add_leg(&mut self, leg: Leg) {
        match self.legs.binary_search_by_key(&leg.spec.id, |leg| leg.spec.id) {
            Ok(at) => self.legs[at] = leg,
            Err(at) => self.legs.insert(at, leg),
        }
    }

    /// Removes a leg.
    pub fn remove_leg(&mut self, id: LegId) -> Option<Leg> {
        let at = self.legs.binary_search_by_key(&id, |leg| leg.spec.id).ok()?;
        Some(self.legs.remove(at))
    }

    /// What can be given to who wants at most `highest` and has `present`: the encodings that come, but for better
    /// ones that came too lately to be measured. When all that comes is above, the lowest of that.
    pub fn ladder(&self, highest: u8, present: Option<u8>, now: Time) -> Ladder {
        let mut ladder = Ladder::default();
        for (place, encoding) in (0..).zip(&self.encodings).filter(|(_, encoding)| encoding.is_live(now)) {
            let is_lowest = ladder.layers == 0;
            let is_known = encoding.bitrate.is_settled(now) || present == Some(place);
            if is_lowest || (place <= highest && is_known) {
                ladder.encodings[ladder.layers] = place;
                ladder.rates[ladder.layers] = encoding.bitrate.bits_per_second(now);
                ladder.layers += 1;
            }
        }
        ladder
    }

    /// The encoding with this simulcast name; without a name the only one.
    pub fn encoding_named(&self, rid: Option<&[u8]>) -> Option<u8> {
        let at = match rid {
            Some(rid) => self.encodings.iter().position(|one| one.rid.as_deref() == Some(rid))?,
            None if self.encodings.len() == 1 => 0,
            None => return None,
        };
        u8::try_from(at).ok()
    }
}
