//! One move of a walk: plain numbers, and what they mean in the arithmetic of any [`Real`].

use crate::diffusion::Real;
use crate::diffusion::forward::weights;
use crate::diffusion::posterior::Reading;

/// Values of the size of x that a walk may carry from move to move.
pub const SLOTS: usize = 3;

/// Stands for "not clipped" on a device, where infinity is not a number to rely on.
const UNCLIPPED: f64 = 1e30;

/// A linear combination of x̂_0, ε̂, x and what is remembered.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mix {
    /// Weight of x̂_0.
    pub x0: f64,
    /// Weight of ε̂.
    pub epsilon: f64,
    /// Weight of x.
    pub x: f64,
    /// Weights of the slots.
    pub slots: [f64; SLOTS],
}

impl Mix {
    /// Nothing of anything.
    pub const ZERO: Self = Self { x0: 0.0, epsilon: 0.0, x: 0.0, slots: [0.0; SLOTS] };

    /// What stands in a slot.
    pub fn slot(slot: usize) -> Self {
        let mut mix = Self::ZERO;
        mix.slots[slot] = 1.0;
        mix
    }

    /// The same, `factor` times as much.
    #[must_use]
    pub fn scaled(self, factor: f64) -> Self {
        let Self { x0, epsilon, x, slots } = self;
        Self { x0: factor * x0, epsilon: factor * epsilon, x: factor * x, slots: slots.map(|slot| factor * slot) }
    }

    fn numbers(&self) -> [f64; 3 + SLOTS] {
        let [first, second, third] = self.slots;
        [self.x0, self.epsilon, self.x, first, second, third]
    }

    /// In this order, so that an implementation on a device can have the same bits.
    fn of<T: Real>(numbers: [T; 3 + SLOTS], [x0, epsilon, x]: [T; 3], slots: [T; SLOTS]) -> T {
        let sum = numbers[0] * x0 + numbers[1] * epsilon + numbers[2] * x;
        sum + numbers[3] * slots[0] + numbers[4] * slots[1] + numbers[5] * slots[2]
    }
}

/// One move, which asks the network once. From x, the network's output m, fresh noise z, three slots y_k, and a known picture
/// where the mask says so:
///
/// ```text
/// x̂_0  = clamp(reading.x0 · (x, m), −clip, clip)
/// ε̂    = reading.epsilon · (x, m)
/// x'   = next · (x̂_0, ε̂, x, y) + noise·z           where mask < ½
///      = √level·known + √(1 − level)·z             where mask ≥ ½
/// y_k' = remember[k] · (x̂_0, ε̂, x, y)
/// ```
///
/// The known picture is noised as x' is: so x' is what it would be had the known part come from the picture. That both
/// parts use one z does no harm, as no value of x' belongs to both.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Move {
    /// The timestep the network is asked at, 0…T−1.
    pub timestep: usize,
    /// w in m = m_∅ + w·(m_c − m_∅); 1 is off.
    pub guidance: f64,
    /// x̂_0 and ε̂ of x and the output.
    pub reading: Reading,
    /// x̂_0 is clamped to ±clip; infinite where nothing is clipped. ε̂ comes from the unclipped x̂_0.
    pub clip: f64,
    /// x', noise aside.
    pub next: Mix,
    /// Standard deviation of the noise in x'.
    pub noise: f64,
    /// ᾱ of x': 1 where it is a picture.
    pub level: f64,
    /// What each slot holds afterwards.
    pub remember: [Mix; SLOTS],
}

/// What a move is made from, values of one length each but for what it does not look at, which may be empty.
#[derive(Clone, Copy, Debug)]
pub struct Inputs<'a, T> {
    /// x.
    pub x: &'a [T],
    /// The network's output m.
    pub output: &'a [T],
    /// z; see [`Move::draws`].
    pub noise: &'a [T],
    /// The known picture; empty without one.
    pub known: &'a [T],
    /// From ½ on x' is the known picture's; empty without one.
    pub mask: &'a [T],
}

impl Move {
    /// A move at timestep t that reads the output and does nothing with it yet.
    pub fn at(timestep: usize, reading: Reading, clip: Option<f64>) -> Self {
        let clip = clip.unwrap_or(f64::INFINITY);
        let (next, remember) = (Mix::ZERO, [Mix::ZERO; SLOTS]);
        Self { timestep, guidance: 1.0, reading, clip, next, noise: 0.0, level: 1.0, remember }
    }

    /// (√ᾱ, √(1 − ᾱ)) of x': the weights of the known picture and of z where the mask keeps it.
    pub fn known(&self) -> (f64, f64) {
        weights(self.level)
    }

    /// Whether noise is looked at, with a known picture or without.
    pub fn draws(&self, known: bool) -> bool {
        self.noise != 0.0 || (known && self.level != 1.0)
    }

    /// Whether anything remembered is looked at.
    pub fn looks_back(&self) -> bool {
        [self.next].iter().chain(&self.remember).any(|mix| mix.slots != [0.0; SLOTS])
    }

    /// x̂_0 of x and the output, clipped.
    pub fn x0<T: Real>(&self, x: T, output: T) -> T {
        let (of_x, of_output) = self.reading.x0;
        let (low, high) = (T::of(-self.clip), T::of(self.clip));
        let read = T::of(of_x) * x + T::of(of_output) * output;
        let read = if read < low { low } else { read };
        if read > high { high } else { read }
    }

    /// Makes the move in the arithmetic of `T`, each coefficient rounded once. `slots` holds the three slots one after the other,
    /// anything finite before the first move, and receives their new values; `out` receives x'.
    ///
    /// # Panics
    /// If lengths differ, or noise is empty where it is looked at.
    pub fn apply<T: Real>(&self, inputs: Inputs<T>, slots: &mut [T], out: &mut [T]) {
        let Inputs { x, output, noise, known, mask } = inputs;
        let n = out.len();
        assert!(x.len() == n && output.len() == n && slots.len() == SLOTS * n, "the move's slices differ in length");
        assert!(mask.len() == known.len() && [0, n].contains(&mask.len()), "a picture and its mask have x's length");
        let draws = self.draws(!mask.is_empty());
        assert!(noise.len() == n || (!draws && noise.is_empty()), "the move's noise has the wrong length");
        let (e_x, e_m) = self.reading.epsilon;
        let [e_x, e_m, s] = [e_x, e_m, self.noise].map(T::of);
        let (of_known, of_noise) = self.known();
        let (of_known, of_noise) = (T::of(of_known), T::of(of_noise));
        let next = self.next.numbers().map(T::of);
        let remember = self.remember.map(|mix| mix.numbers().map(T::of));
        for i in 0..n {
            let read = [self.x0(x[i], output[i]), e_x * x[i] + e_m * output[i], x[i]];
            let before = [0, 1, 2].map(|slot| slots[slot * n + i]);
            let z = if draws { noise[i] } else { T::of(0.0) };
            out[i] = if mask.get(i).is_some_and(|&mask| mask >= T::of(0.5)) {
                of_known * known[i] + of_noise * z
            } else {
                Mix::of(next, read, before) + s * z
            };
            for (slot, numbers) in remember.into_iter().enumerate() {
                slots[slot * n + i] = Mix::of(numbers, read, before);
            }
        }
    }

    /// What both ops of a device need: x̂_0's weights of x and m, the clip, ε̂'s weights of x and m.
    fn packed_reading(&self) -> [f64; 5] {
        let Reading { x0: (p_x, p_m), epsilon: (e_x, e_m) } = self.reading;
        [p_x, p_m, self.clip.min(UNCLIPPED), e_x, e_m]
    }

    /// The numbers of x' for a device, four vectors of four: `[p_x, p_m, clip, e_x]`, `[e_m, x̂_0, ε̂, x]`, `[y_0, y_1, y_2, z]`,
    /// `[known, its z, 0, 0]`. "Not clipped" is 1e30.
    pub fn packed(&self) -> [f32; 16] {
        let [p_x, p_m, clip, e_x, e_m] = self.packed_reading();
        let [x0, epsilon, x, first, second, third] = self.next.numbers();
        let (of_known, of_noise) = self.known();
        [p_x, p_m, clip, e_x, e_m, x0, epsilon, x, first, second, third, self.noise, of_known, of_noise, 0.0, 0.0]
            .map(|value| value as f32)
    }

    /// The numbers of what is remembered for a device, two vectors of four and two for each slot: `[p_x, p_m, clip, e_x]`,
    /// `[e_m, 0, 0, 0]`, and three times `[x̂_0, ε̂, x, 0]`, `[y_0, y_1, y_2, 0]`.
    pub fn packed_memory(&self) -> [f32; 32] {
        let mut packed = [0.0; 32];
        packed[..5].copy_from_slice(&self.packed_reading());
        for (to, mix) in packed[8..].chunks_exact_mut(8).zip(&self.remember) {
            let numbers = mix.numbers();
            to[..3].copy_from_slice(&numbers[..3]);
            to[4..7].copy_from_slice(&numbers[3..]);
        }
        packed.map(|value| value as f32)
    }
}
