//! Who is answered, followed and forgotten.

use super::*;

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
