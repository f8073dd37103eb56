//! How one subscriber counts: published indices become its own, without gaps where it was not meant to see packets
//! and without ever using a number twice, which under GCM would be fatal.

/// Stretches of the past that late packets and retransmissions can still refer to.
const STRETCHES: usize = 64;

/// The end of the present stretch: above every index, below every difference that went under zero.
const OPEN: u64 = u64::MAX >> 1;

/// A stretch of one encoding that was forwarded with the same offsets.
#[derive(Clone, Copy, Debug)]
struct Stretch {
    encoding: u8,
    first: u64,
    /// Inclusive; [`OPEN`] while the stretch is the present one.
    last: u64,
    /// Outgoing index minus incoming index, modulo 2^64.
    offset: u64,
    shifts: Shifts,
}

/// What is added to the numbers inside a packet, each modulo its width.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shifts {
    /// RTP timestamp.
    pub timestamp: u32,
    /// VP8 and VP9 picture id.
    pub picture: u16,
    /// TL0PICIDX.
    pub base: u8,
    /// Dependency Descriptor's frame number.
    pub frame: u16,
}

/// Where a packet stands for the subscriber.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Which of the track's encodings it comes from.
    pub encoding: u8,
    /// Published.
    pub incoming: u64,
    /// As the subscriber sees it.
    pub outgoing: u64,
    /// For the numbers inside.
    pub shifts: Shifts,
}

/// The mapping of one subscriber.
pub struct Rewriter {
    stretches: Vec<Stretch>,
    /// The lowest outgoing index that is not used yet.
    next: u64,
    /// The highest incoming index placed in the present stretch.
    newest: u64,
}

impl Rewriter {
    /// Starts counting at `first`.
    pub fn new(first: u64) -> Self {
        Self { stretches: Vec::new(), next: first, newest: 0 }
    }

    /// The encoding that is forwarded at present.
    pub fn encoding(&self) -> Option<u8> {
        self.present().map(|stretch| stretch.encoding)
    }

    /// The present stretch's shifts.
    pub fn shifts(&self) -> Option<Shifts> {
        self.present().map(|stretch| stretch.shifts)
    }

    /// The lowest outgoing index that is not used yet.
    pub fn next(&self) -> u64 {
        self.next
    }

    /// Continues with `encoding` from its packet `incoming` on, which gets the next number.
    pub fn switch(&mut self, encoding: u8, incoming: u64, shifts: Shifts) {
        self.stop();
        let offset = self.next.wrapping_sub(incoming);
        self.push(Stretch { encoding, first: incoming, last: OPEN, offset, shifts });
        self.newest = incoming;
    }

    /// Ends the present stretch: nothing newer is placed until the next [`Rewriter::switch`].
    pub fn stop(&mut self) {
        let newest = self.newest;
        if let Some(present) = self.stretches.last_mut().filter(|stretch| stretch.last == OPEN) {
            present.last = newest;
        }
    }

    /// The place of a packet, for its first sending; `None` when the subscriber is not to see it.
    /// The caller asks once per packet.
    pub fn place(&mut self, encoding: u8, incoming: u64) -> Option<Place> {
        let is_candidate = |stretch: &&Stretch| stretch.encoding == encoding && stretch.contains(incoming);
        let stretch = *self.stretches.iter().rev().find(is_candidate)?;
        if stretch.last == OPEN {
            self.newest = self.newest.max(incoming);
        }
        let outgoing = incoming.wrapping_add(stretch.offset);
        self.next = self.next.max(outgoing + 1);
        Some(Place { encoding, incoming, outgoing, shifts: stretch.shifts })
    }

    /// Closes the gap that the packet `incoming`, not to be forwarded, would leave. A packet that comes late leaves
    /// its gap, for its number is spent.
    pub fn skip(&mut self, encoding: u8, incoming: u64) {
        let newest = self.newest;
        let Some(present) = self.stretches.last_mut() else { return };
        let is_ahead = present.last == OPEN && present.encoding == encoding && incoming > newest;
        if !is_ahead {
            return;
        }
        present.last = incoming - 1;
        let after =
            Stretch { first: incoming + 1, last: OPEN, offset: present.offset.wrapping_sub(1), ..*present };
        // What lies between the newest and the skipped packet may still arrive under the numbers kept for it.
        self.next = self.next.max(incoming.wrapping_add(present.offset));
        self.newest = incoming;
        self.push(after);
    }

    /// The packet that the subscriber knows as `outgoing`.
    pub fn find(&self, outgoing: u64) -> Option<Place> {
        self.stretches.iter().rev().find_map(|stretch| {
            let incoming = outgoing.wrapping_sub(stretch.offset);
            let is_here = outgoing < self.next && stretch.contains(incoming);
            is_here.then_some(Place { encoding: stretch.encoding, incoming, outgoing, shifts: stretch.shifts })
        })
    }

    fn present(&self) -> Option<&Stretch> {
        self.stretches.last().filter(|stretch| stretch.last == OPEN)
    }

    fn push(&mut self, stretch: Stretch) {
        if self.stretches.len() == STRETCHES {
            self.stretches.remove(0);
        }
        self.stretches.push(stretch);
    }
}

impl Stretch {
    fn contains(&self, incoming: u64) -> bool {
        (self.first..=self.last).contains(&incoming)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;

    const NONE: Shifts = Shifts { timestamp: 0, picture: 0, base: 0, frame: 0 };

    #[test]
    fn skipped_packets_leave_no_gap_and_late_ones_find_their_place() {
        let mut rewriter = Rewriter::new(100);
        rewriter.switch(0, 10, NONE);
        let mut out = |index| rewriter.place(0, index).map(|place| place.outgoing);
        assert_eq!(out(10), Some(100));
        assert_eq!(out(12), Some(102));
        rewriter.skip(0, 14);
        let mut out = |index| rewriter.place(0, index).map(|place| place.outgoing);
        assert_eq!(out(15), Some(104));
        assert_eq!(out(13), Some(103));
        assert_eq!(out(11), Some(101));
        assert_eq!(out(14), None);
        assert_eq!(out(9), None, "before the start");
    }

    #[test]
    fn a_switch_continues_the_count() {
        let mut rewriter = Rewriter::new(0);
        rewriter.switch(0, 1000, NONE);
        rewriter.place(0, 1000);
        rewriter.place(0, 1001);
        rewriter.switch(2, 7, Shifts { timestamp: 9, ..NONE });
        assert_eq!(rewriter.place(2, 7).unwrap().outgoing, 2);
        assert_eq!(rewriter.place(0, 1002), None, "the old encoding goes no further");
        assert_eq!(rewriter.find(1).unwrap().incoming, 1001);
        assert_eq!(rewriter.find(2).unwrap().shifts.timestamp, 9);
        assert_eq!(rewriter.find(3), None);
    }

    #[derive(Clone, Debug)]
    enum Step {
        Place(u64),
        Skip(u64),
        Switch(u8),
        Stop,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            12 => (0_u64..12).prop_map(Step::Place),
            3 => (0_u64..12).prop_map(Step::Skip),
            1 => (0_u8..3).prop_map(Step::Switch),
            1 => Just(Step::Stop),
        ]
    }

    proptest! {
        /// Loss, reordering, drops, layer switches and pauses in any mixture.
        #[test]
        fn no_outgoing_number_is_used_twice(steps in proptest::collection::vec(step(), 1..400)) {
            let mut rewriter = Rewriter::new(5);
            let mut heads = [100_u64, 50_000, 900];
            let mut decided = [const { std::collections::BTreeSet::new() }; 3];
            let mut used = HashMap::new();
            let mut encoding = 0_u8;
            for step in steps {
                let lane = usize::from(encoding);
                match step {
                    Step::Place(ahead) | Step::Skip(ahead) => {
                        let incoming = heads[lane] + ahead - 5;
                        if !decided[lane].insert(incoming) {
                            continue;
                        }
                        heads[lane] = heads[lane].max(incoming + 1);
                        if matches!(step, Step::Skip(_)) {
                            rewriter.skip(encoding, incoming);
                        } else if let Some(place) = rewriter.place(encoding, incoming) {
                            let before = used.insert(place.outgoing, (encoding, incoming));
                            prop_assert_eq!(before, None, "number {} again", place.outgoing);
                            prop_assert_eq!(rewriter.find(place.outgoing), Some(place));
                        }
                    }
                    Step::Switch(to) => {
                        encoding = to;
                        let first = heads[usize::from(to)];
                        heads[usize::from(to)] += 1;
                        decided[usize::from(to)].insert(first);
                        rewriter.switch(to, first, NONE);
                        let place = rewriter.place(to, first).unwrap();
                        prop_assert_eq!(used.insert(place.outgoing, (to, first)), None);
                    }
                    Step::Stop => rewriter.stop(),
                }
            }
        }
    }
}
