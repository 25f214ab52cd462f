//! One move of a walk: x' from x, the network's output, noise, what is remembered and what is known. Its numbers come from
//! `diffusion::walk`.
//!
//! x̂_0 = clamp(p_x·x + p_m·m, ±clip) and ε̂ = e_x·x + e_m·m, with m the network's output. Then x' is a linear combination of
//! x̂_0, ε̂, x, the slots y_0, y_1, y_2 and fresh noise z; where a mask says so, it is the known picture with z instead. So
//! every sampler, inpainting and inversion are one kernel.

use crate::graph::{Dispatch, Graph, Id, Op, View};
use crate::reference;
use crate::tensor::Shape;
use num_traits::Float;

/// Number of coefficients: p_x, p_m, clip, e_x, e_m, then the weights of x̂_0, ε̂, x, y_0, y_1, y_2 and z, then those of the known
/// picture and of its z, and two that fill up.
pub const MOVE_COEFFICIENTS: usize = 16;
/// Values of the size of x that can be remembered.
pub const SLOTS: usize = 3;

/// x' of (x, m, z, coefficients, slots, known), without those that it does not have.
#[derive(Debug)]
struct Move {
    /// There are slots, `[3·N, H, W, C]`, one behind the other.
    slots: bool,
    /// There are a known picture and behind it a mask, `[2·N, H, W, C]`.
    known: bool,
}

#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct Params {
    len: u32,
    slots: u32,
    known: u32,
}

impl Move {
    fn reference<T: Float>(&self, inputs: &[View<T>], _out_shape: Shape, out: &mut [T]) {
        let [x, m, z] = [inputs[0].data, inputs[1].data, inputs[2].data];
        let &[p_x, p_m, clip, e_x, e_m, of_x0, of_epsilon, of_x, y_0, y_1, y_2, of_z, of_known, known_z, ..] =
            inputs[3].data
        else {
            unreachable!("shape() has checked the number of coefficients")
        };
        let n = out.len();
        let slots = self.slots.then(|| inputs[4].data);
        let known = self.known.then(|| inputs[4 + usize::from(self.slots)].data);
        let half = super::number(0.5);
        for (i, o) in out.iter_mut().enumerate() {
            let x0 = (p_x * x[i] + p_m * m[i]).max(-clip).min(clip);
            let epsilon = e_x * x[i] + e_m * m[i];
            let mut next = of_x0 * x0 + of_epsilon * epsilon + of_x * x[i];
            if let Some(y) = slots {
                next = next + y_0 * y[i] + y_1 * y[n + i] + y_2 * y[2 * n + i];
            }
            *o = match known {
                Some(known) if known[n + i] >= half => of_known * known[i] + known_z * z[i],
                _ => next + of_z * z[i],
            };
        }
    }
}

impl Op for Move {
    fn name(&self) -> &'static str {
        "move"
    }

    fn shape(&self, inputs: &[Shape]) -> Shape {
        let x = inputs[0];
        assert!(x == inputs[1] && x == inputs[2], "x, the network's output and the noise have one shape");
        assert_eq!(inputs[3], Shape::vector(MOVE_COEFFICIENTS), "a move has sixteen coefficients");
        if self.slots {
            assert_eq!(inputs[4], x.with_n(SLOTS * x.n()), "there are three slots of x's shape");
        }
        if self.known {
            let known = inputs[4 + usize::from(self.slots)];
            assert_eq!(known, x.with_n(2 * x.n()), "the known picture and its mask have x's shape");
        }
        x
    }

    reference!();

    fn dispatch(&self, _inputs: &[Shape], out: Shape) -> Dispatch {
        let flag = u32::from;
        let params = Params { len: out.vec4_len() as u32, slots: flag(self.slots), known: flag(self.known) };
        let dispatch = Dispatch::per_item(self.name(), &params, out.vec4_len());
        // What is missing is not looked at: x stands in for it.
        let slots = if self.slots { 4 } else { 0 };
        let known = if self.known { 4 + usize::from(self.slots) } else { 0 };
        Dispatch { operands: Some(vec![0, 1, 2, 3, slots, known]), ..dispatch }
    }

    /// A walk is not trained through.
    fn vjp(&self, _g: &mut Graph, inputs: &[Id], _output: Id, _cotangent: Id) -> Vec<Option<Id>> {
        vec![None; inputs.len()]
    }
}

impl Graph {
    /// x' from x, the network's output, noise and [`MOVE_COEFFICIENTS`] numbers; with `slots` `[3·N, H, W, C]` that are
    /// remembered, and with a known picture and a mask behind it, `[2·N, H, W, C]`, which is kept where the mask is ½ or more.
    pub fn move_x(&mut self, [x, output, noise, coefficients]: [Id; 4], slots: Option<Id>, known: Option<Id>) -> Id {
        let op = Move { slots: slots.is_some(), known: known.is_some() };
        let inputs: Vec<Id> = [x, output, noise, coefficients].into_iter().chain(slots).chain(known).collect();
        self.apply(op, &inputs)
    }
}
