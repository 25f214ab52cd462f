//! A walk shared out among several workers: who computes which images, and the whole put together again from what they send.
//!
//! Workers do not wait for each other. A step is shown once the last of them has sent it.

use crate::tensor::Shape;
use crate::web::job::Tensor;
use std::collections::VecDeque;
use std::ops::Range;

/// Which images each worker computes: ranges one after the other, whose lengths differ by one at most.
pub fn split(images: usize, workers: usize) -> Vec<Range<usize>> {
    let workers = workers.clamp(1, images.max(1));
    (0..workers).map(|i| i * images / workers..(i + 1) * images / workers).collect()
}

/// A walk in progress, as its workers report it.
#[derive(Debug)]
pub struct Gather {
    shares: Vec<Share>,
    /// Steps put together.
    step: usize,
    /// Milliseconds of the slowest worker up to there.
    milliseconds: f64,
}

/// What one worker does.
#[derive(Debug)]
struct Share {
    images: usize,
    /// Steps it has sent, and images of the next one.
    step: usize,
    done: usize,
    /// Milliseconds of these steps together.
    milliseconds: f64,
    /// Steps that others have not sent yet.
    waiting: VecDeque<Part>,
    finished: bool,
}

/// A worker's images after a step.
#[derive(Debug)]
struct Part {
    timestep: usize,
    tensors: Vec<Tensor>,
    /// Of the worker's steps up to this one.
    milliseconds: f64,
}

/// A step of all images.
#[derive(Debug, PartialEq)]
pub struct Whole {
    /// Steps done.
    pub step: usize,
    /// The timestep the network was asked at.
    pub timestep: usize,
    /// By how much it has moved the time of the slowest worker.
    pub milliseconds: f64,
    /// `[N, …]` each, of all images.
    pub tensors: Vec<Tensor>,
}

impl Gather {
    /// A walk whose images are shared out like this, after so many steps.
    pub fn new(ranges: &[Range<usize>], after: usize) -> Self {
        let share = |range: &Range<usize>| Share {
            images: range.len(),
            step: after,
            done: 0,
            milliseconds: 0.0,
            waiting: VecDeque::new(),
            finished: false,
        };
        Self { shares: ranges.iter().map(share).collect(), step: after, milliseconds: 0.0 }
    }

    /// A worker has computed `done` of its images for a step. Answers with the step that all together have come to, and the
    /// images done in it if they worked one after the other, of how many.
    pub fn part(&mut self, worker: usize, step: usize, done: usize) -> (usize, usize, usize) {
        if let Some(share) = self.shares.get_mut(worker) {
            (share.step, share.done) = (step.saturating_sub(1), done.min(share.images));
        }
        let images: usize = self.shares.iter().map(|share| share.images).sum();
        let all: usize = self.shares.iter().map(|share| share.step * share.images + share.done).sum();
        (all / images.max(1) + 1, all % images.max(1), images)
    }

    /// A worker has sent a step. Answers with the step of all images, if this was what it waited for.
    pub fn frame(
        &mut self,
        worker: usize,
        step: usize,
        timestep: usize,
        ms: f64,
        tensors: Vec<Tensor>,
    ) -> Option<Whole> {
        let share = self.shares.get_mut(worker)?;
        (share.step, share.done) = (step, 0);
        share.milliseconds += ms;
        share.waiting.push_back(Part { timestep, tensors, milliseconds: share.milliseconds });
        if self.shares.iter().any(|share| share.waiting.is_empty()) {
            return None;
        }
        let parts: Vec<Part> = self.shares.iter_mut().filter_map(|share| share.waiting.pop_front()).collect();
        self.step += 1;
        let slowest = parts.iter().fold(0.0, |most: f64, part| most.max(part.milliseconds));
        let milliseconds = slowest - std::mem::replace(&mut self.milliseconds, slowest);
        let timestep = parts[0].timestep;
        Some(Whole { step: self.step, timestep, milliseconds, tensors: join(parts) })
    }

    /// A worker has sent its last step; whether all have.
    pub fn finish(&mut self, worker: usize) -> bool {
        if let Some(share) = self.shares.get_mut(worker) {
            share.finished = true;
        }
        self.shares.iter().all(|share| share.finished)
    }
}

/// The tensors of all workers, those of a name one after the other.
fn join(parts: Vec<Part>) -> Vec<Tensor> {
    let mut all: Vec<Tensor> = Vec::new();
    for tensor in parts.into_iter().flat_map(|part| part.tensors) {
        match all.iter_mut().find(|whole| whole.name == tensor.name) {
            Some(whole) => {
                let Shape([n, h, w, c]) = whole.shape;
                whole.shape = Shape([n + tensor.shape.n(), h, w, c]);
                whole.values.extend(tensor.values);
            }
            None => all.push(tensor),
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    /// x and x̂_0 of as many images as there are values.
    fn images(x: &[f32]) -> Vec<Tensor> {
        let shape = Shape::new(x.len(), 1, 1, 1);
        vec![Tensor::new("x", shape, x.to_vec()), Tensor::new("x0", shape, x.iter().map(|x| -x).collect())]
    }

    #[test]
    fn every_image_has_one_worker_and_nobody_has_two_more_than_another() {
        for images in 1..=16 {
            for workers in 1..=9 {
                let ranges = split(images, workers);
                let all: Vec<usize> = ranges.iter().cloned().flatten().collect();
                assert_eq!(all, (0..images).collect::<Vec<_>>(), "{images} images, {workers} workers");
                assert_eq!(ranges.len(), workers.min(images));
                let lengths = ranges.iter().map(ExactSizeIterator::len);
                assert!(lengths.clone().max() <= lengths.min().map(|least| least + 1));
            }
        }
    }

    #[test]
    fn steps_are_put_together_in_the_order_of_images_whoever_is_first() {
        let mut shares = Gather::new(&split(3, 2), 0);
        assert_eq!(shares.part(1, 1, 1), (1, 1, 3));
        assert_eq!(shares.frame(1, 1, 9, 20.0, images(&[2.0, 3.0])), None);
        assert_eq!(shares.frame(1, 2, 8, 20.0, images(&[5.0, 6.0])), None);
        assert_eq!(shares.part(1, 3, 1), (2, 2, 3), "five of nine images are computed");
        let first = Whole { step: 1, timestep: 9, milliseconds: 20.0, tensors: images(&[1.0, 2.0, 3.0]) };
        assert_eq!(shares.frame(0, 1, 9, 15.0, images(&[1.0])), Some(first));
        let second = Whole { step: 2, timestep: 8, milliseconds: 30.0, tensors: images(&[4.0, 5.0, 6.0]) };
        assert_eq!(shares.frame(0, 2, 8, 35.0, images(&[4.0])), Some(second), "the slowest worker needs 50 ms for two");
        assert!(!shares.finish(1));
        assert!(shares.finish(0));
        assert_eq!(shares.frame(7, 1, 1, 1.0, Vec::new()), None, "there is no such worker");
    }

    #[test]
    fn a_run_goes_on_after_the_steps_it_has() {
        let mut shares = Gather::new(&split(2, 2), 5);
        assert_eq!(shares.part(0, 6, 0), (6, 0, 2));
        assert_eq!(shares.frame(0, 6, 3, 1.0, images(&[1.0])), None);
        assert_eq!(shares.frame(1, 6, 3, 1.0, images(&[2.0])).map(|whole| whole.step), Some(6));
    }
}
