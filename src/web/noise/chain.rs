//! The forward process step by step: x_t = √(1 − β_t)·x_{t−1} + √β_t·ε_t with an ε_t of its own for every t (DDPM, equation 2).
//!
//! Whatever the noise, the share of x_0 in x_t is √ᾱ_t. So the chain carries only what it has added to it, and another picture
//! needs no other chain. Divided by √(1 − ᾱ_t) that is the one ε that leads from x_0 to x_t at once.

use crate::diffusion::Schedule;
use crate::diffusion::forward::closed_form_paper;
use crate::rng::Rng;

/// A walk from t = 0 towards T. Some of its states are kept, so that any t it has passed is a few steps away.
#[derive(Debug)]
pub struct Chain {
    seed: u64,
    schedule: Schedule,
    /// Steps between the states that are kept.
    every: usize,
    /// The noise at t = 0, `every`, 2·`every` and so on.
    kept: Vec<Vec<f32>>,
    /// How far it has come.
    t: usize,
    noise: Vec<f32>,
}

impl Chain {
    /// One of `len` numbers that has not begun. ε_t is drawn from stream t of the seed.
    pub fn new(seed: u64, len: usize, schedule: &Schedule) -> Self {
        let every = (schedule.timesteps().isqrt() / 2).max(1);
        let noise = vec![0.0; len];
        Self { seed, schedule: schedule.clone(), every, kept: vec![noise.clone()], t: 0, noise }
    }

    /// Whether a new one would be the same.
    pub fn is_of(&self, seed: u64, len: usize, schedule: &Schedule) -> bool {
        (self.seed, self.noise.len(), &self.schedule) == (seed, len, schedule)
    }

    /// How far it has come, 0…T.
    pub fn t(&self) -> usize {
        self.t
    }

    /// Goes on to its end, but draws no more than about so many numbers.
    pub fn walk(&mut self, numbers: usize) {
        let steps = (numbers / self.noise.len().max(1)).max(1);
        let end = self.schedule.timesteps().min(self.t + steps);
        while self.t < end {
            self.t += 1;
            step(self.seed, &self.schedule, self.t, &mut self.noise);
            if self.t.is_multiple_of(self.every) {
                self.kept.push(self.noise.clone());
            }
        }
    }

    /// The ε with which the closed form gives the chain's x_t, if it has come so far. At t = 0 there is no noise yet: that of
    /// the first step.
    pub fn epsilon(&self, t: usize) -> Option<Vec<f32>> {
        let t = t.max(1);
        if t > self.t {
            return None;
        }
        let from = t / self.every;
        let mut noise = self.kept.get(from)?.clone();
        (from * self.every + 1..=t).for_each(|t| step(self.seed, &self.schedule, t, &mut noise));
        let (_, sigma) = closed_form_paper(&self.schedule, t);
        let scale = (1.0 / sigma) as f32;
        noise.iter_mut().for_each(|value| *value *= scale);
        Some(noise)
    }
}

/// One step of the chain, to the paper's t.
fn step(seed: u64, schedule: &Schedule, t: usize, noise: &mut [f32]) {
    let (keep, add) = (schedule.alpha(t - 1).sqrt() as f32, schedule.beta(t - 1).sqrt() as f32);
    let mut rng = Rng::stream(seed, t as u64);
    noise.iter_mut().for_each(|value| *value = keep * *value + add * rng.normal());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_chain_and_its_epsilon_satisfies_the_equation() {
        let schedule = Schedule::ddpm_linear(150, 1e-4, 0.02).expect("a schedule");
        let x_0: Vec<f32> = (0..40).map(|i| (i as f32 / 20.0) - 1.0).collect();
        let mut chain = Chain::new(7, x_0.len(), &schedule);
        assert_eq!(chain.epsilon(1), None);
        // In pieces, as the page walks.
        while chain.t() < 150 {
            chain.walk(1500);
        }
        let mut x: Vec<f64> = x_0.iter().map(|&x| f64::from(x)).collect();
        for t in 1..=150 {
            let epsilon_t = Rng::stream(7, t as u64).normals(x.len());
            let (keep, add) = (schedule.alpha(t - 1).sqrt(), schedule.beta(t - 1).sqrt());
            x.iter_mut().zip(&epsilon_t).for_each(|(x, &e)| *x = keep * *x + add * f64::from(e));
            let (signal, sigma) = closed_form_paper(&schedule, t);
            let epsilon = chain.epsilon(t).expect("it has come so far");
            for ((x, &x_0), e) in x.iter().zip(&x_0).zip(epsilon) {
                let found = signal * f64::from(x_0) + sigma * f64::from(e);
                assert!((found - x).abs() < 5e-6, "t = {t}: {found}, not {x}");
            }
        }
        assert_eq!((chain.epsilon(0), chain.epsilon(151)), (chain.epsilon(1), None));
        assert!(chain.is_of(7, 40, &schedule) && !chain.is_of(8, 40, &schedule) && !chain.is_of(7, 41, &schedule));
    }

    #[test]
    fn its_epsilon_is_normal_at_every_t_and_differs_from_t_to_t() {
        let schedule = Schedule::ddpm_linear(100, 1e-4, 0.02).expect("a schedule");
        const N: usize = 20_000;
        let mut chain = Chain::new(1, N, &schedule);
        chain.walk(usize::MAX);
        assert_eq!(chain.t(), 100);
        for t in [1, 2, 50, 100] {
            let epsilon = chain.epsilon(t).expect("it is done");
            // Five standard errors; 1, 2 and 96 are the variances of z, z² and z⁴.
            for (power, expected, variance) in [(1, 0.0, 1.0_f64), (2, 1.0, 2.0), (4, 3.0, 96.0)] {
                let moment = epsilon.iter().map(|&z| f64::from(z).powi(power)).sum::<f64>() / N as f64;
                assert!((moment - expected).abs() < 5.0 * (variance / N as f64).sqrt(), "moment {power} is {moment}");
            }
        }
        assert_ne!(chain.epsilon(99), chain.epsilon(100));
    }
}
