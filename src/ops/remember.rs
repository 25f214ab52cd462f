//! What a walk remembers for its next moves: three slots, each a linear combination of x̂_0, ε̂, x and the slots before.

use super::SLOTS;
use crate::graph::{Dispatch, Graph, Id, Op, View};
use crate::reference;
use crate::tensor::Shape;
use num_traits::Float;

/// Number of coefficients: p_x, p_m, clip, e_x, e_m and three that fill up, then for each slot the weights of x̂_0, ε̂ and x, one
/// that fills up, those of y_0, y_1 and y_2, and one more.
pub const REMEMBER_COEFFICIENTS: usize = 32;

/// The slots `[3·N, H, W, C]` of (x, m, slots, coefficients).
#[derive(Debug)]
struct Remember;

#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct Params {
    len: u32,
}

impl Remember {
    fn reference<T: Float>(&self, inputs: &[View<T>], _out_shape: Shape, out: &mut [T]) {
        let [x, m, y, k] = [inputs[0].data, inputs[1].data, inputs[2].data, inputs[3].data];
        let n = x.len();
        let [p_x, p_m, clip, e_x, e_m] = [k[0], k[1], k[2], k[3], k[4]];
        for i in 0..n {
            let x0 = (p_x * x[i] + p_m * m[i]).max(-clip).min(clip);
            let epsilon = e_x * x[i] + e_m * m[i];
            for (slot, k) in k[8..].chunks_exact(8).enumerate() {
                let read = k[0] * x0 + k[1] * epsilon + k[2] * x[i];
                out[slot * n + i] = read + k[4] * y[i] + k[5] * y[n + i] + k[6] * y[2 * n + i];
            }
        }
    }
}

impl Op for Remember {
    fn name(&self) -> &'static str {
        "remember"
    }

    fn shape(&self, inputs: &[Shape]) -> Shape {
        let x = inputs[0];
        assert_eq!(x, inputs[1], "x and the network's output have one shape");
        assert_eq!(inputs[2], x.with_n(SLOTS * x.n()), "there are three slots of x's shape");
        assert_eq!(inputs[3], Shape::vector(REMEMBER_COEFFICIENTS), "remembering takes 32 coefficients");
        inputs[2]
    }

    reference!();

    /// One invocation for each `vec4` of x, which computes it in all slots.
    fn dispatch(&self, inputs: &[Shape], _out: Shape) -> Dispatch {
        let len = inputs[0].vec4_len();
        Dispatch::per_item(self.name(), &Params { len: len as u32 }, len)
    }

    /// A walk is not trained through.
    fn vjp(&self, _g: &mut Graph, inputs: &[Id], _output: Id, _cotangent: Id) -> Vec<Option<Id>> {
        vec![None; inputs.len()]
    }
}

impl Graph {
    /// The new slots `[3·N, H, W, C]` from x, the network's output, the slots and [`REMEMBER_COEFFICIENTS`] numbers.
    pub fn remember(&mut self, x: Id, output: Id, slots: Id, coefficients: Id) -> Id {
        self.apply(Remember, &[x, output, slots, coefficients])
    }
}
