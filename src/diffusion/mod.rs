//! The mathematics of denoising diffusion, in f64 and without a word about devices.
//!
//! Symbols are those of the papers; a function cites the equation it computes:
//!
//! | short name | paper |
//! |---|---|
//! | DDPM | Ho, Jain, Abbeel: Denoising Diffusion Probabilistic Models, 2020, arXiv 2006.11239 |
//! | DDIM | Song, Meng, Ermon: Denoising Diffusion Implicit Models, 2021, arXiv 2010.02502 (its α is DDPM's ᾱ) |
//! | improved DDPM | Nichol, Dhariwal: Improved Denoising Diffusion Probabilistic Models, 2021, arXiv 2102.09672 |
//! | v-prediction | Salimans, Ho: Progressive Distillation, 2022, arXiv 2202.00512 |
//! | DPM-Solver++ | Lu et al.: DPM-Solver++, 2022, arXiv 2211.01095 |
//!
//! A *timestep* is 0…T−1, as in diffusers' files; the paper's t is one more. Reading order: [`schedule`] (how much noise),
//! [`forward`] (adding it), [`posterior`] (what taking it away means), [`sampler`] (what can be asked for), [`walk`] (going there),
//! [`objective`] (learning to).

pub mod forward;
pub mod objective;
pub mod posterior;
pub mod sampler;
pub mod schedule;
pub mod walk;

pub use sampler::{Convention, Prediction, SamplerConfig, SamplerKind, Spacing, Variance};
pub use schedule::{BetaSchedule, Schedule};
pub use walk::Walk;

use std::ops::{Add, Mul, Sub};

/// What is wrong with a schedule or a sampler somebody asked for.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum DiffusionError {
    /// T is zero or absurdly large.
    #[error("a schedule has 1 to {max} timesteps, found {found}")]
    Timesteps {
        /// T as asked for.
        found: usize,
        /// The largest T accepted.
        max: usize,
    },
    /// β leaves (0, 1), or falls.
    #[error("betas must satisfy 0 < beta_start <= beta_end < 1, found beta_start {start} and beta_end {end}")]
    Betas {
        /// β of the first timestep.
        start: f64,
        /// β of the last timestep.
        end: f64,
    },
    /// β is so small or so large that ᾱ is no longer strictly between 0 and 1 in f32.
    #[error("alpha_bar must fall strictly between 1 and 0, found {value} at timestep {timestep}; choose other betas")]
    AlphaBar {
        /// Where.
        timestep: usize,
        /// The value that does not fall.
        value: f64,
    },
    /// A timestep beyond the schedule.
    #[error("a timestep of this schedule is 0 to {}, found {found}", .count - 1)]
    Timestep {
        /// The timestep asked for.
        found: usize,
        /// T.
        count: usize,
    },
    /// Too few or too many sampling steps.
    #[error("sampling takes 1 to {max} steps with this schedule, found {found}")]
    Steps {
        /// The number asked for.
        found: usize,
        /// The largest number accepted.
        max: usize,
    },
    /// A beginning outside 1…T.
    #[error("a walk of this schedule begins at t = 1 to {max}, found {found}")]
    From {
        /// The t asked for.
        found: usize,
        /// T.
        max: usize,
    },
    /// η outside [0, 1].
    #[error("eta must be between 0 and 1, found {0}")]
    Eta(f64),
    /// The clip range is not a positive number.
    #[error("the clip range must be a positive finite number, found {0}")]
    Clip(f64),
    /// The offset pushes the first timestep beyond T−1.
    #[error("steps_offset {offset} moves the first timestep to {timestep}, but the last one of the schedule is {}", .count - 1)]
    Offset {
        /// steps_offset.
        offset: usize,
        /// The first timestep it leads to.
        timestep: usize,
        /// T.
        count: usize,
    },
    /// A strength outside [0, 1].
    #[error("strength must be between 0 and 1, found {0}")]
    Strength(f64),
    /// Steps that cannot be walked again.
    #[error("the jump's length and the number of samples must be at least 1, found {jump_length} and {jump_n_sample}")]
    Resampling {
        /// The length asked for.
        jump_length: usize,
        /// The number asked for.
        jump_n_sample: usize,
    },
    /// Going back up with a rule that looks back.
    #[error("{0} remembers the steps before and cannot take some of them again; use DDPM or DDIM")]
    Memory(&'static str),
    /// An inversion from x_0 by a network that predicts x_0.
    #[error(
        "a network that predicts x_0 itself says nothing about the noise of a picture without any, so it cannot be inverted"
    )]
    Inversion,
    /// Two sampling steps would fall on one timestep.
    #[error("{steps} steps with {spacing} spacing visit timestep {timestep} twice; take fewer steps")]
    Repeated {
        /// The number of steps asked for.
        steps: usize,
        /// The spacing's name.
        spacing: &'static str,
        /// The timestep visited twice.
        timestep: usize,
    },
}

/// f32 or f64: the arithmetic a formula is carried out in. Coefficients are f64 always and rounded once.
pub trait Real: Copy + PartialOrd + Add<Output = Self> + Sub<Output = Self> + Mul<Output = Self> {
    /// Rounds a coefficient.
    fn of(value: f64) -> Self;
    /// Widens a value.
    fn widen(self) -> f64;
}

impl Real for f32 {
    fn of(value: f64) -> Self {
        value as f32
    }
    fn widen(self) -> f64 {
        f64::from(self)
    }
}

impl Real for f64 {
    fn of(value: f64) -> Self {
        value
    }
    fn widen(self) -> f64 {
        self
    }
}

/// An enum whose variants have names in diffusers' files and on the command line.
macro_rules! named {
    ($(#[$doc:meta])* $type:ident { $($(#[$variant_doc:meta])* $variant:ident = $name:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $type { $($(#[$variant_doc])* $variant),+ }

        impl $type {
            /// Every variant, in the order of their declaration.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The name used in configuration files and on the command line.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }

            /// The variant of that name.
            pub fn from_name(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|v| v.name() == name)
            }
        }

        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.name())
            }
        }

        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let name = String::deserialize(deserializer)?;
                let unknown = || serde::de::Error::unknown_variant(&name, &[$($name),+]);
                Self::from_name(&name).ok_or_else(unknown)
            }
        }
    };
}
pub(crate) use named;
