//! What a subscriber's link is spent on: the lowest layer of every video first, then better ones, each by rank.

use std::cmp::Reverse;

/// Layers of one video.
pub const MAX_LAYERS: usize = 8;

/// What is known of the link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// Bits a second for all videos together.
    pub budget: u64,
    /// Nothing has shown a limit yet. Then the lowest layers are given as audio is: a link that has carried
    /// nothing so far cannot have proved that it carries one of them.
    pub is_untried: bool,
}

/// One video that a subscriber wants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Want {
    /// Higher goes first. Among equals the order of the list decides.
    pub priority: u8,
    /// Bits a second of each layer that comes and is wanted, from the lowest up; the first [`Want::layers`] count.
    pub rates: [u64; MAX_LAYERS],
    /// How many layers there are to choose from.
    pub layers: usize,
    /// How many of them the subscriber has at present: 0 for a pause, 1 for the lowest one.
    pub present: usize,
    /// Whether it may have more than at present. When not, nobody that ranks below gets more, either: what is free
    /// is kept for this one.
    pub may_rise: bool,
}

impl Want {
    /// Bits a second of what it has at present.
    pub fn taken(&self) -> u64 {
        self.highest(self.present)
    }

    fn highest(&self, layers: usize) -> u64 {
        self.rates[..layers].iter().max().copied().unwrap_or(0)
    }

    /// What the step to the `layer`-th layer adds. A layer that takes less than the one below it is had for nothing.
    fn step(&self, layer: usize) -> u64 {
        self.highest(layer) - self.highest(layer - 1)
    }
}

/// The outcome.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Allocation {
    /// For each want how many layers it gets, counted as [`Want::present`] is.
    pub granted: Vec<usize>,
    /// Bits a second of what was granted.
    pub total: u64,
    /// What the budget would have to be for the first better layer that was not granted; `None` when everyone has
    /// all that they want.
    pub next: Option<u64>,
}

/// What a step up has to leave free, in percent of what is taken then. It is more than an estimate wavers, so that
/// a layer that was given is not taken back by noise.
const MARGIN: u64 = 15;

/// The budget from which on something that takes `total` is given to who does not have it yet.
fn with_margin(total: u64) -> u64 {
    total.saturating_mul(100 + MARGIN) / 100
}

/// Spends the link. The steps stand in one order: the lowest layers by rank, then all second steps of the highest
/// priority, its third steps, and on to the next priority. What a subscriber has already is kept as far as it fits;
/// what it does not have needs a margin, and ends at the first step that gets none, so that nobody gains by what
/// somebody of higher rank still waits for.
///
/// The total is never above the budget, but for lowest layers on an untried link.
pub fn allocate(link: Link, wants: &[Want]) -> Allocation {
    let steps = wants.iter().enumerate();
    let mut steps: Vec<(usize, usize)> =
        steps.flat_map(|(at, want)| (1..=want.layers).map(move |layer| (at, layer))).collect();
    steps.sort_by_key(|(at, layer)| (*layer > 1, Reverse(wants[*at].priority), *layer, *at));
    let mut outcome = Allocation { granted: vec![0; wants.len()], ..Allocation::default() };
    for (at, layer) in steps {
        let want = &wants[at];
        // Who did not get a layer does not get the one above it.
        if outcome.granted[at] + 1 != layer {
            continue;
        }
        let total = outcome.total.saturating_add(want.step(layer));
        let is_kept = layer <= want.present;
        let is_free = link.is_untried && layer == 1;
        let fits = if is_kept { total <= link.budget } else { with_margin(total) <= link.budget };
        let may_rise = is_kept || (want.may_rise && outcome.next.is_none());
        if is_free || (fits && may_rise) {
            outcome.granted[at] = layer;
            outcome.total = total;
        } else {
            outcome.next = outcome.next.or(Some(with_margin(total)));
        }
    }
    outcome
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn want(priority: u8, rates: &[u64]) -> Want {
        let mut want = Want { priority, layers: rates.len(), may_rise: true, ..Want::default() };
        want.rates[..rates.len()].copy_from_slice(rates);
        want
    }

    fn granted(budget: u64, wants: &[Want]) -> Vec<usize> {
        allocate(Link { budget, is_untried: false }, wants).granted
    }

    #[test]
    fn everyone_is_seen_before_anyone_is_seen_better() {
        let wants = [want(0, &[100, 400]), want(2, &[100, 400, 1500]), want(0, &[100, 400])];
        assert_eq!(granted(114, &wants), [0, 0, 0]);
        assert_eq!(granted(120, &wants), [0, 1, 0], "the large one first");
        assert_eq!(granted(345, &wants), [1, 1, 1]);
        assert_eq!(granted(690, &wants), [1, 2, 1]);
        assert_eq!(granted(1500, &wants), [1, 2, 1], "what is left waits for the large one");
        assert_eq!(granted(1955, &wants), [1, 3, 1]);
        assert_eq!(granted(10_000, &wants), [2, 3, 2]);
    }

    #[test]
    fn equals_rise_together() {
        let wants = [want(1, &[100, 400, 1500]); 2];
        assert_eq!(granted(1000, &wants), [2, 2]);
        assert_eq!(granted(2190, &wants), [3, 2], "the first of them when it is not enough for both");
    }

    #[test]
    fn what_one_has_is_kept_without_a_margin_and_given_back_from_the_end() {
        let has = |present| Want { present, ..want(0, &[100, 400]) };
        assert_eq!(granted(400, &[has(2)]), [2]);
        assert_eq!(granted(400, &[has(1)]), [1]);
        assert_eq!(granted(399, &[has(2)]), [1]);
        assert_eq!(granted(150, &[has(2), has(2)]), [1, 0]);
    }

    #[test]
    fn who_has_to_wait_is_not_overtaken() {
        let waits = Want { may_rise: false, present: 1, ..want(1, &[100, 400]) };
        assert_eq!(granted(10_000, &[want(0, &[100, 400]), waits]), [1, 1]);
    }

    #[test]
    fn the_next_step_says_what_the_link_would_have_to_carry() {
        let link = Link { budget: 200, is_untried: false };
        let outcome = allocate(link, &[want(0, &[100, 400])]);
        assert_eq!((outcome.total, outcome.next), (100, Some(460)));
        assert_eq!(allocate(link, &[want(0, &[100])]).next, None);
    }

    #[test]
    fn an_untried_link_gets_the_lowest_layers_and_no_more() {
        let wants = [want(0, &[500, 900]), want(0, &[500, 900])];
        let outcome = allocate(Link { budget: 300, is_untried: true }, &wants);
        assert_eq!((outcome.granted, outcome.total), (vec![1, 1], 1000));
    }

    fn wants() -> impl Strategy<Value = Vec<Want>> {
        let one = (0_u8..4, proptest::collection::vec(1_u64..3000, 0..=3), any::<bool>(), 0_usize..=3);
        proptest::collection::vec(one, 0..8).prop_map(|all| {
            let all = all.into_iter();
            all.map(|(priority, rates, may_rise, present)| Want {
                present: present.min(rates.len()),
                may_rise,
                ..want(priority, &rates)
            })
            .collect()
        })
    }

    /// The granted layers in the order of rank.
    fn ranked(wants: &[Want], granted: &[usize]) -> Vec<usize> {
        let mut order: Vec<usize> = (0..wants.len()).collect();
        order.sort_by_key(|at| Reverse(wants[*at].priority));
        order.into_iter().map(|at| granted[at]).collect()
    }

    proptest! {
        #[test]
        fn the_budget_holds_and_the_total_is_what_was_granted(wants in wants(), budget in 0_u64..20_000) {
            let outcome = allocate(Link { budget, is_untried: false }, &wants);
            let cost = |(want, layers): (&Want, &usize)| want.rates[..*layers].iter().max().copied().unwrap_or(0);
            prop_assert_eq!(wants.iter().zip(&outcome.granted).map(cost).sum::<u64>(), outcome.total);
            prop_assert!(outcome.total <= budget);
        }

        /// A larger budget takes nothing from anybody who starts with nothing.
        #[test]
        fn more_is_never_less(wants in wants(), budget in 0_u64..20_000, more in 0_u64..5000) {
            let fresh: Vec<_> = wants.iter().map(|want| Want { present: 0, ..*want }).collect();
            let (small, large) = (granted(budget, &fresh), granted(budget + more, &fresh));
            prop_assert!(small.iter().zip(&large).all(|(small, large)| small <= large), "{small:?} {large:?}");
        }

        /// With layers in hand it holds for the first in rank that sees a difference at all.
        #[test]
        fn more_goes_to_the_higher_rank(wants in wants(), budget in 0_u64..20_000, more in 0_u64..5000) {
            let seen = |budget| granted(budget, &wants).iter().map(|layers| (*layers).min(1)).collect::<Vec<_>>();
            prop_assert!(ranked(&wants, &seen(budget)) <= ranked(&wants, &seen(budget + more)));
        }

        #[test]
        fn nobody_is_seen_better_while_a_newcomer_of_higher_rank_is_not_seen(wants in wants(), budget in 0_u64..20_000) {
            let fresh: Vec<_> = wants.iter().map(|want| Want { present: 0, ..*want }).collect();
            let outcome = granted(budget, &fresh);
            let unseen = fresh.iter().zip(&outcome).filter(|(want, layers)| want.layers > 0 && **layers == 0);
            let Some(first) = unseen.map(|(want, _)| want.priority).max() else { return Ok(()) };
            for (want, layers) in fresh.iter().zip(&outcome) {
                prop_assert!(*layers <= usize::from(want.priority >= first), "{fresh:?} {outcome:?}");
            }
        }

        /// Under an estimate that wavers by 6 %, whoever got a layer keeps it.
        #[test]
        fn noise_takes_nothing_back(
            wants in wants(),
            budget in 0_u64..20_000,
            noise in proptest::collection::vec(94_u64..=106, 1..20),
        ) {
            let mut wants: Vec<_> = wants.iter().map(|want| Want { present: 0, ..*want }).collect();
            for percent in noise {
                let outcome = granted(budget * percent / 100, &wants);
                for (want, layers) in wants.iter_mut().zip(outcome) {
                    prop_assert!(layers >= want.present);
                    want.present = layers;
                }
            }
        }
    }
}
