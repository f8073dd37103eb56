//! What strangers and rude members can make the plane do.

use super::*;

/// What the plane keeps of the outside world.
fn state(world: &World) -> [usize; 5] {
    let plane = &world.plane;
    let legs = plane.peers.values().map(|peer| peer.routes.len() + peer.legs.len()).sum();
    [plane.peers.len(), plane.addresses.len(), plane.ufrags.len(), plane.tracks.len(), legs]
}

fn stranger(number: u32) -> SocketAddr {
    let [_, a, b, c] = number.to_be_bytes();
    SocketAddr::from(([172, 16 + a, b, c], 1024 + (number % 60_000) as u16))
}

#[test]
fn checks_with_wrong_credentials_get_no_answer_and_leave_nothing() {
    let mut world = World::new();
    let alice = world.client(1);
    let before = state(&world);
    for number in 0..5000 {
        world.receive(stranger(number), check(number % 7, b"guess", true));
        world.receive(alice.address, check(1, b"guess", true));
    }
    assert!(world.out.is_empty());
    assert_eq!(state(&world), before);
}

#[test]
fn hellos_from_strangers_get_no_byte_back_and_leave_nothing() {
    let mut world = World::new();
    let _alice = world.client(1);
    let before = state(&world);
    let hello = [&[22, 254, 253, 0, 0, 0, 0, 0, 0, 0, 0, 0, 200, 1, 0, 0, 188][..], &[0; 196]].concat();
    for number in 0..5000 {
        world.receive(stranger(number), hello.clone());
    }
    assert!(world.out.is_empty(), "not one byte for all of theirs");
    assert_eq!(state(&world), before);
}

#[test]
fn an_answer_to_a_check_is_no_longer_than_the_check() {
    let mut world = World::new();
    world.announce(1);
    for from in [address(1), "[2001:db8::1]:4000".parse().unwrap()] {
        let request = check(1, b"secret", true);
        let length = request.len();
        world.receive(from, request);
        assert_eq!(world.out.len(), 1);
        assert!(world.out.remove(0).1.len() <= length);
    }
}

#[test]
fn garbage_changes_nothing_for_those_in_a_call() {
    let mut world = World::new();
    let (alice, mut bob) = (world.client(1), world.client(2));
    world.video(1, &alice, &[5]);
    world.leg(1, 1, &bob);
    let before = state(&world);
    let mut seed = 1;
    for number in 0..20_000_u64 {
        seed = next_random(seed);
        let length = (seed >> 40) as usize % 300;
        let mut garbage: Vec<u8> = (0..length).map(|at| (seed >> (at % 48)) as u8 ^ at as u8).collect();
        // DTLS records are left out here: an association may end over what its own client's address sends.
        if let Some(first) = garbage.first_mut() {
            *first = [0, 1, 0x80, 0x90, 0xBF, 0xC0, 70][(seed >> 35) as usize % 7];
        }
        let from = if number % 2 == 0 { alice.address } else { stranger(number as u32) };
        world.receive(from, garbage);
        if number % 200 == 0 {
            world.receive(alice.address, alice.frame(5, number / 200, number == 0));
        }
    }
    assert_eq!(world.got(&mut bob).len(), 100);
    assert!(world.out.is_empty());
    assert_eq!(state(&world), before);
}

#[test]
fn a_member_that_claims_anothers_ssrc_speaks_for_itself_only() {
    let mut world = World::new();
    let (alice, mut bob, mallory) = (world.client(1), world.client(2), world.client(3));
    world.video(1, &alice, &[5]);
    world.video(2, &mallory, &[5]);
    world.leg(1, 1, &bob);
    for index in 0..50 {
        world.receive(mallory.address, mallory.frame(5, index, true));
        world.receive(mallory.address, alice.frame(5, index, true));
    }
    assert!(world.got(&mut bob).is_empty());
    world.receive(alice.address, alice.frame(5, 0, true));
    assert_eq!(world.got(&mut bob).len(), 1);
}

#[test]
fn beggars_together_cost_a_publisher_two_key_frames_a_second_at_the_most() {
    let mut world = World::new();
    let mut alice = world.client(1);
    let mut beggars: Vec<Client> = (2..12).map(|id| world.client(id)).collect();
    world.video(1, &alice, &[5]);
    beggars.iter().for_each(|beggar| world.leg(beggar.id.0, 1, beggar));
    world.receive(alice.address, alice.frame(5, 0, true));
    let (mut all, mut most) = (0, 0);
    for second in 0..20 {
        let mut requests = 0;
        for (step, beggar) in (0..).zip(&mut beggars) {
            let plea = PictureLossIndication { sender_ssrc: 1, media_ssrc: 1000 + beggar.id.0 };
            let datagrams: Vec<_> = (0..5).map(|_| beggar.feedback(plea.clone())).collect();
            let from = beggar.address;
            datagrams.into_iter().for_each(|datagram| world.receive(from, datagram));
            world.pass(Duration::from_millis(100));
            let heard = world.heard(&mut alice);
            let asked = heard.iter().filter(|packet| packet.as_any().is::<PictureLossIndication>()).count();
            requests += asked;
            world.receive(alice.address, alice.frame(5, 1 + 10 * second + step, asked > 0));
            world.out.clear();
        }
        most = most.max(requests);
        all += requests;
    }
    assert!(most <= 2, "in one second: {most}");
    // Each is heard at 0, 1, 2, 4, 8 and 16 seconds or so.
    assert!((5..=40).contains(&all), "in 20 seconds, of 1000 pleas: {all}");
}
