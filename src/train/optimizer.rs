//! One training step as one graph: loss, gradients, clipping, Adam, and the moving average of the weights.

use crate::graph::{Graph, Id, ParamSpec};
use crate::model::config::UnetConfig;
use crate::model::step::{Objective, training_loss};
use crate::ops::fuse;
use crate::tensor::Shape;

/// Prefix of the state that holds Adam's first moment of a parameter.
pub const FIRST_MOMENT: &str = "adam_m.";
/// Prefix of the state that holds Adam's second moment of a parameter.
pub const SECOND_MOMENT: &str = "adam_v.";
/// Prefix of the state that holds the moving average of a parameter.
pub const AVERAGE: &str = "ema.";

/// [`training_loss`] and ∂loss/∂parameter as the outputs `grad.<name>`.
pub fn gradients(config: &UnetConfig, shape: Shape, objective: Objective) -> Graph {
    let (mut g, loss) = training_loss(config, shape, objective);
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

/// [`training_loss`] and everything after it: running the program takes one step.
///
/// Beside the loss's inputs it has the scalars `m_rate` = 1 − β₁, `v_rate` = 1 − β₂, `ema_rate` = 1 − decay and
/// `max_norm`, and `adam` `[1, 1, 1, 4]` (see `ops/optimizer.rs`). Outputs are `loss`, `errors` and `grad_norm_squared`,
/// before clipping. Parameters, moments and averages are state.
pub fn training_step(config: &UnetConfig, shape: Shape, objective: Objective) -> Graph {
    let (mut g, loss) = training_loss(config, shape, objective);
    let gradients = parameter_gradients(&mut g, loss);

    let mut norm_squared = g.constant(0.0, Shape::SCALAR);
    for (_, gradient) in &gradients {
        norm_squared = g.sum_squares(*gradient, norm_squared);
    }
    g.output("grad_norm_squared", norm_squared);

    let [m_rate, v_rate, ema_rate, max_norm] =
        ["m_rate", "v_rate", "ema_rate", "max_norm"].map(|name| g.input(name, Shape::SCALAR));
    let coefficients = g.input("adam", Shape::vector(4));
    // Step by step for all parameters, not parameter by parameter: so an engine can do each step for all of them at once.
    let states = |g: &mut Graph, prefix: &str| -> Vec<Id> {
        gradients.iter().map(|(spec, _)| g.state(&format!("{prefix}{}", spec.name), spec.shape)).collect()
    };
    let [m, v, averages] = [FIRST_MOMENT, SECOND_MOMENT, AVERAGE].map(|prefix| states(&mut g, prefix));
    let each = 0..gradients.len();
    let clipped: Vec<Id> =
        gradients.iter().map(|(_, gradient)| g.clip_norm(*gradient, norm_squared, max_norm)).collect();
    let new_m: Vec<Id> = each.clone().map(|i| g.lerp(m[i], clipped[i], m_rate)).collect();
    let new_v: Vec<Id> = each.clone().map(|i| g.lerp_square(v[i], clipped[i], v_rate)).collect();
    let parameters: Vec<Id> =
        each.clone().map(|i| g.adam(gradients[i].0.id, new_m[i], new_v[i], coefficients)).collect();
    let new_averages: Vec<Id> = each.clone().map(|i| g.lerp(averages[i], parameters[i], ema_rate)).collect();
    for i in each {
        g.assign(m[i], new_m[i]);
        g.assign(v[i], new_v[i]);
        g.assign(gradients[i].0.id, parameters[i]);
        g.assign(averages[i], new_averages[i]);
    }
    fuse(&g)
}
