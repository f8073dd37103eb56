//! One track on its way to one subscriber.

use std::time::Duration;

use super::encoding::{ClockPair, Encoding};
use super::history::Packet;
use super::pace::Pace;
use super::rewrite::{Place, Rewriter, Shifts};
use crate::feedback::Plea;
use crate::ids::{LegId, PeerId};
use crate::time::{Time, ntp_duration};

/// Retransmissions that one subscriber can have of one track, and in which time.
const REPAIRS: (u32, Duration) = (16, Duration::from_millis(10));
/// Sender reports that a receiver report may still refer to.
const REPORTS_KEPT: usize = 4;
/// A switch whose timestamps jump further than this ahead of the clock is not believed.
const MAX_LEAP: Duration = Duration::from_secs(2);

/// What the session description says about a leg.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LegSpec {
    /// Its name.
    pub id: LegId,
    /// The subscriber.
    pub peer: PeerId,
    /// The subscriber's m-line.
    pub mid: Vec<u8>,
    /// Never used before towards this subscriber.
    pub ssrc: u32,
    /// SSRC and payload type of retransmissions; without them nothing is sent again.
    pub rtx: Option<(u32, u8)>,
    /// The codec's, as this subscriber numbers it.
    pub payload_type: u8,
}

/// What a subscriber wants of a track.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wish {
    /// The best encoding that is of use to it, counted from 0, the lowest quality; what is above the track's best
    /// means that.
    pub highest: u8,
    /// Where the link is short, higher goes first. It says nothing about audio, which always goes.
    pub priority: u8,
}

/// The state of one leg.
pub struct Leg {
    /// As negotiated.
    pub spec: LegSpec,
    /// The subscriber's wishes for key frames.
    pub plea: Plea,
    /// What the subscriber wants; `None` is "nothing".
    pub wish: Option<Wish>,
    /// Its patience.
    pub pace: Pace,
    target: Option<u8>,
    rewriter: Rewriter,
    rtx_next: u64,
    /// Since when `repairs_left` counts.
    repairs_since: Time,
    repairs_left: u32,
    newest: Option<Newest>,
    packets: u32,
    octets: u32,
    reports: [(u32, Time); REPORTS_KEPT],
}

/// The numbers inside the newest packet, as the subscriber saw them.
#[derive(Clone, Copy)]
struct Newest {
    outgoing: u64,
    sent: Time,
    timestamp: u32,
    picture: u16,
    base: u8,
    frame: u16,
}

impl Leg {
    /// A leg that forwards nothing until it is [aimed](Leg::aim).
    pub fn new(spec: LegSpec, wish: Option<Wish>) -> Self {
        Self {
            spec,
            plea: Plea::default(),
            wish,
            pace: Pace::default(),
            target: None,
            // Both below 2^15, so that a lost first packet is not taken for a rollover (RFC 3711 section 3.3.1).
            rewriter: Rewriter::new(1),
            rtx_next: 1,
            repairs_since: Time::ZERO,
            repairs_left: REPAIRS.0,
            newest: None,
            packets: 0,
            octets: 0,
            reports: [(0, Time::ZERO); REPORTS_KEPT],
        }
    }

    /// The encoding that the subscriber is to get; `None` is "paused".
    pub fn target(&self) -> Option<u8> {
        self.target
    }

    /// Chooses what the subscriber is to get. The encoding before goes on until a key frame of the new one.
    pub fn aim(&mut self, target: Option<u8>) {
        self.target = target;
        if target.is_none() {
            self.rewriter.stop();
        }
    }

    /// The encoding that is forwarded at present.
    pub fn encoding(&self) -> Option<u8> {
        self.rewriter.encoding()
    }

    /// The encoding for whose key frame the leg waits.
    pub fn awaits(&self) -> Option<u8> {
        self.target.filter(|target| self.rewriter.encoding() != Some(*target))
    }

    /// The encoding's stream starts anew: forwarding waits for its next key frame.
    pub fn restart(&mut self, encoding: u8) {
        if self.rewriter.encoding() == Some(encoding) {
            self.rewriter.stop();
        }
    }

    /// Where a new packet stands for the subscriber; `None` when it is not to see it. Asked once per packet.
    pub fn place(&mut self, now: Time, encoding: u8, packet: &Packet, encodings: &[Encoding]) -> Option<Place> {
        if self.awaits() == Some(encoding) && packet.descriptor.starts_key_frame {
            let shifts = self.shifts(now, encoding, packet, encodings);
            self.rewriter.switch(encoding, packet.index, shifts);
        }
        let place = self.rewriter.place(encoding, packet.index)?;
        if self.newest.is_none_or(|newest| place.outgoing > newest.outgoing) {
            self.newest = Some(Newest {
                outgoing: place.outgoing,
                sent: now,
                timestamp: packet.timestamp.wrapping_add(place.shifts.timestamp),
                picture: packet.descriptor.picture_id.wrapping_add(place.shifts.picture),
                base: packet.descriptor.base_index.wrapping_add(place.shifts.base),
                frame: packet.descriptor.frame_number.wrapping_add(place.shifts.frame),
            });
        }
        Some(place)
    }

    /// A packet without payload, which the subscriber does not get, leaves no gap.
    pub fn skip(&mut self, encoding: u8, index: u64) {
        self.rewriter.skip(encoding, index);
    }

    /// Counts a packet for the sender report.
    pub fn sent(&mut self, payload: usize) {
        self.packets = self.packets.wrapping_add(1);
        self.octets = self.octets.wrapping_add(payload as u32);
    }

    /// The packet that a retransmission request names; `None` for what was never sent, and above the budget.
    pub fn repair(&mut self, now: Time, sequence: u16) -> Option<Place> {
        let newest = self.newest?.outgoing;
        let place = self.rewriter.find(crate::rtp::unwrap(newest, sequence))?;
        if now.since(self.repairs_since) >= REPAIRS.1 {
            (self.repairs_since, self.repairs_left) = (now, REPAIRS.0);
        }
        self.repairs_left = self.repairs_left.checked_sub(1)?;
        Some(place)
    }

    /// The index of the next packet in the stream of retransmissions; each is given once.
    pub fn next_repair(&mut self) -> u64 {
        self.rtx_next += 1;
        self.rtx_next - 1
    }

    /// What a sender report says now: NTP time in the publisher's clock, RTP time, packets, octets. `None` until
    /// the publisher's first report.
    pub fn report(
        &mut self,
        now: Time,
        encodings: &[Encoding],
        clock_rate: u32,
    ) -> Option<(u64, u32, u32, u32)> {
        let encoding = &encodings[usize::from(self.rewriter.encoding()?)];
        let shifts = self.rewriter.shifts()?;
        let clock = encoding.clock?;
        let age = now.since(clock.arrival);
        let ntp = clock.ntp.wrapping_add(ntp_duration(age));
        let timestamp = clock.timestamp.wrapping_add(ticks(age, clock_rate)).wrapping_add(shifts.timestamp);
        self.reports.rotate_right(1);
        self.reports[0] = ((ntp >> 16) as u32, now);
        Some((ntp, timestamp, self.packets, self.octets))
    }

    /// The round trip that a receiver report shows (RFC 3550 section 6.4.1).
    pub fn round_trip(&self, now: Time, last_report: u32, delay: u32) -> Option<Duration> {
        let (_, sent) = self.reports.iter().find(|(middle, _)| last_report != 0 && *middle == last_report)?;
        let delay = Duration::from_nanos((u64::from(delay) * 1_000_000_000) >> 16);
        now.since(*sent).checked_sub(delay)
    }

    fn shifts(&self, now: Time, encoding: u8, packet: &Packet, encodings: &[Encoding]) -> Shifts {
        let Some(newest) = self.newest else {
            return Shifts::default();
        };
        let rate = encodings[usize::from(encoding)].clock_rate();
        let elapsed = ticks(now.since(newest.sent), rate).max(1);
        let by_clock = newest.timestamp.wrapping_add(elapsed).wrapping_sub(packet.timestamp);
        let by_reports = self.last_forwarded().and_then(|(before, shift)| {
            let from = encodings.get(usize::from(before))?.clock?;
            let to = encodings[usize::from(encoding)].clock?;
            Some(shift.wrapping_add(distance(from, to, rate)))
        });
        let is_believable = |shift: &u32| {
            let ahead = packet.timestamp.wrapping_add(*shift).wrapping_sub(newest.timestamp);
            (1..=elapsed.saturating_add(ticks(MAX_LEAP, rate))).contains(&ahead)
        };
        Shifts {
            timestamp: by_reports.filter(is_believable).unwrap_or(by_clock),
            picture: newest.picture.wrapping_add(1).wrapping_sub(packet.descriptor.picture_id),
            base: newest.base.wrapping_add(1).wrapping_sub(packet.descriptor.base_index),
            frame: newest.frame.wrapping_add(1).wrapping_sub(packet.descriptor.frame_number),
        }
    }

    fn last_forwarded(&self) -> Option<(u8, u32)> {
        let place = self.rewriter.find(self.newest?.outgoing)?;
        Some((place.encoding, place.shifts.timestamp))
    }
}

/// RTP ticks in `duration`, modulo 2^32.
fn ticks(duration: Duration, clock_rate: u32) -> u32 {
    (duration.as_nanos() * u128::from(clock_rate) / 1_000_000_000) as u32
}

/// What to add to a timestamp of `to` to have the timestamp of `from` at the same moment.
fn distance(from: ClockPair, to: ClockPair, clock_rate: u32) -> u32 {
    let later = to.ntp.wrapping_sub(from.ntp).cast_signed();
    let ticks = (i128::from(later) * i128::from(clock_rate)) >> 32;
    from.timestamp.wrapping_add(ticks as u32).wrapping_sub(to.timestamp)
}

#[cfg(test)]
mod tests {
    use super::super::descriptor::{Codec, Descriptor};
    use super::*;

    fn leg() -> Leg {
        let spec = LegSpec {
            id: LegId(1),
            peer: PeerId(1),
            mid: b"0".to_vec(),
            ssrc: 1,
            rtx: Some((2, 97)),
            payload_type: 96,
        };
        let mut leg = Leg::new(spec, None);
        leg.aim(Some(0));
        leg
    }

    fn packet(index: u64, timestamp: u32, starts_key_frame: bool, picture_id: u16) -> Packet {
        let descriptor = Descriptor { starts_key_frame, picture_id, ..Descriptor::default() };
        Packet { index, timestamp, descriptor, ..Packet::default() }
    }

    fn encodings() -> [Encoding; 2] {
        [0, 1].map(|_| Encoding::new(Codec::Vp8, None, None, None))
    }

    #[test]
    fn video_begins_with_a_key_frame() {
        let (mut leg, encodings) = (leg(), encodings());
        assert_eq!(leg.place(Time::ZERO, 0, &packet(5, 0, false, 0), &encodings), None);
        assert_eq!(leg.awaits(), Some(0));
        assert_eq!(leg.place(Time::ZERO, 0, &packet(6, 0, true, 0), &encodings).unwrap().outgoing, 1);
        assert_eq!(leg.place(Time::ZERO, 0, &packet(7, 0, false, 0), &encodings).unwrap().outgoing, 2);
        assert_eq!(leg.awaits(), None);
    }

    #[test]
    fn a_layer_switch_keeps_the_publishers_clock() {
        let (mut leg, mut encodings) = (leg(), encodings());
        let second = 1_u64 << 32;
        encodings[0].clock = Some(ClockPair { ntp: 100 * second, timestamp: 5000, arrival: Time::ZERO });
        encodings[1].clock = Some(ClockPair { ntp: 101 * second, timestamp: 777_000, arrival: Time::ZERO });
        let at = Time::from_millis;
        leg.place(at(0), 0, &packet(10, 5000, true, 40), &encodings).unwrap();
        leg.aim(Some(1));
        assert!(
            leg.place(at(33), 0, &packet(11, 8000, false, 41), &encodings).is_some(),
            "the old one goes on"
        );
        assert!(leg.place(at(60), 1, &packet(900, 690_000, false, 7), &encodings).is_none());
        // 700,000 is 77,000 ticks before the report at 101 s; that moment is 5,000 + 13,000 in the first clock.
        let place = leg.place(at(70), 1, &packet(901, 700_000, true, 8), &encodings).unwrap();
        assert_eq!(place.outgoing, 3);
        assert_eq!(700_000_u32.wrapping_add(place.shifts.timestamp), 18_000);
        assert_eq!(8_u16.wrapping_add(place.shifts.picture), 42);
        assert!(leg.place(at(71), 0, &packet(12, 11_000, false, 42), &encodings).is_none());
    }

    #[test]
    fn without_reports_the_wall_clock_carries_a_switch() {
        let (mut leg, encodings) = (leg(), encodings());
        leg.place(Time::from_millis(0), 0, &packet(10, 5000, true, 0), &encodings).unwrap();
        leg.aim(Some(1));
        let place = leg.place(Time::from_millis(100), 1, &packet(1, 9, true, 0), &encodings).unwrap();
        assert_eq!(9_u32.wrapping_add(place.shifts.timestamp), 5000 + 9000);
    }

    #[test]
    fn a_pause_leaves_no_gap() {
        let (mut leg, encodings) = (leg(), encodings());
        leg.place(Time::ZERO, 0, &packet(10, 0, true, 0), &encodings).unwrap();
        leg.aim(None);
        assert!(leg.place(Time::ZERO, 0, &packet(11, 0, true, 0), &encodings).is_none());
        leg.aim(Some(0));
        assert!(leg.place(Time::ZERO, 0, &packet(12, 0, false, 0), &encodings).is_none());
        assert_eq!(leg.place(Time::ZERO, 0, &packet(13, 0, true, 0), &encodings).unwrap().outgoing, 2);
    }

    #[test]
    fn repairs_are_limited_and_only_for_what_was_sent() {
        let (mut leg, encodings) = (leg(), encodings());
        let at = Time::from_millis;
        assert!(leg.repair(at(100), 1).is_none());
        leg.place(Time::ZERO, 0, &packet(10, 0, true, 0), &encodings).unwrap();
        assert_eq!(leg.repair(at(100), 1).unwrap().incoming, 10);
        assert!(leg.repair(at(100), 2).is_none());
        assert_eq!((0..200).filter(|_| leg.repair(at(109), 1).is_some()).count(), 15);
        assert!(leg.repair(at(110), 1).is_some());
    }

    #[test]
    fn reports_follow_the_publisher_and_measure_the_round_trip() {
        let (mut leg, mut encodings) = (leg(), encodings());
        leg.place(Time::ZERO, 0, &packet(10, 0, true, 0), &encodings).unwrap();
        assert!(leg.report(Time::ZERO, &encodings, 90_000).is_none());
        let ntp = 0x0000_0102_0000_0000;
        encodings[0].clock = Some(ClockPair { ntp, timestamp: 1000, arrival: Time::ZERO });
        let (sent, timestamp, ..) = leg.report(Time::from_millis(1000), &encodings, 90_000).unwrap();
        assert_eq!((sent, timestamp), (0x0000_0103_0000_0000, 91_000));
        let back = leg.round_trip(Time::from_millis(1600), (sent >> 16) as u32, 0x8000);
        assert_eq!(back, Some(Duration::from_millis(100)));
        assert_eq!(leg.round_trip(Time::from_millis(1600), 0, 0), None);
    }
}
