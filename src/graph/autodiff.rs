//! Reverse-mode differentiation as a transformation: it appends the backward pass to the graph, out of ordinary ops.

use super::{Graph, Id};
use crate::tensor::Shape;

impl Graph {
    /// Appends nodes for ∂`loss`/∂`wrt` and returns them, in the order of `wrt`.
    ///
    /// `seed` is the cotangent of `loss`: an input or node of its shape, all ones for the gradient itself.
    /// `None` marks a value that `loss` does not depend on.
    pub fn gradients(&mut self, loss: Id, seed: Id, wrt: &[Id]) -> Vec<Option<Id>> {
        assert_eq!(self.shape(loss), self.shape(seed), "the cotangent has the shape of what it belongs to");
        let end = loss.index() + 1;

        // Only nodes between `wrt` and `loss` carry a cotangent: the rest of the graph is data.
        let mut wanted = vec![false; end];
        for id in wrt {
            if id.index() < end {
                wanted[id.index()] = true;
            }
        }
        for i in 0..end {
            wanted[i] |= self.nodes[i].inputs().iter().any(|input| wanted[input.index()]);
        }

        let mut cotangents: Vec<Option<Id>> = vec![None; end];
        cotangents[loss.index()] = Some(seed);
        for i in (0..end).rev() {
            let Some(cotangent) = cotangents[i] else { continue };
            let super::NodeKind::Op { op, inputs } = self.nodes[i].kind.clone() else { continue };
            let parts = op.vjp(self, &inputs, Id(i as u32), cotangent);
            assert_eq!(parts.len(), inputs.len(), "{}'s vjp answers for each of its inputs", op.name());
            for (input, part) in inputs.iter().zip(parts) {
                let (true, Some(part)) = (wanted[input.index()], part) else { continue };
                assert_eq!(self.shape(part), self.shape(*input), "{}'s vjp keeps the shape", op.name());
                // A value used twice receives the sum of what its users send back.
                cotangents[input.index()] = Some(match cotangents[input.index()] {
                    None => part,
                    Some(sum) => self.add(sum, part),
                });
            }
        }
        wrt.iter().map(|id| cotangents.get(id.index()).copied().flatten()).collect()
    }

    /// [`Graph::gradients`] of a scalar, with cotangent one.
    pub fn gradients_of_scalar(&mut self, loss: Id, wrt: &[Id]) -> Vec<Option<Id>> {
        let one = self.constant(1.0, Shape::SCALAR);
        self.gradients(loss, one, wrt)
    }
}
