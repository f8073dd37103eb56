//! Calls over real sockets, with str0m at both ends.
#![allow(missing_docs)]

mod kit;

use callcluster_plane::command::{Command, Event, Parting, Refusal};
use callcluster_plane::dtls::Closed;
use callcluster_plane::ids::{LegId, PeerId};
use callcluster_plane::media::{Codec, Wish};
use kit::{Client, Options, Sfu, eventually, vp8};
use str0m::config::DtlsVersion;

const MEDIA: u32 = 0xAAAA;
const REPAIR: u32 = 0xBBBB;

#[test]
fn audio_reaches_the_subscriber_under_every_dtls_version() {
    for version in [DtlsVersion::Dtls12, DtlsVersion::Dtls13, DtlsVersion::Auto] {
        let mut sfu = Sfu::start();
        let (mut alice, mut bob) = (sfu.connected(version), sfu.connected(version));
        alice.publish("0", MEDIA, None, None, false);
        sfu.track(&alice, 1, "0", Codec::Opus, &[]);
        sfu.leg(1, 1, &mut bob, "17", Codec::Opus, 0);
        for index in 0..20_u64 {
            alice.write(MEDIA, 65_530 + index, 960 * index as u32, &[index as u8; 60], None);
        }
        let speaks = |event: &Event| matches!(event, Event::Loudness { loudness: 107, .. });
        eventually(&mut sfu, &mut [&mut alice, &mut bob], |sfu, _| sfu.events.iter().any(speaks));
        eventually(&mut sfu, &mut [&mut alice, &mut bob], |_, clients| clients[1].received.len() == 20);
        for (index, packet) in bob.received.iter().enumerate() {
            assert_eq!(*packet.payload, [index as u8; 60]);
            assert_eq!(packet.header.timestamp, 960 * index as u32);
            assert_eq!(*packet.seq_no, 1 + index as u64);
            assert_eq!(packet.header.ext_vals.audio_level, Some(-20));
            assert_eq!(packet.header.ext_vals.mid.unwrap().to_string(), "17");
        }
        assert_eq!(alice.received.len(), 0, "nobody hears themselves");
        assert!(sfu.answers.iter().all(|(_, outcome)| outcome.is_ok()), "{:?}", sfu.answers);
    }
}

/// A publisher and a subscriber of one video track.
fn video_call(rids: &[&str]) -> (Sfu, Client, Client) {
    let mut sfu = Sfu::start();
    let (mut alice, mut bob) = (sfu.connected(DtlsVersion::Auto), sfu.connected(DtlsVersion::Auto));
    if rids.is_empty() {
        alice.publish("0", MEDIA, Some(REPAIR), None, true);
    }
    for (at, rid) in (0..).zip(rids) {
        alice.publish("0", MEDIA + at, Some(REPAIR + at), Some(rid), true);
    }
    sfu.track(&alice, 1, "0", Codec::Vp8, rids);
    sfu.leg(1, 1, &mut bob, "3", Codec::Vp8, 0);
    (sfu, alice, bob)
}

#[test]
fn a_subscriber_starts_with_a_key_frame_that_the_publisher_is_asked_for() {
    let (mut sfu, mut alice, mut bob) = video_call(&[]);
    for index in 0..5 {
        alice.write(MEDIA, index, 3000 * index as u32, &vp8(false, index as u16, 0, 1000), None);
    }
    eventually(&mut sfu, &mut [&mut alice, &mut bob], |_, clients| clients[0].key_frame_requests.len() == 1);
    assert_eq!(bob.received.len(), 0);
    alice.write(MEDIA, 5, 15_000, &vp8(true, 5, 0, 1000), None);
    alice.write(MEDIA, 6, 18_000, &vp8(false, 6, 0, 1000), None);
    eventually(&mut sfu, &mut [&mut alice, &mut bob], |_, clients| clients[1].received.len() == 2);
    assert_eq!(*bob.received[0].payload, vp8(true, 5, 0, 1000));
}

#[test]
fn losses_on_both_links_are_repaired() {
    let (mut sfu, mut alice, mut bob) = video_call(&[]);
    alice.write(MEDIA, 0, 0, &vp8(true, 0, 0, 1000), None);
    eventually(&mut sfu, &mut [&mut alice, &mut bob], |_, clients| clients[1].received.len() == 1);
    alice.lose = |number| number % 20 == 7;
    bob.lose = |number| number % 20 == 13;
    for index in 1..400_u64 {
        alice.write(MEDIA, index, 3000 * index as u32, &vp8(false, index as u16, 0, 1000), None);
        std::thread::sleep(std::time::Duration::from_millis(3));
        bob.pump();
        sfu.refresh();
    }
    // The last packets may be lost for good: nothing comes behind them that would show the gap.
    let has_all =
        |client: &Client| (0..390).all(|number| client.received.iter().any(|one| *one.seq_no == 1 + number));
    eventually(&mut sfu, &mut [&mut alice, &mut bob], |_, clients| has_all(clients[1]));
    for packet in &bob.received {
        let index = *packet.seq_no - 1;
        assert_eq!(packet.header.timestamp, 3000 * index as u32);
        assert_eq!(*packet.payload, vp8(index == 0, index as u16, 0, 1000));
    }
}

#[test]
fn a_layer_switch_is_seamless_for_the_subscriber() {
    let (mut sfu, mut alice, mut bob) = video_call(&["q", "h"]);
    let mut sent = [0_u64; 2];
    let mut frame = |alice: &mut Client, layer: usize, is_key: bool| {
        let index = sent[layer];
        sent[layer] += 1;
        // Layers count from different places.
        let payload = vp8(is_key, (500 * layer) as u16 + index as u16, (100 * layer) as u8 + index as u8, 900);
        let rid = ["q", "h"][layer];
        alice.write(
            MEDIA + layer as u32,
            9000 + index,
            7_000_000 * layer as u32 + 3000 * index as u32,
            &payload,
            Some(rid),
        );
    };
    for step in 0..10 {
        frame(&mut alice, 0, step == 0);
        frame(&mut alice, 1, step == 0);
    }
    eventually(&mut sfu, &mut [&mut alice, &mut bob], |_, clients| clients[1].received.len() == 10);
    sfu.command(Command::AimLeg { leg: LegId(1), wish: Some(Wish { highest: 1, priority: 0 }) });
    let asked = |client: &Client| client.key_frame_requests.iter().any(|(rid, _)| rid == "h");
    eventually(&mut sfu, &mut [&mut alice, &mut bob], |_, clients| asked(clients[0]));
    // Five more of the old layer, of which the last leaves just before the key frame, then six of the new one.
    for step in 0..10 {
        frame(&mut alice, 0, false);
        frame(&mut alice, 1, step == 4);
    }
    eventually(&mut sfu, &mut [&mut alice, &mut bob], |_, clients| clients[1].received.len() == 21);
    let switched = Event::Switched { leg: LegId(1), encoding: 1 };
    eventually(&mut sfu, &mut [&mut alice, &mut bob], |sfu, _| sfu.events.contains(&switched));
    let mut last = None;
    for (at, packet) in bob.received.iter().enumerate() {
        let picture = u16::from_be_bytes([packet.payload[2], packet.payload[3]]) & 0x7FFF;
        assert_eq!((*packet.seq_no, picture, packet.payload[4]), (1 + at as u64, at as u16, at as u8));
        assert!(last.is_none_or(|last| packet.header.timestamp > last), "timestamps go on");
        last = Some(packet.header.timestamp);
    }
}

#[test]
fn reports_and_estimates_reach_both_ends() {
    let (mut sfu, mut alice, mut bob) = video_call(&[]);
    let done = |sfu: &Sfu, clients: &[&mut Client]| {
        let synchronised = clients[1].received.iter().any(|packet| packet.last_sender_info.is_some());
        let subscriber = clients[1].peer;
        let is_estimated = |event: &Event| matches!(event, Event::Estimate { peer, .. } if *peer == subscriber);
        synchronised && clients[0].estimates > 0 && sfu.events.iter().any(is_estimated)
    };
    for index in 0..3000_u64 {
        alice.write(MEDIA, index, 900 * index as u32, &vp8(index % 30 == 0, index as u16, 0, 1000), None);
        bob.pump();
        sfu.refresh();
        if done(&sfu, &[&mut alice, &mut bob]) {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    assert!(done(&sfu, &[&mut alice, &mut bob]));
}

#[test]
fn somebody_with_another_certificate_gets_no_keys() {
    let mut sfu = Sfu::start();
    let mut mallory =
        Client::new(&sfu, Options { bandwidth_estimation: true, version: DtlsVersion::Auto }, PeerId(77));
    sfu.announce(&mallory, [0x42; 32]);
    let parted = Event::Disconnected { peer: PeerId(77), why: Parting::Dtls(Closed::WrongFingerprint) };
    eventually(&mut sfu, &mut [&mut mallory], |sfu, _| sfu.events.contains(&parted));
    assert!(!sfu.events.iter().any(|event| matches!(event, Event::Connected { .. })));
}

#[test]
fn an_ssrc_is_never_used_twice_towards_a_client() {
    let (mut sfu, mut alice, mut bob) = video_call(&[]);
    sfu.command(Command::RemoveLeg(LegId(1)));
    sfu.leg(1, 1, &mut bob, "4", Codec::Vp8, 0);
    eventually(&mut sfu, &mut [&mut alice, &mut bob], |sfu, _| {
        sfu.answers.last().is_some_and(|(_, outcome)| *outcome == Err(Refusal::SsrcSpent))
    });
}

#[test]
fn a_removed_client_hears_a_goodbye_and_nothing_after() {
    let (mut sfu, mut alice, mut bob) = video_call(&[]);
    alice.write(MEDIA, 0, 0, &vp8(true, 0, 0, 1000), None);
    eventually(&mut sfu, &mut [&mut alice, &mut bob], |_, clients| clients[1].received.len() == 1);
    sfu.command(Command::RemovePeer(bob.peer));
    eventually(&mut sfu, &mut [&mut bob], |_, clients| !clients[0].rtc.is_alive());
    alice.write(MEDIA, 1, 3000, &vp8(true, 1, 0, 1000), None);
    let carried_on = |sfu: &Sfu| sfu.answers.iter().all(|(_, outcome)| outcome.is_ok());
    eventually(&mut sfu, &mut [&mut alice], |sfu, _| carried_on(sfu));
    assert_eq!(bob.received.len(), 1);
}
