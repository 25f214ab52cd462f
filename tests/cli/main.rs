//! The command line as a script uses it: every command on tiny networks, its files, and what it says when it cannot.
#![cfg(not(target_arch = "wasm32"))]

#[path = "../support/mod.rs"]
mod support;

mod bench;
mod data;
mod distill;
mod evaluate;
mod export;
mod help;
mod names;
mod outputs;
mod predict;
mod program;
mod runs;
mod sample;
mod train;
mod weights;
