//! What several test files share.
#![allow(dead_code)] // each of them uses a part

pub mod cases;
pub mod compare;
#[cfg(not(target_arch = "wasm32"))]
pub mod golden;
#[cfg(not(target_arch = "wasm32"))]
pub mod gpu;
pub mod noise;
#[cfg(not(target_arch = "wasm32"))]
pub mod routes;
