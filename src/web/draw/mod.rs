//! Drawing by hand: strokes as plain data, what they look like as a model's picture, the pad that makes them, and the text that
//! holds them in a link. None of it knows a browser: the page turns pointers and keys into [`Act`]s.

mod pad;
mod stroke;
pub mod text;

pub use pad::{Act, Did, PALETTE, Pad};
pub use stroke::{Drawing, Ink, Stroke};
