//! The replay window (RFC 3711 section 3.3.2).

const BITS: u64 = 1024;
const WORDS: usize = (BITS / 64) as usize;

/// Which of the last 1024 packet indices were seen: as many as browsers keep.
#[derive(Debug)]
pub(super) struct Window {
    /// One above the highest index seen; zero before the first.
    next: u64,
    seen: [u64; WORDS],
}

impl Window {
    pub(super) const fn new() -> Self {
        Self { next: 0, seen: [0; WORDS] }
    }

    /// The highest index seen.
    pub(super) const fn highest(&self) -> Option<u64> {
        self.next.checked_sub(1)
    }

    /// Whether `index` is neither old nor seen.
    pub(super) fn is_fresh(&self, index: u64) -> bool {
        if index >= self.next {
            return true;
        }
        self.next - index <= BITS && self.seen[word(index)] & bit(index) == 0
    }

    /// Marks `index` as seen; only for packets that were authentic and fresh.
    pub(super) fn mark(&mut self, index: u64) {
        if index >= self.next {
            if index - self.next >= BITS {
                self.seen = [0; WORDS];
            } else {
                (self.next..index).for_each(|skipped| self.seen[word(skipped)] &= !bit(skipped));
            }
            self.next = index + 1;
        }
        self.seen[word(index)] |= bit(index);
    }
}

const fn word(index: u64) -> usize {
    ((index % BITS) / 64) as usize
}

const fn bit(index: u64) -> u64 {
    1 << (index % 64)
}
