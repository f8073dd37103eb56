//! The plane in virtual time, without sockets and without a handshake: keys are put in place by hand.

use std::collections::{BTreeMap, HashSet};
use std::sync::LazyLock;
use std::time::Duration;

use dimpl::certificate::generate_self_signed_certificate;
use proptest::prelude::*;
use rtc_rtcp::packet::{Packet, marshal, unmarshal};
use rtc_rtcp::payload_feedbacks::picture_loss_indication::PictureLossIndication;
use rtc_rtcp::transport_feedbacks::transport_layer_nack::{NackPair, TransportLayerNack};

use super::*;
use crate::command::{Command, Refusal};
use crate::dtls::Keys;
use crate::media::{Codec, EncodingSpec, LegSpec, TrackSpec};
use crate::rtp::{ExtensionIds, ExtensionWriter, Extensions, Header};
use crate::srtp::{MAX_OVERHEAD, Profile, Receiver, Role, Sender};

const IDS: ExtensionIds =
    ExtensionIds { mid: 4, rid: 10, repaired_rid: 11, transport_sequence: 3, audio_level: 1, dependency: 12 };
const VP8: u8 = 96;
const RTX: u8 = 97;

type Sent = Vec<(SocketAddr, Vec<u8>)>;

struct World {
    plane: Plane,
    now: Time,
    out: Sent,
}

/// A client as the plane sees it: an address and keys.
struct Client {
    id: PeerId,
    address: SocketAddr,
    sender: Sender,
    receiver: Receiver,
}

/// What a client got, opened.
#[derive(Debug)]
struct Got {
    header: Header,
    index: u64,
    mid: Vec<u8>,
    dependency: Vec<u8>,
    payload: Vec<u8>,
    transport_sequence: u16,
}

fn address(id: u32) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, id as u8], 4000))
}

fn check(id: u32, password: &[u8], use_candidate: bool) -> Vec<u8> {
    let username = format!("peer{id}:client");
    let mut attributes =
        vec![(0x0006, username.into_bytes()), (0x0024, vec![1, 2, 3, 4]), (0x802A, vec![7; 8])];
    if use_candidate {
        attributes.push((0x0025, Vec::new()));
    }
    crate::stun::request([9; 12], &attributes, password)
}

impl World {
    fn new() -> Self {
        static IDENTITY: LazyLock<Identity> = LazyLock::new(|| {
            let made = generate_self_signed_certificate().unwrap();
            Identity::new(made.certificate, made.private_key).unwrap()
        });
        let identity = IDENTITY.clone();
        let health = Some(Credentials::new(b"health", b"probe"));
        let config = Config { identity, health, max_peers: 20 };
        // Away from the start, as a plane that has run for a while.
        Self { plane: Plane::new(config, Origin::now()), now: Time::from_millis(100_000), out: Sent::new() }
    }

    fn order(&mut self, command: Command) -> Result<(), Refusal> {
        self.plane.command(self.now, command, &mut self.out)
    }

    fn receive(&mut self, from: SocketAddr, mut datagram: Vec<u8>) {
        self.plane.receive(self.now, self.now, from, &mut datagram, &mut self.out);
        self.plane.flush(self.now, &mut self.out);
    }

    fn pass(&mut self, time: Duration) {
        let until = self.now + time;
        while self.now < until {
            self.now = self.now + TICK;
            self.plane.tick(self.now, &mut self.out);
        }
    }

    fn announce(&mut self, id: u32) {
        self.order(Command::AddPeer {
            peer: PeerId(id),
            ufrag: format!("peer{id}").into_bytes(),
            password: b"secret".to_vec(),
            fingerprint: [0; 32],
            extensions: IDS,
        })
        .unwrap();
    }

    fn client(&mut self, id: u32) -> Client {
        self.announce(id);
        self.receive(address(id), check(id, b"secret", true));
        assert_eq!(self.out.len(), 1, "the check is answered");
        self.out.clear();
        let material = [id as u8; 56];
        let profile = Profile::Aes128Gcm;
        self.plane.peers.get_mut(&PeerId(id)).unwrap().key(Keys {
            sender: Sender::new(profile, &material, Role::Server).unwrap(),
            receiver: Receiver::new(profile, &material, Role::Client, 64).unwrap(),
            profile,
        });
        Client {
            id: PeerId(id),
            address: address(id),
            sender: Sender::new(profile, &material, Role::Client).unwrap(),
            receiver: Receiver::new(profile, &material, Role::Server, 64).unwrap(),
        }
    }

    fn video(&mut self, track: u32, publisher: &Client, ssrcs: &[u32]) {
        let encodings = ssrcs.iter().map(|ssrc| EncodingSpec { ssrc: Some(*ssrc), ..EncodingSpec::default() });
        self.order(Command::AddTrack(TrackSpec {
            id: TrackId(track),
            peer: publisher.id,
            mid: b"0".to_vec(),
            codec: Codec::Vp8,
            payload_type: VP8,
            rtx_payload_type: Some(RTX),
            encodings: encodings.collect(),
        }))
        .unwrap();
    }

    fn leg(&mut self, leg: u32, track: u32, subscriber: &Client) {
        let spec = LegSpec {
            id: LegId(leg),
            peer: subscriber.id,
            mid: b"7".to_vec(),
            ssrc: 1000 + leg,
            rtx: Some((2000 + leg, RTX)),
            payload_type: VP8,
        };
        self.order(Command::AddLeg { track: TrackId(track), spec, target: Some(0) }).unwrap();
    }

    /// Opens what went to `client` since the last call, media only.
    fn got(&mut self, client: &mut Client) -> Vec<Got> {
        let is_media = |datagram: &[u8]| Protocol::of(datagram) == Some(Protocol::Srtp);
        let mine = self.out.extract_if(.., |(to, datagram)| *to == client.address && is_media(datagram));
        mine.map(|(_, mut datagram)| {
            let header = Header::parse(&datagram).unwrap();
            let opened = client.receiver.open(&mut datagram, header.end, header.ssrc, header.sequence);
            let (plain, index) = opened.expect("sealed for this client, once");
            let extensions = Extensions::parse(&datagram, &header, &IDS);
            Got {
                header,
                index,
                mid: extensions.mid.unwrap_or_default().to_vec(),
                dependency: extensions.dependency.unwrap_or_default().to_vec(),
                payload: datagram[header.end..plain].to_vec(),
                transport_sequence: extensions.transport_sequence.unwrap(),
            }
        })
        .collect()
    }

    /// Opens the RTCP that went to `client` since the last call.
    fn heard(&mut self, client: &mut Client) -> Vec<Box<dyn Packet>> {
        let is_control = |datagram: &[u8]| Protocol::of(datagram) == Some(Protocol::Srtcp);
        let mine = self.out.extract_if(.., |(to, datagram)| *to == client.address && is_control(datagram));
        mine.flat_map(|(_, mut datagram)| {
            let plain = client.receiver.open_rtcp(&mut datagram).unwrap();
            unmarshal(&mut &datagram[..plain]).unwrap()
        })
        .collect()
    }
}

impl Client {
    fn packet(&self, ssrc: u32, index: u64, dependency: &[u8], payload: &[u8]) -> Vec<u8> {
        let mut datagram = vec![0; 1600];
        Header::write(&mut datagram, true, VP8, index as u16, 3000 * index as u32, ssrc);
        let mut writer = ExtensionWriter::new(&mut datagram, Header::LENGTH, dependency.len(), 14);
        writer.put(IDS.dependency, dependency);
        let header = writer.finish();
        let plain = header + payload.len();
        datagram[header..plain].copy_from_slice(payload);
        let length = self.sender.seal(&mut datagram, header, plain, ssrc, index);
        datagram.truncate(length);
        datagram
    }

    fn frame(&self, ssrc: u32, index: u64, is_key: bool) -> Vec<u8> {
        self.packet(ssrc, index, &[], &[0x10, u8::from(!is_key), index as u8])
    }

    fn feedback(&mut self, packet: impl Packet + 'static) -> Vec<u8> {
        let mut datagram = marshal(&[Box::new(packet)]).unwrap().to_vec();
        let plain = datagram.len();
        datagram.resize(plain + MAX_OVERHEAD, 0);
        let length = self.sender.seal_rtcp(&mut datagram, plain).unwrap();
        datagram.truncate(length);
        datagram
    }
}

#[test]
fn strangers_are_never_answered_and_leave_no_trace() {
    let mut world = World::new();
    world.announce(1);
    let hello = [&[22, 254, 253][..], &[0; 200]].concat();
    let media = [&[0x80, 96][..], &[0; 100]].concat();
    let control = [&[0x80, 200][..], &[0; 100]].concat();
    for datagram in
        [hello, media, control, check(2, b"secret", true), check(1, b"guess", true), vec![70; 30], vec![]]
    {
        world.receive(address(66), datagram);
    }
    assert!(world.out.is_empty());
    assert!(world.plane.addresses.is_empty());
}

#[test]
fn the_health_check_is_answered_without_a_peer() {
    let mut world = World::new();
    let probe = |password: &[u8]| crate::stun::request([1; 12], &[(0x0006, b"health:any".to_vec())], password);
    world.receive(address(9), probe(b"wrong"));
    assert!(world.out.is_empty());
    world.receive(address(9), probe(b"probe"));
    assert_eq!(world.out.len(), 1);
    assert_eq!(world.plane.peers(), 0);
}

#[test]
fn a_silent_client_is_forgotten_with_all_that_was_its() {
    let mut world = World::new();
    let (alice, bob) = (world.client(1), world.client(2));
    world.video(1, &alice, &[5]);
    world.leg(1, 1, &bob);
    world.pass(Duration::from_secs(20));
    world.receive(bob.address, check(2, b"secret", false));
    world.pass(Duration::from_secs(15));
    let parted: Vec<_> = world.plane.events().collect();
    assert_eq!(parted, [Event::Disconnected { peer: alice.id, why: Parting::Silent }]);
    assert_eq!(world.plane.peers(), 1);
    assert!(world.plane.tracks.is_empty() && world.plane.legs.is_empty());
    assert!(world.plane.peers[&bob.id].legs.is_empty());
    world.announce(1);
}

#[test]
fn a_client_that_moves_is_followed_by_its_nomination() {
    let mut world = World::new();
    let (alice, mut bob) = (world.client(1), world.client(2));
    world.video(1, &alice, &[5]);
    world.leg(1, 1, &bob);
    bob.address = address(77);
    world.receive(bob.address, check(2, b"secret", false));
    world.receive(alice.address, alice.frame(5, 1, true));
    assert_eq!(world.got(&mut bob).len(), 0, "checked, not nominated");
    world.receive(bob.address, check(2, b"secret", true));
    world.receive(alice.address, alice.frame(5, 2, false));
    assert_eq!(world.got(&mut bob).len(), 1);
}

#[test]
fn one_client_cannot_take_anothers_address_or_stream() {
    let mut world = World::new();
    let (alice, mut bob, mallory) = (world.client(1), world.client(2), world.client(3));
    world.video(1, &alice, &[5]);
    world.leg(1, 1, &bob);
    world.out.clear();
    world.receive(alice.address, check(3, b"secret", true));
    assert!(world.out.is_empty());
    world.receive(mallory.address, mallory.frame(5, 1, true));
    assert_eq!(world.got(&mut bob).len(), 0, "her own keys, another's SSRC");
    world.receive(alice.address, mallory.frame(5, 1, true));
    assert_eq!(world.got(&mut bob).len(), 0, "another's address");
    world.receive(alice.address, alice.frame(5, 1, true));
    assert_eq!(world.got(&mut bob).len(), 1);
}

#[test]
fn a_restarted_session_is_nominated_under_either_credentials() {
    let mut world = World::new();
    let _alice = world.client(1);
    let order = Command::RestartIce { peer: PeerId(1), ufrag: b"peer9".to_vec(), password: b"fresh".to_vec() };
    world.order(order).unwrap();
    world.receive(address(1), check(1, b"secret", false));
    world.receive(address(1), check(9, b"fresh", true));
    assert_eq!(world.out.len(), 2);
    world.receive(address(1), check(1, b"secret", false));
    assert_eq!(world.out.len(), 2, "the old generation is over");
}

#[test]
fn a_beggar_with_the_wrong_key_costs_the_publisher_little() {
    let mut world = World::new();
    let (mut alice, mut bob) = (world.client(1), world.client(2));
    world.video(1, &alice, &[5]);
    world.leg(1, 1, &bob);
    world.receive(alice.address, alice.frame(5, 0, true));
    let mut requests = 0;
    for step in 1..200 {
        let plea = bob.feedback(PictureLossIndication { sender_ssrc: 1, media_ssrc: 1001 });
        world.receive(bob.address, plea);
        world.pass(Duration::from_millis(100));
        let heard = world.heard(&mut alice);
        let asked = heard.iter().filter(|packet| packet.as_any().is::<PictureLossIndication>()).count();
        requests += asked;
        world.receive(alice.address, alice.frame(5, step, asked > 0));
        if step % 50 == 0 {
            world.receive(alice.address, check(1, b"secret", false));
            world.receive(bob.address, check(2, b"secret", false));
        }
    }
    assert!((2..=8).contains(&requests), "in 20 seconds: {requests}");
}

#[test]
fn a_repair_is_the_packet_itself_in_a_stream_of_its_own() {
    let mut world = World::new();
    let (alice, mut bob) = (world.client(1), world.client(2));
    world.video(1, &alice, &[5]);
    world.leg(1, 1, &bob);
    for index in 0..4 {
        world.receive(alice.address, alice.frame(5, index, index == 0));
    }
    let first = world.got(&mut bob);
    for _ in 0..2 {
        let nack = TransportLayerNack {
            sender_ssrc: 1,
            media_ssrc: 1001,
            nacks: vec![NackPair { packet_id: 2, lost_packets: 1 }],
        };
        let request = bob.feedback(nack);
        world.receive(bob.address, request);
    }
    let repairs = world.got(&mut bob);
    assert_eq!(repairs.len(), 4);
    for (repair, original) in repairs.iter().zip([&first[1], &first[2], &first[1], &first[2]]) {
        assert_eq!((repair.header.ssrc, repair.header.payload_type), (2001, RTX));
        assert_eq!(repair.header.timestamp, original.header.timestamp);
        assert_eq!(repair.payload[..2], original.header.sequence.to_be_bytes());
        assert_eq!(repair.payload[2..], original.payload);
    }
}

/// Passes `time` while `client` reports every packet at once; returns the bytes that went to it.
fn pass_with_feedback(world: &mut World, client: &mut Client, time: Duration) -> usize {
    let until = world.now + time;
    let mut arrivals = crate::feedback::Arrivals::default();
    let mut bytes = 0;
    while world.now < until {
        world.pass(TICK);
        bytes +=
            world.out.iter().filter(|(to, _)| *to == client.address).map(|(_, one)| one.len()).sum::<usize>();
        for got in world.got(client) {
            assert_eq!((got.header.ssrc, got.header.padded), (2001, true), "padding, as a retransmission");
            arrivals.arrived(got.transport_sequence, world.now);
        }
        world.out.clear();
        for feedback in arrivals.take(1, 1001) {
            let datagram = client.feedback(feedback);
            world.receive(client.address, datagram);
        }
    }
    bytes
}

#[test]
fn a_link_is_filled_up_to_the_estimate_only_for_who_wishes_for_more() {
    let mut world = World::new();
    let (alice, mut bob) = (world.client(1), world.client(2));
    world.video(1, &alice, &[5]);
    world.leg(1, 1, &bob);
    world.receive(alice.address, alice.frame(5, 0, true));
    let mut first = crate::feedback::Arrivals::default();
    first.arrived(world.got(&mut bob)[0].transport_sequence, world.now);
    let feedback = bob.feedback(first.take(1, 1001).remove(0));
    world.receive(bob.address, feedback);
    let idle = pass_with_feedback(&mut world, &mut bob, Duration::from_millis(200));
    assert!(idle < 500, "reports alone: {idle}");
    world.order(Command::Wish { peer: bob.id, bits_per_second: 900_000 }).unwrap();
    let before = world.plane.peers[&bob.id].estimator.bits_per_second();
    let filled = 8 * pass_with_feedback(&mut world, &mut bob, Duration::from_secs(1)) as u64;
    let after = world.plane.peers[&bob.id].estimator.bits_per_second();
    assert!((before * 9 / 10..after * 11 / 10).contains(&filled), "{before} {filled} {after}");
    pass_with_feedback(&mut world, &mut bob, Duration::from_secs(10));
    let found = world.plane.peers[&bob.id].estimator.bits_per_second();
    assert!((900_000..1_000_000).contains(&found), "{found}");
    let idle = pass_with_feedback(&mut world, &mut bob, Duration::from_secs(1));
    assert!(idle < 5000, "the wish is met: {idle}");
}

#[test]
fn the_dependency_descriptor_travels_in_either_header_form() {
    let mut world = World::new();
    let (alice, mut bob) = (world.client(1), world.client(2));
    world.video(1, &alice, &[5]);
    world.leg(1, 1, &bob);
    let structure = [&[0xC0, 0, 9, 0x80][..], &[0x33; 20]].concat();
    world.receive(alice.address, alice.packet(5, 0, &structure, &[0x10, 1]));
    world.receive(alice.address, alice.packet(5, 1, &[0xC0, 0, 10], &[0x10, 1]));
    let got = world.got(&mut bob);
    assert_eq!(got[0].dependency, structure, "a key frame by its structure");
    assert_eq!(got[1].dependency, [0xC0, 0, 10]);
    assert!(got.iter().all(|one| one.mid == b"7"), "the subscriber's own m-line");
}

/// One step of a rough day.
#[derive(Clone, Debug)]
enum Step {
    Publish { client: usize, layer: u32, ahead: u64, is_key: bool },
    Nack { client: usize, packet: u16, bits: u16 },
    Aim { leg: u32, target: Option<u8> },
    Pass,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        10 => (0_usize..4, 0_u32..2, 0_u64..6, prop::bool::weighted(0.3))
            .prop_map(|(client, layer, ahead, is_key)| Step::Publish { client, layer, ahead, is_key }),
        2 => (0_usize..4, 0_u16..40, any::<u16>())
            .prop_map(|(client, packet, bits)| Step::Nack { client, packet, bits }),
        1 => (0_u32..4, proptest::option::of(0_u8..2)).prop_map(|(leg, target)| Step::Aim { leg, target }),
        1 => Just(Step::Pass),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Two rooms, 0 with 1 and 2 with 3, each client publishing two layers to the other, under loss, reordering,
    /// switches, pauses and requests for repair: no packet crosses over, no pair of SSRC and index is sealed twice.
    #[test]
    fn rooms_stay_apart_and_nonces_never_repeat(steps in proptest::collection::vec(step(), 1..200)) {
        let mut world = World::new();
        let mut clients: Vec<Client> = (0..4).map(|id| world.client(id)).collect();
        for (at, client) in (0_u32..).zip(&clients) {
            world.video(at, client, &[10 * at, 10 * at + 1]);
        }
        for (at, client) in (0_u32..).zip(&clients) {
            world.leg(at, at ^ 1, client);
        }
        let mut heads = BTreeMap::new();
        let mut published = HashSet::new();
        let mut sealed = HashSet::new();
        for step in steps {
            match step {
                Step::Publish { client, layer, ahead, is_key } => {
                    let ssrc = 10 * client as u32 + layer;
                    let head = heads.entry(ssrc).or_insert(100_u64);
                    let index = *head + ahead - 3;
                    if !published.insert((ssrc, index)) {
                        continue;
                    }
                    *head = (*head).max(index + 1);
                    let payload = [0x10, u8::from(!is_key), client as u8];
                    let datagram = clients[client].packet(ssrc, index, &[], &payload);
                    world.receive(clients[client].address, datagram);
                }
                Step::Nack { client, packet, bits } => {
                    let nacks = vec![NackPair { packet_id: packet, lost_packets: bits }];
                    let media_ssrc = 1000 + client as u32;
                    let nack = TransportLayerNack { sender_ssrc: 1, media_ssrc, nacks };
                    let datagram = clients[client].feedback(nack);
                    world.receive(clients[client].address, datagram);
                }
                Step::Aim { leg, target } => world.order(Command::AimLeg { leg: LegId(leg), target }).unwrap(),
                Step::Pass => world.pass(TICK),
            }
            for (at, client) in clients.iter_mut().enumerate() {
                for got in world.got(client) {
                    let publisher = got.payload.last().copied();
                    prop_assert_eq!(publisher, Some(at as u8 ^ 1), "from the other of the room");
                    prop_assert!(sealed.insert((at, got.header.ssrc, got.index)));
                }
            }
        }
    }
}
