//! What must hold whatever clients do.

use std::collections::{BTreeMap, HashSet};

use proptest::prelude::*;

use super::*;

/// One step of a rough day.
#[derive(Clone, Debug)]
enum Step {
    Publish { client: usize, layer: u32, ahead: u64, is_key: bool },
    Nack { client: usize, packet: u16, bits: u16 },
    Aim { leg: u32, highest: Option<u8> },
    Pass,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        10 => (0_usize..4, 0_u32..2, 0_u64..6, prop::bool::weighted(0.3))
            .prop_map(|(client, layer, ahead, is_key)| Step::Publish { client, layer, ahead, is_key }),
        2 => (0_usize..4, 0_u16..40, any::<u16>())
            .prop_map(|(client, packet, bits)| Step::Nack { client, packet, bits }),
        1 => (0_u32..4, proptest::option::of(0_u8..2)).prop_map(|(leg, highest)| Step::Aim { leg, highest }),
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
                Step::Aim { leg, highest } => {
                    world.order(Command::AimLeg { leg: LegId(leg), wish: highest.and_then(wish) }).unwrap();
                }
                // Long enough for an encoding to be measured and chosen.
                Step::Pass => world.pass(Duration::from_millis(600)),
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
