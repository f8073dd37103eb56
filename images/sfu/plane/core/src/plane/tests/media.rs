//! What subscribers get of their tracks.

use super::*;

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
fn a_subscriber_that_is_nominated_after_its_handshake_gets_a_key_frame() {
    let mut world = World::new();
    let mut alice = world.client(1);
    world.video(1, &alice, &[5]);
    world.announce(2);
    world.receive(address(2), check(2, b"secret", false));
    let mut bob = world.key(2);
    world.leg(1, 1, &bob);
    world.receive(alice.address, alice.frame(5, 0, true));
    assert!(world.got(&mut bob).is_empty(), "nobody knows yet where to send it");
    world.heard(&mut alice);
    world.receive(bob.address, check(2, b"secret", true));
    world.pass(Duration::from_secs(1));
    let asked = world.heard(&mut alice).iter().any(|packet| packet.as_any().is::<PictureLossIndication>());
    assert!(asked);
    world.receive(alice.address, alice.frame(5, 1, true));
    assert_eq!(world.got(&mut bob).len(), 1);
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
