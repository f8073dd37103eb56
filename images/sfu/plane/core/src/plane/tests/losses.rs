//! Media over wires that lose, double and reorder, with clients that repair as browsers do.

use std::collections::{BTreeMap, BTreeSet};

use rtc_rtcp::transport_feedbacks::transport_layer_nack::nack_pairs_from_sequence_numbers;

use super::*;
use crate::feedback::{Arrivals, Losses};

const MEDIA: u32 = 5;
const REPAIR: u32 = 6;
const PARTS: u64 = 4;
const FRAME: Duration = Duration::from_millis(40);
const FEEDBACK: Duration = Duration::from_millis(50);
const ROUND_TRIP: Duration = Duration::from_millis(60);
/// A frame that is not whole by then comes too late to be shown.
const PATIENCE: Duration = Duration::from_millis(500);

/// One direction of one link.
struct Wire {
    /// In percent.
    loss: u64,
    seed: u64,
    flying: BTreeMap<(Time, u64), Vec<u8>>,
}

impl Wire {
    fn new(loss: u64, seed: u64) -> Self {
        Self { loss, seed, flying: BTreeMap::new() }
    }

    fn chance(&mut self) -> u64 {
        self.seed = next_random(self.seed);
        (self.seed >> 33) % 100
    }

    /// Every tenth packet is doubled, and any may be late by up to 15 ms.
    fn carry(&mut self, now: Time, datagram: &[u8]) {
        for _ in 0..if self.chance() < 10 { 2 } else { 1 } {
            if self.chance() >= self.loss {
                let late = Duration::from_millis(20 + self.chance() % 15);
                self.flying.insert((now + late, self.seed), datagram.to_vec());
            }
        }
    }

    fn arrived(&mut self, now: Time) -> Vec<Vec<u8>> {
        let later = self.flying.split_off(&(now + Duration::from_nanos(1), 0));
        std::mem::replace(&mut self.flying, later).into_values().collect()
    }
}

/// A call with the same loss on all four ways.
struct Call {
    world: World,
    alice: Client,
    bob: Client,
    up: Wire,
    up_back: Wire,
    down: Wire,
    down_back: Wire,
    /// What Alice can send again, by sequence number.
    kept: BTreeMap<u16, (u32, Vec<u8>)>,
    sent: u64,
    repairs: u64,
    wants_key: bool,
    losses: Losses,
    arrivals: Arrivals,
    began: BTreeMap<u64, Time>,
    parts: BTreeMap<u64, BTreeSet<u8>>,
    /// Packets that Bob's keys opened, by stream and index.
    opened: BTreeSet<(u32, u64)>,
    complete: BTreeSet<u64>,
}

impl Call {
    fn new(loss: u64) -> Self {
        let mut world = World::new();
        let (alice, bob) = (world.client(1), world.client(2));
        let encodings = vec![EncodingSpec { ssrc: Some(MEDIA), rtx_ssrc: Some(REPAIR), rid: None }];
        let (id, mid) = (TrackId(1), b"0".to_vec());
        let spec = TrackSpec {
            id,
            peer: alice.id,
            mid,
            codec: Codec::Vp8,
            payload_type: VP8,
            rtx_payload_type: Some(RTX),
            encodings,
        };
        world.order(Command::AddTrack(spec)).unwrap();
        world.leg(1, 1, &bob);
        let wire = |seed| Wire::new(loss, seed);
        Self {
            world,
            alice,
            bob,
            up: wire(1),
            up_back: wire(2),
            down: wire(3),
            down_back: wire(4),
            kept: BTreeMap::new(),
            sent: 0,
            repairs: 0,
            wants_key: true,
            losses: Losses::default(),
            arrivals: Arrivals::default(),
            began: BTreeMap::new(),
            parts: BTreeMap::new(),
            opened: BTreeSet::new(),
            complete: BTreeSet::new(),
        }
    }

    fn run(&mut self, frames: u64) {
        let start = self.world.now;
        let mut feedback_due = start;
        let mut frame = 0;
        while frame < frames || self.world.now.since(start) < FRAME * frames as u32 + PATIENCE {
            let now = self.world.now;
            if frame < frames && now.since(start) >= FRAME * frame as u32 {
                self.publish(now, frame);
                frame += 1;
            }
            for datagram in self.up.arrived(now) {
                self.world.receive(self.alice.address, datagram);
            }
            for datagram in self.down_back.arrived(now) {
                self.world.receive(self.bob.address, datagram);
            }
            self.world.pass(TICK);
            for (to, datagram) in std::mem::take(&mut self.world.out) {
                let wire = if to == self.bob.address { &mut self.down } else { &mut self.up_back };
                wire.carry(now, &datagram);
            }
            self.hear_alice(now);
            self.hear_bob(now);
            if now >= feedback_due {
                feedback_due = now + FEEDBACK;
                for feedback in self.arrivals.take(1, 1001) {
                    let datagram = self.bob.feedback(feedback);
                    self.down_back.carry(now, &datagram);
                }
            }
            if frame % 100 == 0 {
                for (client, id) in [(&self.alice, 1), (&self.bob, 2)] {
                    let mut check = check(id, b"secret", false);
                    self.world.plane.receive(now, now, client.address, &mut check, &mut Sent::new());
                }
            }
        }
    }

    fn publish(&mut self, now: Time, frame: u64) {
        let is_key = std::mem::take(&mut self.wants_key);
        self.began.insert(frame, now);
        for part in 0..PARTS as u8 {
            let begins = u8::from(part == 0) << 4;
            let mut payload = vec![begins, u8::from(!is_key), part];
            payload.extend_from_slice(&frame.to_be_bytes());
            payload.resize(500, 0x5A);
            let timestamp = 3600 * frame as u32;
            let datagram = self.alice.sealed((VP8, MEDIA, self.sent), timestamp, &[], &payload);
            self.kept.insert(self.sent as u16, (timestamp, payload));
            self.sent += 1;
            self.up.carry(now, &datagram);
        }
    }

    /// Alice sends again what she is asked for, and key frames.
    fn hear_alice(&mut self, now: Time) {
        for mut datagram in self.up_back.arrived(now) {
            if Protocol::of(&datagram) != Some(Protocol::Srtcp) {
                continue;
            }
            // A double does not open.
            let Ok(plain) = self.alice.receiver.open_rtcp(&mut datagram) else { continue };
            for packet in unmarshal(&mut &datagram[..plain]).unwrap() {
                let packet = packet.as_any();
                self.wants_key |= packet.is::<PictureLossIndication>();
                let Some(nack) = packet.downcast_ref::<TransportLayerNack>() else { continue };
                assert_eq!(nack.media_ssrc, MEDIA);
                for sequence in nack.nacks.iter().flat_map(|pair| pair.packet_list()) {
                    let (timestamp, payload) = &self.kept[&sequence];
                    let payload = [&sequence.to_be_bytes()[..], payload].concat();
                    let repair = self.alice.sealed((RTX, REPAIR, self.repairs), *timestamp, &[], &payload);
                    self.repairs += 1;
                    self.up.carry(now, &repair);
                }
            }
        }
    }

    /// Bob puts frames together and asks for what is missing.
    fn hear_bob(&mut self, now: Time) {
        for mut datagram in self.down.arrived(now) {
            if Protocol::of(&datagram) != Some(Protocol::Srtp) {
                continue;
            }
            let header = Header::parse(&datagram).unwrap();
            let opened = self.bob.receiver.open(&mut datagram, header.end, header.ssrc, header.sequence);
            let Ok((plain, index)) = opened else { continue };
            assert!(self.opened.insert((header.ssrc, index)), "no nonce twice");
            let extensions = Extensions::parse(&datagram, &header, &IDS);
            if let Some(number) = extensions.transport_sequence {
                self.arrivals.arrived(number, now);
            }
            let mut payload = &datagram[header.end..plain];
            if header.padded {
                continue;
            }
            let mut media_index = index;
            if header.ssrc == 2001 {
                let (original, rest) = payload.split_first_chunk().unwrap();
                media_index = crate::rtp::unwrap(index, u16::from_be_bytes(*original));
                payload = rest;
            }
            // A gap that is too wide needs a key frame, which at these rates never comes to be.
            self.losses.arrived(now, media_index).unwrap();
            let frame = u64::from_be_bytes(payload[3..11].try_into().unwrap());
            assert_eq!(header.timestamp, 3600 * frame as u32, "the frame's own time");
            let parts = self.parts.entry(frame).or_default();
            parts.insert(payload[2]);
            if parts.len() as u64 == PARTS && now.since(self.began[&frame]) <= PATIENCE {
                self.complete.insert(frame);
            }
        }
        let due = self.losses.due(now, ROUND_TRIP);
        if !due.is_empty() {
            let nacks = nack_pairs_from_sequence_numbers(&due);
            let nack = self.bob.feedback(TransportLayerNack { sender_ssrc: 1, media_ssrc: 1001, nacks });
            self.down_back.carry(now, &nack);
        }
    }
}

const FRAMES: u64 = 500;

#[test]
fn doubled_and_reordered_packets_do_no_harm() {
    let mut call = Call::new(0);
    call.run(FRAMES);
    assert_eq!(call.complete.len() as u64, FRAMES);
    let others = call.world.plane.counters().media_in - PARTS * FRAMES;
    assert!(others <= call.repairs, "each packet is taken once: {others}");
}

#[test]
fn at_5_percent_of_loss_each_way_95_percent_of_the_frames_are_whole() {
    let mut call = Call::new(5);
    call.run(FRAMES);
    let complete = call.complete.len() as u64;
    assert!(100 * complete >= 95 * FRAMES, "{complete} of {FRAMES}");
}

#[test]
fn at_20_percent_of_loss_most_frames_are_repaired() {
    let mut call = Call::new(20);
    // Of the repair alone: an estimate would, rightly, take the video from such a link.
    let extensions = ExtensionIds { transport_sequence: 0, ..IDS };
    call.world.order(Command::SetExtensions { peer: PeerId(2), extensions }).unwrap();
    call.run(FRAMES);
    let complete = call.complete.len() as u64;
    assert!(100 * complete >= 80 * FRAMES, "{complete} of {FRAMES}");
}
