//! What the worker tells the control half, and the queue in which it waits to be fetched.

use rustc_hash::FxHashMap;

use crate::command::{Event, Refusal};
use crate::ids::{LegId, PeerId, TrackId};
use crate::net::SendCounters;
use crate::plane::Counters;

/// News that wait for the control half; what is above is counted and lost.
const MAX_NEWS: usize = 65_536;

/// What the worker tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    /// Something happened.
    Event(Event),
    /// The order with this token was carried out, or not.
    Answer {
        /// As given with the order.
        token: u64,
        /// The plane's word.
        outcome: Result<(), Refusal>,
    },
    /// What [`crate::worker::Worker::ask_statistics`] asked for.
    Statistics {
        /// As given with the question.
        token: u64,
        /// How many peers there are.
        peers: usize,
        /// The plane's counts.
        plane: Counters,
        /// The socket's counts.
        socket: SendCounters,
    },
    /// So many news were lost, for nobody fetched them.
    Lost(u64),
    /// The socket failed, or the plane did; the worker has ended.
    Failed,
}

/// Of what the last word alone counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum State {
    Link(PeerId),
    Voice(TrackId),
    View(LegId),
}

impl State {
    fn of(news: &News) -> Option<Self> {
        match news {
            News::Event(Event::Estimate { peer, .. }) => Some(Self::Link(*peer)),
            News::Event(Event::Loudness { track, .. }) => Some(Self::Voice(*track)),
            News::Event(Event::Switched { leg, .. } | Event::Paused { leg }) => Some(Self::View(*leg)),
            _ => None,
        }
    }
}

/// News in their order. Of estimates, loudness and what legs show, only the last word on each waits, in the place of
/// the one before: they are no more than there are peers, tracks and legs, however long nobody fetches them.
#[derive(Default)]
pub struct Queue {
    news: Vec<News>,
    places: FxHashMap<State, usize>,
    lost: u64,
    is_urgent: bool,
}

impl Queue {
    /// Adds one; true when it is the first for which the control half is to be woken.
    pub fn put(&mut self, news: News) -> bool {
        let state = State::of(&news);
        if let Some(place) = state.and_then(|state| self.places.get(&state)) {
            self.news[*place] = news;
            return false;
        }
        if self.news.len() >= MAX_NEWS {
            self.lost += 1;
            return false;
        }
        if let Some(state) = state {
            self.places.insert(state, self.news.len());
        }
        self.news.push(news);
        state.is_none() && !std::mem::replace(&mut self.is_urgent, true)
    }

    /// Whether there are some, and nobody was woken for them.
    pub fn has_quiet(&self) -> bool {
        !self.news.is_empty() && !self.is_urgent
    }

    /// All that wait; how many were lost stands last.
    pub fn take(&mut self) -> Vec<News> {
        let Self { mut news, lost, .. } = std::mem::take(self);
        if lost > 0 {
            news.push(News::Lost(lost));
        }
        news
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn estimate(peer: u32, bits_per_second: u64) -> News {
        News::Event(Event::Estimate { peer: PeerId(peer), bits_per_second })
    }

    fn answer(token: u64) -> News {
        News::Answer { token, outcome: Ok(()) }
    }

    #[test]
    fn of_a_state_only_the_last_word_waits() {
        let mut queue = Queue::default();
        let view = |event| News::Event(event);
        for round in 0..100_000 {
            queue.put(estimate(1, round));
            queue.put(estimate(2, 2 * round));
            queue.put(News::Event(Event::Loudness { track: TrackId(1), loudness: round as u8 }));
            queue.put(view(Event::Switched { leg: LegId(1), encoding: 0 }));
            queue.put(view(Event::Paused { leg: LegId(1) }));
        }
        let last = News::Event(Event::Loudness { track: TrackId(1), loudness: 99_999_u32 as u8 });
        let paused = view(Event::Paused { leg: LegId(1) });
        assert_eq!(queue.take(), [estimate(1, 99_999), estimate(2, 199_998), last, paused]);
        queue.put(estimate(1, 7));
        assert_eq!(queue.take(), [estimate(1, 7)], "a fetched word is not replaced");
    }

    #[test]
    fn only_what_happened_wakes_and_only_once() {
        let mut queue = Queue::default();
        assert!(!queue.has_quiet());
        assert!(!queue.put(estimate(1, 1)));
        assert!(queue.has_quiet());
        assert!(queue.put(answer(1)));
        assert!(!queue.put(answer(2)));
        assert!(!queue.has_quiet(), "they are fetched with the rest");
        assert_eq!(queue.take(), [estimate(1, 1), answer(1), answer(2)]);
        assert!(queue.put(answer(3)));
    }

    #[test]
    fn what_nobody_fetches_is_counted_and_lost() {
        let mut queue = Queue::default();
        (0..MAX_NEWS as u64 + 5).for_each(|token| {
            queue.put(answer(token));
        });
        let news = queue.take();
        assert_eq!((news.len(), news.last()), (MAX_NEWS + 1, Some(&News::Lost(5))));
    }
}
