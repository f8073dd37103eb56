//! What a subscriber gets over a link of its own width: a queue that drains at a rate and overflows at a length.

use std::collections::{BTreeMap, VecDeque};

use super::*;
use crate::feedback::Arrivals;

const STEP: Duration = TICK;
const FEEDBACK: Duration = Duration::from_millis(50);
/// How long a packet waits before the queue overflows.
const QUEUE: Duration = Duration::from_millis(300);
const TRAVEL: Duration = Duration::from_millis(20);
/// Bytes of a frame of each layer at 25 frames a second: 60, 250 and 900 kb/s.
const LAYERS: [usize; 3] = [260, 1200, 4450];
const AUDIO: u32 = 900;

/// The way to one subscriber.
struct Link {
    bits_per_second: f64,
    free_at: Time,
    flying: VecDeque<(Time, Vec<u8>)>,
    arrivals: Arrivals,
    feedback_due: Time,
    is_silent: bool,
    /// One of so many packets is lost by chance; 0 for none.
    loses_one_in: u64,
    seed: u64,
    /// Bytes of padding that arrived.
    padding: usize,
}

impl Link {
    fn new(bits_per_second: f64) -> Self {
        Self {
            bits_per_second,
            free_at: Time::ZERO,
            flying: VecDeque::new(),
            arrivals: Arrivals::default(),
            feedback_due: Time::ZERO,
            is_silent: false,
            loses_one_in: 0,
            seed: 7,
            padding: 0,
        }
    }

    fn carry(&mut self, now: Time, datagram: Vec<u8>) {
        self.seed = next_random(self.seed);
        if self.loses_one_in > 0 && (self.seed >> 33).is_multiple_of(self.loses_one_in) {
            return;
        }
        let start = self.free_at.max(now);
        if start.since(now) > QUEUE {
            return;
        }
        self.free_at = start + Duration::from_secs_f64(8.0 * datagram.len() as f64 / self.bits_per_second);
        self.flying.push_back((self.free_at + TRAVEL, datagram));
    }
}

/// One publisher of a voice and some videos, and one subscriber behind a link.
struct Scene {
    world: World,
    alice: Client,
    bob: Client,
    link: Link,
    /// Tracks with the layers that are published of each.
    videos: Vec<(u32, usize)>,
    sent: BTreeMap<u32, u64>,
    key_wanted: BTreeMap<u32, bool>,
    frame_due: Time,
    /// Bytes of payload that arrived of each leg since the last look.
    arrived: BTreeMap<u32, usize>,
    events: Vec<Event>,
    began: Time,
}

impl Scene {
    fn new(bits_per_second: f64, videos: &[(u32, usize)]) -> Self {
        let mut world = World::new();
        let (alice, bob) = (world.client(1), world.client(2));
        for (track, layers) in videos {
            let ssrcs: Vec<u32> = (0..*layers as u32).map(|layer| 10 * track + layer).collect();
            world.video(*track, &alice, &ssrcs);
            world.leg(*track, *track, &bob);
        }
        world.audio(AUDIO, &alice, AUDIO);
        world.leg(AUDIO, AUDIO, &bob);
        let began = world.now;
        Self {
            world,
            alice,
            bob,
            link: Link::new(bits_per_second),
            videos: videos.to_vec(),
            sent: BTreeMap::new(),
            key_wanted: BTreeMap::new(),
            frame_due: began,
            arrived: BTreeMap::new(),
            events: Vec::new(),
            began,
        }
    }

    fn want(&mut self, leg: u32, highest: u8, priority: u8) {
        let wish = Some(Wish { highest, priority });
        self.world.order(Command::AimLeg { leg: LegId(leg), wish }).unwrap();
    }

    fn publish(&mut self, ssrc: u32, payload: &[u8]) {
        let number = self.sent.entry(ssrc).or_insert(0);
        let datagram = self.alice.packet(ssrc, *number, &[], payload);
        *number += 1;
        self.world.receive(self.alice.address, datagram);
    }

    fn run(&mut self, time: Duration) {
        let until = self.world.now + time;
        while self.world.now < until {
            let now = self.world.now;
            if now >= self.frame_due {
                self.frame_due = now + Duration::from_millis(40);
                for (track, layers) in self.videos.clone() {
                    for (layer, bytes) in (0..layers as u32).zip(LAYERS) {
                        let ssrc = 10 * track + layer;
                        let is_key = self.key_wanted.insert(ssrc, false).unwrap_or(true);
                        for part in 0..bytes.div_ceil(1150) {
                            let begins = u8::from(part == 0) << 4;
                            let mut payload = vec![begins, u8::from(!is_key)];
                            payload.resize((bytes - 1150 * part).min(1150), layer as u8);
                            self.publish(ssrc, &payload);
                        }
                    }
                }
                self.publish(AUDIO, &[7; 80]);
            }
            self.world.pass(STEP);
            self.deliver();
        }
    }

    fn deliver(&mut self) {
        let now = self.world.now;
        self.events.extend(self.world.plane.events());
        for packet in self.world.heard(&mut self.alice) {
            if let Some(plea) = packet.as_any().downcast_ref::<PictureLossIndication>() {
                self.key_wanted.insert(plea.media_ssrc, true);
            }
        }
        let mine = |(to, _): &mut (SocketAddr, Vec<u8>)| *to == self.bob.address;
        for (_, datagram) in self.world.out.extract_if(.., mine).collect::<Vec<_>>() {
            self.link.carry(now, datagram);
        }
        let is_there = |(at, _): &(Time, Vec<u8>)| *at <= now;
        while self.link.flying.front().is_some_and(is_there) {
            let (_, datagram) = self.link.flying.pop_front().unwrap();
            self.world.out.push((self.bob.address, datagram));
        }
        for got in self.world.got(&mut self.bob) {
            self.link.arrivals.arrived(got.transport_sequence, now);
            if got.header.padded {
                self.link.padding += got.payload.len();
            } else {
                *self.arrived.entry(got.header.ssrc - 1000).or_default() += got.payload.len();
            }
        }
        self.world.out.clear();
        if now >= self.link.feedback_due && !self.link.is_silent {
            self.link.feedback_due = now + FEEDBACK;
            for feedback in self.link.arrivals.take(1, 1001) {
                let datagram = self.bob.feedback(feedback);
                self.world.receive(self.bob.address, datagram);
            }
        }
        // Both go on to be there.
        if now.since(self.began).as_millis().is_multiple_of(5000) {
            for (client, id) in [(&self.alice, 1), (&self.bob, 2)] {
                self.world.plane.receive(
                    now,
                    now,
                    client.address,
                    &mut check(id, b"secret", false),
                    &mut Sent::new(),
                );
            }
        }
    }

    fn target(&self, leg: u32) -> Option<u8> {
        self.world.plane.tracks[&TrackId(leg)].leg(LegId(leg)).unwrap().target()
    }

    /// Kilobits a second of each leg while `time` passes.
    fn measure(&mut self, time: Duration) -> BTreeMap<u32, usize> {
        self.arrived.clear();
        self.run(time);
        let rate = |(leg, bytes): (&u32, &usize)| (*leg, 8 * bytes / time.as_millis() as usize);
        self.arrived.iter().map(rate).collect()
    }

    fn changes(&mut self) -> Vec<Event> {
        let is_change = |event: &Event| matches!(event, Event::Switched { .. } | Event::Paused { .. });
        std::mem::take(&mut self.events).into_iter().filter(is_change).collect()
    }
}

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_squeezed_subscriber_steps_down_within_two_seconds_and_up_again() {
    let mut scene = Scene::new(3e6, &[(1, 3)]);
    scene.run(15 * SECOND);
    assert_eq!(scene.target(1), Some(2), "the best, in time");
    scene.link.bits_per_second = 400e3;
    scene.run(2 * SECOND);
    assert!(scene.target(1) < Some(2), "{:?}", scene.target(1));
    scene.run(10 * SECOND);
    assert!(scene.target(1).is_some_and(|target| target < 2));
    let rates = scene.measure(5 * SECOND);
    assert!(rates[&1] < 400 && rates[&AUDIO] >= 15, "{rates:?}");
    scene.link.bits_per_second = 3e6;
    scene.run(30 * SECOND);
    assert_eq!(scene.target(1), Some(2));
    assert!(scene.measure(2 * SECOND)[&1] > 800);
}

#[test]
fn below_the_lowest_layer_the_video_pauses_the_voice_goes_on_and_it_comes_back() {
    let mut scene = Scene::new(3e6, &[(1, 3), (2, 3)]);
    scene.run(15 * SECOND);
    scene.link.bits_per_second = 100e3;
    scene.run(6 * SECOND);
    scene.changes();
    let rates = scene.measure(10 * SECOND);
    // Of 16: the link is tried for more now and then, and then its queue is full.
    assert!(rates[&AUDIO] >= 13, "{rates:?}");
    assert!(rates.get(&1).copied().unwrap_or(0) + rates.get(&2).copied().unwrap_or(0) < 80, "{rates:?}");
    assert!(scene.target(1) <= Some(0) && scene.target(2).is_none(), "the lower rank goes");
    scene.link.bits_per_second = 3e6;
    scene.run(40 * SECOND);
    assert_eq!((scene.target(1), scene.target(2)), (Some(2), Some(2)));
    let back = Event::Switched { leg: LegId(2), encoding: 0 };
    assert!(scene.changes().contains(&back), "told");
}

#[test]
fn a_link_that_carries_the_voice_alone_has_it_alone() {
    let mut scene = Scene::new(3e6, &[(1, 3)]);
    scene.run(5 * SECOND);
    scene.link.bits_per_second = 60e3;
    scene.run(5 * SECOND);
    assert_eq!(scene.target(1), None);
    assert!(scene.changes().contains(&Event::Paused { leg: LegId(1) }));
    let rates = scene.measure(5 * SECOND);
    assert_eq!(rates.get(&1), None);
    assert!(rates[&AUDIO] >= 14, "{rates:?}");
    scene.link.bits_per_second = 3e6;
    scene.run(30 * SECOND);
    assert_eq!(scene.target(1), Some(2));
}

#[test]
fn the_large_one_goes_first() {
    let mut scene = Scene::new(1.6e6, &[(1, 3), (2, 3), (3, 3)]);
    scene.want(1, 0, 1);
    scene.want(2, u8::MAX, 4);
    scene.want(3, 0, 1);
    scene.run(30 * SECOND);
    assert_eq!([1, 2, 3].map(|leg| scene.target(leg)), [Some(0), Some(2), Some(0)]);
    scene.want(2, 0, 1);
    scene.want(3, u8::MAX, 4);
    scene.run(20 * SECOND);
    assert_eq!([1, 2, 3].map(|leg| scene.target(leg)), [Some(0), Some(0), Some(2)]);
}

#[test]
fn a_steady_link_between_two_layers_is_not_switched_back_and_forth() {
    let mut scene = Scene::new(700e3, &[(1, 3)]);
    scene.run(20 * SECOND);
    scene.changes();
    scene.run(60 * SECOND);
    let changes = scene.changes();
    assert!(changes.len() <= 4, "in a minute: {changes:?}");
    assert_eq!(scene.target(1), Some(1));
}

#[test]
fn padding_fills_the_link_only_while_something_is_waited_for() {
    let mut scene = Scene::new(5e6, &[(1, 3)]);
    scene.want(1, 0, 0);
    scene.run(5 * SECOND);
    assert_eq!(scene.link.padding, 0, "it has what it wants");
    scene.want(1, u8::MAX, 0);
    scene.run(15 * SECOND);
    assert_eq!(scene.target(1), Some(2));
    assert!(scene.link.padding > 10_000, "{}", scene.link.padding);
    scene.link.padding = 0;
    scene.run(5 * SECOND);
    assert_eq!(scene.link.padding, 0);
}

#[test]
fn who_reports_nothing_gets_the_lowest_layer_and_who_cannot_report_gets_the_best() {
    let mut scene = Scene::new(5e6, &[(1, 3)]);
    scene.link.is_silent = true;
    let mute = ExtensionIds { transport_sequence: 0, ..IDS };
    scene.run(5 * SECOND);
    assert!(scene.target(1) < Some(2));
    scene.world.order(Command::SetExtensions { peer: PeerId(2), extensions: mute }).unwrap();
    scene.world.pass(SECOND);
    scene.world.out.clear();
    assert_eq!(scene.target(1), Some(2));
}

#[test]
fn a_layer_that_ends_is_replaced_by_the_best_that_comes() {
    let mut scene = Scene::new(5e6, &[(1, 3)]);
    scene.run(15 * SECOND);
    assert_eq!(scene.target(1), Some(2));
    scene.videos = vec![(1, 2)];
    scene.run(3 * SECOND);
    assert_eq!(scene.target(1), Some(1));
    scene.videos = vec![(1, 3)];
    scene.run(3 * SECOND);
    assert_eq!(scene.target(1), Some(2));
}

#[test]
fn under_heavy_loss_the_voice_goes_on_and_the_video_comes_back_after_it() {
    let mut scene = Scene::new(3e6, &[(1, 3)]);
    scene.run(15 * SECOND);
    scene.link.loses_one_in = 5;
    scene.run(15 * SECOND);
    assert!(scene.target(1) < Some(2), "{:?}", scene.target(1));
    let rates = scene.measure(5 * SECOND);
    assert!(rates[&AUDIO] >= 11, "{rates:?}");
    scene.link.loses_one_in = 0;
    scene.run(40 * SECOND);
    assert_eq!(scene.target(1), Some(2));
}
