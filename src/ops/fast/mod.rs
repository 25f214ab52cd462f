//! Fast f32 implementations for the CPU engine: register-tiled SIMD for convolutions, vectorisable loops for the rest.
//!
//! Each is proved against the reference of its op by `tests/ops.rs`. Work is split by shapes alone, never by the number of
//! threads, so a result does not depend on how many there are.

pub(super) mod attention;
pub(super) mod conv;
pub(super) mod elementwise;
pub(super) mod norm;
mod parallel;
mod simd;
mod tile;
mod window;
mod winograd;
