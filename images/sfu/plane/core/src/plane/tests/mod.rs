//! The plane in virtual time, without sockets and without a handshake: keys are put in place by hand.

mod allocations;
mod floods;
mod layers;
mod losses;
mod media;
mod rooms;
mod transport;

use std::sync::LazyLock;
use std::time::Duration;

use dimpl::certificate::generate_self_signed_certificate;
use rtc_rtcp::packet::{Packet, marshal, unmarshal};
use rtc_rtcp::payload_feedbacks::picture_loss_indication::PictureLossIndication;
use rtc_rtcp::transport_feedbacks::transport_layer_nack::{NackPair, TransportLayerNack};

use super::*;
use crate::command::{Command, Refusal};
use crate::dtls::Keys;
use crate::media::{Codec, EncodingSpec, LegSpec, TrackSpec, Wish};
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

/// A number that looks like chance and is the same every time.
fn next_random(seed: u64) -> u64 {
    seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407)
}

fn wish(highest: u8) -> Option<Wish> {
    Some(Wish { highest, priority: 0 })
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

    /// Gives one order, and lets it take effect as the worker does after those that came together.
    fn order(&mut self, command: Command) -> Result<(), Refusal> {
        let outcome = self.plane.command(self.now, command, &mut self.out);
        self.plane.settle(self.now);
        outcome
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
        self.key(id)
    }

    fn key(&mut self, id: u32) -> Client {
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

    fn audio(&mut self, track: u32, publisher: &Client, ssrc: u32) {
        self.order(Command::AddTrack(TrackSpec {
            id: TrackId(track),
            peer: publisher.id,
            mid: b"1".to_vec(),
            codec: Codec::Opus,
            payload_type: VP8,
            rtx_payload_type: None,
            encodings: vec![EncodingSpec { ssrc: Some(ssrc), ..EncodingSpec::default() }],
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
        self.order(Command::AddLeg { track: TrackId(track), spec, wish: wish(u8::MAX) }).unwrap();
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
        self.sealed((VP8, ssrc, index), 3000 * index as u32, dependency, payload)
    }

    /// A packet of `(payload type, SSRC, index)`.
    fn sealed(&self, stream: (u8, u32, u64), timestamp: u32, dependency: &[u8], payload: &[u8]) -> Vec<u8> {
        let (payload_type, ssrc, index) = stream;
        let mut datagram = vec![0; 1600];
        Header::write(&mut datagram, true, payload_type, index as u16, timestamp, ssrc);
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
