//! The operations, one a file: each says what it is called, what shape it makes, what it means, how the GPU computes it
//! and how gradients flow back. Nothing above this layer names an op; graphs are written through the builder methods.
//!
//! Gradient ops (`*_grad…`) stand in the file of the op they belong to. They are ordinary ops with a reference and a
//! kernel of their own, but no gradient: second derivatives are not provided.

mod attention;
mod attention_probabilities;
mod channels;
mod conv2d;
mod embedding;
mod fast;
mod fuse;
mod group_norm;
mod guidance;
mod linear;
mod mae;
mod r#move;
mod mse;
mod noised;
mod optimizer;
mod qkv;
mod reduce;
mod remember;
mod resample;
mod scale;
mod silu;

pub use conv2d::Conv2dShape;
pub use fuse::fuse;
pub use r#move::{MOVE_COEFFICIENTS, SLOTS};
pub use remember::REMEMBER_COEFFICIENTS;

/// The answer of a gradient op to the question for its own gradient.
fn second_derivative(name: &str) -> ! {
    panic!("{name} is itself a gradient; second derivatives are not provided")
}

/// A number of the reference's type.
fn number<T: num_traits::Float>(value: f64) -> T {
    T::from(value).expect("f32 and f64 hold every f64 to their own precision")
}
