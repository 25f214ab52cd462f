//! The mathematics: identities of the schedules, two roads to x_t, diffusers' trajectories, exact sampling on Gaussian data.
#![cfg(not(target_arch = "wasm32"))]

mod exact;
mod forward;
mod objective;
mod posterior;
mod samplers;
mod schedules;

use noisette::diffusion::walk::{Inputs, Move, SLOTS, Walk};
use noisette::diffusion::{BetaSchedule, Schedule};

fn close(found: f64, expected: f64, tolerance: f64, what: &str) {
    assert!(found.is_finite(), "{what}: {found}");
    let error = (found - expected).abs();
    assert!(error <= tolerance, "{what}: found {found}, expected {expected}, off by {error}");
}

/// Makes a move, without anything known; `slots` holds what is remembered.
fn apply(step: &Move, [x, output, noise]: [&[f64]; 3], slots: &mut [f64], out: &mut [f64]) {
    step.apply(Inputs { x, output, noise, known: &[], mask: &[] }, slots, out);
}

fn usual() -> Schedule {
    Schedule::ddpm_linear(1000, 1e-4, 0.02).unwrap()
}

fn of_kind(kind: BetaSchedule, count: usize) -> Schedule {
    let scale = 1000.0 / count as f64;
    Schedule::new(kind, count, 1e-4 * scale, 0.02 * scale).unwrap()
}

/// Walks `x` through all steps with `model(x, t)` and noise `z(step, i)`; returns the state after every step.
fn trajectory(
    sampler: &Walk,
    mut x: Vec<f64>,
    model: impl Fn(f64, usize) -> f64,
    z: impl Fn(usize, usize) -> f64,
) -> Vec<Vec<f64>> {
    let (mut slots, n) = (vec![0.0; SLOTS * x.len()], x.len());
    let walk = sampler.moves.iter().enumerate().map(|(k, step)| {
        let output: Vec<f64> = x.iter().map(|&x| model(x, step.timestep)).collect();
        let noise: Vec<f64> = (0..n).map(|i| z(k, i)).collect();
        let mut next = vec![0.0; n];
        apply(step, [&x, &output, &noise], &mut slots, &mut next);
        x.clone_from(&next);
        next
    });
    walk.collect()
}
