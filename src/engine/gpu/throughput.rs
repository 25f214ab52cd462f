//! How much work goes into one submission.
//!
//! A browser takes a device for hung when a submission lasts for seconds, and draws nothing while one lasts; too many small
//! ones cost more than their work. So the time of a dispatch is foreseen as its work times a rate that is measured as
//! programs run. Only the cuts between submissions depend on it, never a result.

use crate::tensor::Shape;
use std::sync::{Arc, Mutex, PoisonError};

/// The longest submission aimed at, in seconds: half of what is allowed, for a rate is an average.
const LONGEST: f64 = 0.05;
/// Several runs go into one submission as long as they end within this time: a frame of a 60-Hz screen.
const FRAME: f64 = 0.016;
/// The most runs in one submission.
pub(super) const MOST_RUNS: usize = 16;
/// Seconds per unit of work before anything is measured, pessimistic for adapters of the kind.
const HARDWARE: f64 = 1e-10;
const SOFTWARE: f64 = 1e-8;
/// Measurements remembered. The smallest counts: whatever else a machine does only makes them larger.
const REMEMBERED: usize = 4;

/// The work of a dispatch, in multiplications; what moves values counts as much as it was found to cost beside them.
pub(super) fn work(multiplications: usize, inputs: &[Shape], out: Shape) -> f64 {
    let values: usize = inputs.iter().chain([&out]).map(|shape| shape.vec4_len() * 4).sum();
    (multiplications + 8 * values + 20_000) as f64
}

/// The rate of a device.
#[derive(Clone)]
pub(super) struct Throughput(Arc<Mutex<State>>);

struct State {
    first_guess: f64,
    /// The last seconds per unit of work.
    measured: [f64; REMEMBERED],
    count: usize,
    /// When the last measured work was done.
    done: f64,
}

impl Throughput {
    pub fn new(software: bool) -> Self {
        let first_guess = if software { SOFTWARE } else { HARDWARE };
        Self(Arc::new(Mutex::new(State { first_guess, measured: [0.0; REMEMBERED], count: 0, done: 0.0 })))
    }

    /// Seconds for each unit of work.
    fn rate(&self) -> f64 {
        let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = &state.measured[..state.count.min(REMEMBERED)];
        known.iter().copied().reduce(f64::min).unwrap_or(state.first_guess)
    }

    /// The most work for one submission.
    pub fn most_work(&self) -> f64 {
        LONGEST / self.rate()
    }

    /// How many runs of a program of this much work may go into one submission, one of them at least.
    pub fn runs_at_once(&self, work: f64) -> usize {
        // Too fast to be measured is fast enough.
        ((FRAME / (self.rate() * work)) as usize).clamp(1, MOST_RUNS)
    }

    /// Whether a run of this much work is so short that the next one may be sent off before it is over.
    pub fn is_quick(&self, work: f64) -> bool {
        self.rate() * work <= LONGEST
    }

    /// Learns that this much work was sent off at one time and done at another.
    pub fn learn(&self, work: f64, sent: f64, done: f64) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // It cannot have begun before what was sent earlier was done.
        let seconds = done - sent.max(state.done);
        state.done = done;
        if work > 0.0 && seconds > 0.0 {
            let place = state.count % REMEMBERED;
            state.measured[place] = seconds / work;
            state.count += 1;
        }
    }
}

/// Seconds since some moment.
#[cfg(not(target_arch = "wasm32"))]
pub(super) fn now() -> f64 {
    static START: std::sync::LazyLock<std::time::Instant> = std::sync::LazyLock::new(std::time::Instant::now);
    START.elapsed().as_secs_f64()
}

/// Seconds since some moment.
#[cfg(target_arch = "wasm32")]
pub(super) fn now() -> f64 {
    js_sys::Date::now() / 1e3
}

/// The end of each submission: positions in a list of works, none of which is split, such that no two neighbours that go
/// together are more than `most`, after `before` that waits to be submitted already.
pub(super) fn end_of_submission(works: &[f64], from: usize, before: f64, most: f64) -> (usize, f64) {
    let (mut end, mut sum) = (from, before);
    while end < works.len() && (sum == 0.0 || sum + works[end] <= most) {
        sum += works[end];
        end += 1;
    }
    (end, sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn submissions_hold_no_more_than_they_may_and_no_less_than_one_dispatch() {
        let works = [3.0, 3.0, 5.0, 20.0, 1.0, 1.0];
        let mut ends = Vec::new();
        let mut at = 0;
        while at < works.len() {
            at = end_of_submission(&works, at, 0.0, 10.0).0;
            ends.push(at);
        }
        assert_eq!(ends, [2, 3, 4, 6]);
        assert_eq!(end_of_submission(&works, 0, 6.0, 10.0), (1, 9.0), "what waits already counts");
        assert_eq!(end_of_submission(&works, 0, 9.0, 10.0), (0, 9.0));
    }

    #[test]
    fn the_rate_is_the_best_of_the_last_measurements() {
        let throughput = Throughput::new(true);
        assert_eq!(throughput.most_work(), LONGEST / SOFTWARE);
        assert_eq!(throughput.runs_at_once(1e6), 1);
        throughput.learn(1e6, 0.0, 0.01);
        assert!((throughput.most_work() - 5e6).abs() < 1.0);
        // Sent while the first was under way.
        throughput.learn(1e6, 0.001, 0.012);
        assert!((throughput.most_work() - 25e6).abs() < 1.0);
        assert_eq!(
            (throughput.runs_at_once(1e6), throughput.runs_at_once(1.0), throughput.is_quick(1e6)),
            (8, MOST_RUNS, true)
        );
        for i in 1..=REMEMBERED {
            throughput.learn(1e6, i as f64, i as f64 + 0.1);
        }
        assert_eq!((throughput.runs_at_once(1e6), throughput.is_quick(1e6)), (1, false));
        throughput.learn(1e6, 10.0, 10.0);
        assert!((throughput.most_work() - 5e5).abs() < 1.0, "no time at all is no measurement");
    }
}
