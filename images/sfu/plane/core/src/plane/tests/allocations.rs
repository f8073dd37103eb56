//! The allocator, counted.
#![allow(unsafe_code, reason = "an allocator cannot be written without")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use super::*;

struct Counting;

thread_local! {
    static COUNT: Cell<u64> = const { Cell::new(0) };
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// SAFETY: every call goes to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.set(COUNT.get() + 1);
        // SAFETY: as the caller promised.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as the caller promised.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        COUNT.set(COUNT.get() + 1);
        // SAFETY: as the caller promised.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

/// Lets every datagram be written over the one before.
struct Sink {
    space: [u8; crate::outbox::MAX_DATAGRAM],
    count: usize,
}

impl Outbox for Sink {
    fn put(&mut self, _: SocketAddr, fill: impl FnOnce(&mut [u8]) -> usize) {
        self.count += usize::from(fill(&mut self.space) > 0);
    }
}

#[test]
fn forwarding_allocates_nothing_in_the_steady_state() {
    let mut world = World::new();
    let alice = world.client(1);
    world.video(1, &alice, &[5]);
    for id in 2..12 {
        let bob = world.client(id);
        world.leg(id, 1, &bob);
    }
    let mut packets: Vec<_> =
        (0..3000).map(|index| alice.packet(5, index, &[], &[0x10, u8::from(index % 100 != 0), 3])).collect();
    let mut sink = Sink { space: [0; crate::outbox::MAX_DATAGRAM], count: 0 };
    let (warm_up, measured) = packets.split_at_mut(1500);
    let mut forward = |world: &mut World, packet: &mut Vec<u8>| {
        world.plane.receive(world.now, world.now, alice.address, packet, &mut sink);
        world.plane.flush(world.now, &mut sink);
    };
    warm_up.iter_mut().for_each(|packet| forward(&mut world, packet));
    let before = COUNT.get();
    assert!(before > 0, "the counter counts");
    measured.iter_mut().for_each(|packet| forward(&mut world, packet));
    assert_eq!(COUNT.get() - before, 0);
    assert_eq!(sink.count, 30_000);
}

#[test]
fn orders_that_come_together_are_settled_together() {
    let mut world = World::new();
    let (alice, bob) = (world.client(1), world.client(2));
    for track in 1..=50 {
        world.video(track, &alice, &[track]);
        world.receive(alice.address, alice.frame(track, 0, true));
        world.leg(track, track, &bob);
    }
    let aim = |world: &mut World, leg: u32, highest: u8| {
        let order = Command::AimLeg { leg: LegId(leg), wish: wish(highest) };
        world.plane.command(world.now, order, &mut Sent::new()).unwrap();
    };
    // A choice among legs gathers them; an order by itself only notes whose they are.
    let before = COUNT.get();
    (1..=50).for_each(|leg| aim(&mut world, leg, 0));
    let ordered = COUNT.get() - before;
    world.plane.settle(world.now);
    let settled = COUNT.get() - before - ordered;
    assert!(settled > 1, "choices are counted: {settled}");
    assert!(ordered <= 1, "{ordered}");
    let before = COUNT.get();
    world.plane.settle(world.now);
    assert_eq!(COUNT.get(), before, "nothing is left to do");
}
