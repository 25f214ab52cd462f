//! Data sets: pictures of one size with a class each, and how training walks through them.

pub mod batches;
mod error;
pub mod fit;
#[cfg(not(target_arch = "wasm32"))]
pub mod folder;
pub mod format;
pub mod halves;
pub mod idx;
#[cfg(not(target_arch = "wasm32"))]
mod idx_files;
pub mod left_out;
#[cfg(not(target_arch = "wasm32"))]
mod listing;
pub mod names;
#[cfg(not(target_arch = "wasm32"))]
mod picture;
pub mod whole;

pub use batches::Batches;
pub use error::DataError;
#[cfg(not(target_arch = "wasm32"))]
pub use folder::{ImageFolder, is_folder_of_pictures};
pub use idx::{parse_images, parse_labels};
#[cfg(not(target_arch = "wasm32"))]
pub use idx_files::{beside_idx, find_idx, load_idx};
pub use left_out::LeftOut;
pub use names::same_name;

use crate::diffusion::forward::from_pixel;

/// The two halves of a data set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Split {
    /// What a model learns from: `train-…`.
    Train,
    /// What it is judged on: `t10k-…`.
    Test,
}

/// Pictures as bytes, and their classes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dataset {
    /// Bytes, `[N, H, W, C]`.
    pub images: Vec<u8>,
    /// The class of each picture, N of them.
    pub labels: Vec<u8>,
    /// H.
    pub height: usize,
    /// W.
    pub width: usize,
    /// C.
    pub channels: usize,
}

impl Dataset {
    /// N, the number of pictures.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// H·W·C, the number of values in a picture.
    pub fn image_len(&self) -> usize {
        self.height * self.width * self.channels
    }

    /// Number and size of the pictures and a hash of all bytes and labels (FNV-1a over words), to tell data sets apart.
    pub fn fingerprint(&self) -> String {
        let word = |bytes: &[u8]| bytes.iter().fold(0, |word, &byte| word << 8 | u64::from(byte));
        let words = self.images.chunks(8).chain(self.labels.chunks(8)).map(word);
        let hash = words.fold(0xcbf2_9ce4_8422_2325_u64, |hash, word| (hash ^ word).wrapping_mul(0x100_0000_01b3));
        let (count, h, w, c) = (self.len(), self.height, self.width, self.channels);
        format!("{count} images of {h}×{w}×{c}, {hash:016x}")
    }

    /// The bytes of one picture, `[H, W, C]`.
    ///
    /// # Panics
    /// If there is no such picture.
    pub fn image(&self, index: usize) -> &[u8] {
        &self.images[index * self.image_len()..][..self.image_len()]
    }
}

/// Writes the pictures at `indices` as x_0 in [−1, 1], `[indices.len(), H, W, C]`.
///
/// # Panics
/// If `x_0` has another length or an index is beyond the data set.
pub fn fill_x0(dataset: &Dataset, indices: &[usize], x_0: &mut [f32]) {
    assert_eq!(x_0.len(), indices.len() * dataset.image_len(), "x_0 does not hold this batch");
    let bytes = indices.iter().flat_map(|&index| dataset.image(index));
    for (x, &byte) in x_0.iter_mut().zip(bytes) {
        *x = from_pixel(byte);
    }
}

/// The classes of the pictures at `indices`.
///
/// # Panics
/// If an index is beyond the data set.
pub fn labels(dataset: &Dataset, indices: &[usize]) -> Vec<usize> {
    indices.iter().map(|&index| usize::from(dataset.labels[index])).collect()
}
