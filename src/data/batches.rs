//! The order in which training sees its pictures: epochs without end, each a new permutation.

use crate::rng::Rng;

/// Indices 0…N−1 in shuffled epochs. Seed and number of samples drawn are the whole state: where an iterator is resumed makes
/// no difference to what it yields.
#[derive(Clone, Debug)]
pub struct Batches {
    seed: u64,
    drawn: u64,
    /// The order of the epoch `drawn` lies in.
    order: Vec<usize>,
}

/// Shuffles draw from the streams of the seed whose highest bit is set, one an epoch: the rest are free for noise.
const SHUFFLES: u64 = 1 << 63;

impl Batches {
    /// An iterator over a data set of `len` pictures, at least one.
    pub fn new(len: usize, seed: u64) -> Self {
        Self::resume(len, seed, 0)
    }

    /// The iterator that has drawn `drawn` samples already.
    ///
    /// # Panics
    /// If `len` is 0.
    pub fn resume(len: usize, seed: u64, drawn: u64) -> Self {
        assert!(len > 0, "a data set to draw from has at least one picture");
        let mut batches = Self { seed, drawn, order: (0..len).collect() };
        batches.shuffle();
        batches
    }

    /// Samples drawn so far.
    pub fn drawn(&self) -> u64 {
        self.drawn
    }

    /// Whole epochs drawn so far.
    pub fn epoch(&self) -> u64 {
        self.drawn / self.order.len() as u64
    }

    /// The next `size` indices; a batch may end one epoch and begin the next.
    pub fn next_batch(&mut self, size: usize) -> Vec<usize> {
        self.take(size).collect()
    }

    fn shuffle(&mut self) {
        // From the identity each time, so that an epoch's order does not depend on the one before.
        self.order.sort_unstable();
        Rng::stream(self.seed, SHUFFLES | self.epoch()).shuffle(&mut self.order);
    }
}

impl Iterator for Batches {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        let len = self.order.len() as u64;
        let index = self.order[(self.drawn % len) as usize];
        self.drawn += 1;
        if self.drawn.is_multiple_of(len) {
            self.shuffle();
        }
        Some(index)
    }
}
