//! What the fuzz targets do with their bytes; the plane's own tests do it with the kept corpus.
#![allow(missing_docs)]

use std::net::SocketAddr;
use std::sync::LazyLock;

use aws_lc_rs::hmac;
use callcluster_plane::bandwidth::Estimator;
use callcluster_plane::command::Command;
use callcluster_plane::demux::Protocol;
use callcluster_plane::dtls::Identity;
use callcluster_plane::feedback::Departures;
use callcluster_plane::ids::PeerId;
use callcluster_plane::media::{Codec, Descriptor};
use callcluster_plane::plane::{Config, Plane};
use callcluster_plane::rtcp;
use callcluster_plane::rtp::{ExtensionIds, ExtensionWriter, Extensions, Header};
use callcluster_plane::stun::Request;
use callcluster_plane::time::{Origin, Time};
use dimpl::certificate::generate_self_signed_certificate;
use rtc_rtcp::transport_feedbacks::transport_layer_cc::TransportLayerCc;
use rtc_rtcp::transport_feedbacks::transport_layer_nack::TransportLayerNack;

/// A target by its name.
pub type Target = (&'static str, fn(&[u8]));

/// Every target.
pub const TARGETS: [Target; 5] =
    [("stun", stun), ("front", front), ("rtp", rtp), ("descriptor", descriptor), ("rtcp", rtcp)];

const IDS: ExtensionIds =
    ExtensionIds { mid: 4, rid: 10, repaired_rid: 11, transport_sequence: 3, audio_level: 1, dependency: 12 };
/// A check of `peer1:client`, signed with "secret", that nominates.
const CHECK: &[u8] = include_bytes!("check.stun");

/// A datagram as a binding request.
pub fn stun(data: &[u8]) {
    let Ok(request) = Request::parse(data) else { return };
    assert!(request.local_ufrag().len() <= data.len());
    assert_eq!(request.transaction(), data[8..20]);
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, b"secret");
    request.is_signed_with(&key);
}

/// Datagrams, each behind its length in two bytes, as a plane gets them from a stranger and from a client that has
/// proved its address and is about to shake hands.
pub fn front(data: &[u8]) {
    static IDENTITY: LazyLock<Identity> = LazyLock::new(|| {
        let made = generate_self_signed_certificate().unwrap();
        Identity::new(made.certificate, made.private_key).unwrap()
    });
    let config = Config { identity: IDENTITY.clone(), health: None, max_peers: 1 };
    let mut plane = Plane::new(config, Origin::now());
    let (client, stranger) = (SocketAddr::from(([10, 0, 0, 1], 1)), SocketAddr::from(([10, 0, 0, 2], 2)));
    let (ufrag, password) = (b"peer1".to_vec(), b"secret".to_vec());
    let mut out = Vec::new();
    let order = Command::AddPeer { peer: PeerId(1), ufrag, password, fingerprint: [0; 32], extensions: IDS };
    plane.command(Time::ZERO, order, &mut out).unwrap();
    plane.receive(Time::ZERO, Time::ZERO, client, &mut CHECK.to_vec(), &mut out);
    assert_eq!(out.len(), 1, "the check is answered");
    let mut is_proved = false;
    for (step, datagram) in (1..).zip(datagrams(data)) {
        let now = Time::from_millis(100 * step);
        out.clear();
        let is_check = Protocol::of(datagram) == Some(Protocol::Stun);
        plane.receive(now, now, stranger, &mut datagram.to_vec(), &mut out);
        // Who repeats a check that was really signed is no stranger any more.
        is_proved |= is_check && !out.is_empty();
        assert!(out.is_empty() || is_proved, "a stranger gets no byte");
        plane.receive(now, now, client, &mut datagram.to_vec(), &mut out);
        plane.flush(now, &mut out);
        plane.tick(now, &mut out);
        plane.events().for_each(drop);
    }
}

fn datagrams(mut data: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (length, rest) = data.split_first_chunk()?;
        let (datagram, rest) = rest.split_at_checked(u16::from_be_bytes(*length).into())?;
        data = rest;
        Some(datagram)
    })
}

/// A plain packet: header, extensions, padding; and what was read is written and read again.
pub fn rtp(data: &[u8]) {
    let Some(header) = Header::parse(data) else { return };
    assert!(header.end <= data.len());
    assert!(header.payload_end(data).is_none_or(|end| (header.end..=data.len()).contains(&end)));
    let found = Extensions::parse(data, &header, &IDS);
    let values = [found.mid, found.rid, found.repaired_rid, found.dependency];
    let longest = values.iter().flatten().map(|value| value.len()).max().unwrap_or(0);
    let mut out = vec![0; 2048];
    Header::write(&mut out, header.marker, header.payload_type, header.sequence, header.timestamp, header.ssrc);
    let mut writer = ExtensionWriter::new(&mut out, Header::LENGTH, longest, IDS.highest());
    for (id, value) in [IDS.mid, IDS.rid, IDS.repaired_rid, IDS.dependency].into_iter().zip(values) {
        writer.put(id, value.unwrap_or_default());
    }
    let end = writer.finish();
    let again = Header::parse(&out[..end]).unwrap();
    assert_eq!((again.sequence, again.ssrc, again.end), (header.sequence, header.ssrc, end));
    let again = Extensions::parse(&out[..end], &again, &IDS);
    let present = |value: Option<&[u8]>| value.unwrap_or_default().to_vec();
    assert_eq!(present(again.dependency), present(found.dependency));
    assert_eq!(present(again.mid), present(found.mid));
}

/// The first byte says how much of the rest is a Dependency Descriptor; the payload follows.
pub fn descriptor(data: &[u8]) {
    let Some((length, rest)) = data.split_first() else { return };
    let (dependency, payload) = rest.split_at(usize::from(*length).min(rest.len()));
    for codec in [Codec::Opus, Codec::Vp8, Codec::Vp9] {
        for dependency in [None, Some(dependency)] {
            let Some(found) = Descriptor::parse(codec, payload, dependency) else { continue };
            let mut moved = payload.to_vec();
            found.shift(&mut moved, 0x1234, 7);
            let again = Descriptor::parse(codec, &moved, dependency).unwrap();
            assert_eq!(again.picture_id_at, found.picture_id_at);
            assert_eq!(again.starts_key_frame, found.starts_key_frame, "moving numbers moves nothing else");
        }
    }
}

/// A plain compound, and feedback on packets that were really sent.
pub fn rtcp(data: &[u8]) {
    let mut departures = Departures::default();
    for number in 0..200 {
        departures.sent(Time::from_millis(number), 1000);
    }
    let mut estimator = Estimator::default();
    for packet in rtcp::packets(data).filter_map(Result::ok).flatten() {
        let packet = packet.as_any();
        if let Some(feedback) = packet.downcast_ref::<TransportLayerCc>() {
            let known = departures.feedback(feedback);
            assert!(known.len() <= usize::from(feedback.packet_status_count));
            estimator.feedback(Time::from_millis(300), &known);
            assert!((30_000..=100_000_000).contains(&estimator.bits_per_second()) || known.is_empty());
        } else if let Some(nack) = packet.downcast_ref::<TransportLayerNack>() {
            assert!(nack.nacks.len() <= data.len());
        }
    }
}
