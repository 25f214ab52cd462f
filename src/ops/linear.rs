//! The fully connected layer, y = x·W + b over the channel axis.
//!
//! In NHWC this is, to the letter, a convolution with a 1×1 kernel, forward and backward, so it is written as one and
//! shares its kernels: there is no `linear.wgsl`.

use crate::graph::{Graph, Id, ParamKind};
use crate::tensor::Shape;

impl Graph {
    /// x·W + b with parameters `weight` and `bias` in the scope `name`; x is `[N, H, W, in]`, the result `[N, H, W, out]`.
    pub fn linear(&mut self, name: &str, x: Id, out: usize) -> Id {
        let fan_in = self.shape(x).c();
        let (weight, bias) = self.scoped(name, |g| {
            (
                g.parameter("weight", ParamKind::Linear, Shape::new(1, 1, fan_in, out)),
                g.parameter("bias", ParamKind::Bias { fan_in }, Shape::vector(out)),
            )
        });
        self.conv2d(x, weight, bias, 1, (0, 0))
    }
}
