//! Files for the visitor to keep, made here: no encoder but ours is in the page's program.
//!
//! | file | what |
//! |---|---|
//! | [`raster`] | sheets of pictures as pixels, enlarged without blur |
//! | `bits` | what both compressions write |
//! | [`deflate`], [`png`] | a PNG, with texts in it |
//! | [`lzw`], [`gif`] | a GIF that moves |

mod bits;
pub mod deflate;
pub mod gif;
pub mod lzw;
pub mod png;
pub mod raster;

/// What of a run can be saved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// The pictures shown, as a PNG.
    Pictures,
    /// The run, as a GIF.
    Run,
    /// What it was made with, as JSON.
    Settings,
}

/// A file that is to be saved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Of letters, digits, `-`, `_` and `.`.
    pub name: String,
    /// Its media type.
    pub kind: &'static str,
    /// What is in it.
    pub bytes: Vec<u8>,
}
