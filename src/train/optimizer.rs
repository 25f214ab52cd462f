//! One training step as one graph: loss, gradients, clipping, Adam, and the moving average of the weights.

use crate::graph::{Graph, Id, ParamSpec};
use crate::model::config::UnetConfig;
use crate::model::step::{Objective, training_loss, training_objective};
use crate::ops::fuse;
use crate::tensor::Shape;

/// Prefix of the state that holds Adam's first moment of a parameter.
pub const FIRST_MOMENT: &str = "adam_m.";
/// Prefix of the state that holds Adam's second moment of a parameter.
pub const SECOND_MOMENT: &str = "adam_v.";
/// Prefix of the state that holds the moving average of a parameter.
pub const AVERAGE: &str = "ema.";

/// The loss and ∂loss/∂parameter as outputs `loss` and `grad.<name>`; see [`training_loss`] for the inputs.
pub fn gradients(config: &UnetConfig, shape: Shape, velocity: bool) -> Graph {
    let (mut g, loss) = training_loss(config, shape, velocity);
    for (spec, gradient) in parameter_gradients(&mut g, loss) {
        g.output(&format!("grad.{}", spec.name), gradient);
    }
    fuse(&g)
}

fn parameter_gradients(g: &mut Graph, loss: Id) -> Vec<(ParamSpec, Id)> {
    let specs = g.parameters();
    let ids: Vec<Id> = specs.iter().map(|spec| spec.id).collect();
    let gradients = g.gradients_of_scalar(loss, &ids);
    specs.into_iter().zip(gradients).map(|(spec, g)| (spec, g.expect("the loss depends on every parameter"))).collect()
}

/// [`objective_step`] of the plain loss.
pub fn training_step(config: &UnetConfig, shape: Shape, velocity: bool) -> Graph {
    objective_step(config, shape, Objective { velocity, ..Objective::default() })
}

/// [`training_objective`] and everything after it: running the program takes one step.
///
/// Beside the loss's inputs it has the scalars `m_rate` = 1 − β₁, `v_rate` = 1 − β₂, `ema_rate` = 1 − decay and
/// `max_norm`, and `adam` `[1, 1, 1, 4]` (see `ops/optimizer.rs`). Outputs are `loss`, `errors` and `grad_norm_squared`,
/// before clipping. Parameters, moments and averages are state.
pub fn objective_step(config: &UnetConfig, shape: Shape, objective: Objective) -> Graph {
    let (mut g, loss) = training_objective(config, shape, objective);
    let gradients = parameter_gradients(&mut g, loss);

    let mut norm_squared = g.constant(0.0, Shape::SCALAR);
    for (_, gradient) in &gradients {
        norm_squared = g.sum_squares(*gradient, norm_squared);
    }
    g.output("grad_norm_squared", norm_squared);

    let [m_rate, v_rate, ema_rate, max_norm] =
        ["m_rate", "v_rate", "ema_rate", "max_norm"].map(|name| g.input(name, Shape::SCALAR));
    let coefficients = g.input("adam", Shape::vector(4));
    for (spec, gradient) in gradients {
        let [m, v, average] =
            [FIRST_MOMENT, SECOND_MOMENT, AVERAGE].map(|prefix| g.state(&format!("{prefix}{}", spec.name), spec.shape));
        let gradient = g.clip_norm(gradient, norm_squared, max_norm);
        let new_m = g.lerp(m, gradient, m_rate);
        let new_v = g.lerp_square(v, gradient, v_rate);
        let parameter = g.adam(spec.id, new_m, new_v, coefficients);
        let new_average = g.lerp(average, parameter, ema_rate);
        g.assign(m, new_m);
        g.assign(v, new_v);
        g.assign(spec.id, parameter);
        g.assign(average, new_average);
    }
    fuse(&g)
}
