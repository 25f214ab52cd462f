//! Values inside the network, beside what a step or a prediction gives.

use crate::tensor::Shape;

/// A value inside the network, under its name.
#[derive(Clone, Debug, PartialEq)]
pub struct Watched {
    /// Its name, see [`crate::model::step::watchable`].
    pub name: String,
    /// NHWC. N counts the images, or for each image the heads, and with guidance all of that twice.
    pub shape: Shape,
    /// All images in order; with guidance all predicted with their class first, then all predicted with the null class.
    pub values: Vec<f32>,
}

impl Watched {
    /// Room for the value of `rows` images of which one has the shape `one`.
    pub(super) fn room(name: &str, one: Shape, rows: usize) -> Self {
        let shape = one.with_n(rows * one.n());
        Self { name: name.to_owned(), shape, values: vec![0.0; shape.len()] }
    }

    /// Takes in the value of a batch of `count` of all `of` images, from the `first` on. A guided batch holds its images
    /// twice, and the two halves of the whole are as far apart as there are images.
    pub(super) fn take(&mut self, batch: &[f32], first: usize, count: usize, of: usize, guided: bool) {
        let halves = if guided { 2 } else { 1 };
        let one = self.values.len() / (halves * of);
        for (half, values) in batch.chunks_exact(count * one).enumerate() {
            self.values[(half * of + first) * one..][..values.len()].copy_from_slice(values);
        }
    }
}
