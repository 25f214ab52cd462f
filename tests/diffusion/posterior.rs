//! One step back: the posterior, and the three ways a model may speak.

use super::{close, of_kind};
use noisette::diffusion::posterior::{Posterior, Reading};
use noisette::diffusion::{BetaSchedule, Prediction, forward};

#[test]
fn the_posterior_inverts_the_forward_process() {
    for kind in BetaSchedule::ALL {
        let s = of_kind(*kind, 1000);
        for (t, before) in [(1, 0), (7, 6), (500, 499), (999, 998), (999, 400), (20, 0)] {
            let (a_t, a_s) = (s.alpha_bar(t), s.alpha_bar(before));
            let q = Posterior::between(a_t, a_s);
            // Bayes for Gaussians: precisions add.
            let alpha = a_t / a_s;
            let precision = alpha / (1.0 - alpha) + 1.0 / (1.0 - a_s);
            close(q.variance * precision, 1.0, 1e-9, "variance");
            close(q.xt, alpha.sqrt() / (1.0 - alpha) / precision, 1e-9, "weight of x_t");
            close(q.x0, a_s.sqrt() / (1.0 - a_s) / precision, 1e-9, "weight of x_0");
            // Averaged over x_t given x_0, the posterior is q(x_s|x_0) again.
            close(q.x0 + q.xt * a_t.sqrt(), a_s.sqrt(), 1e-12, "mean of x_s");
            close(q.variance + q.xt * q.xt * (1.0 - a_t), 1.0 - a_s, 1e-12, "variance of x_s");
        }
        let first = Posterior::at(&s, 0);
        assert_eq!((first.x0, first.xt, first.variance), (1.0, 0.0, 0.0), "x_0 is known at the last step");
        for t in 1..1000 {
            // ᾱ rounded to f32 leaves β = 1 − ᾱ_t/ᾱ_{t−1} uncertain by 1e-7.
            close(Posterior::at(&s, t).variance, s.posterior_variance(t), 1.3e-7, "beta tilde");
            let (x_t, epsilon) = (0.6, -1.3);
            let read = Reading::new(Prediction::Epsilon, s.alpha_bar(t));
            let x_0 = read.x0.0 * x_t + read.x0.1 * epsilon;
            let tolerance = 2e-7 * (1.0 + x_0.abs()) / (1.0 - s.alpha_bar(t));
            let mean = s.recip_sqrt_alpha(t) * (x_t - s.remove_noise(t) * epsilon);
            close(mean, Posterior::at(&s, t).mean(x_0, x_t), tolerance, "equation 11 is 7 with 15");
        }
    }
}

#[test]
fn epsilon_x0_and_v_say_the_same() {
    let s = of_kind(BetaSchedule::SquaredcosCapV2, 1000);
    for t in [0, 1, 333, 900, 998] {
        let (x_0, epsilon) = (-0.4, 1.7);
        let mut x_t = [0.0];
        forward::noised(&s, t, &[x_0], &[epsilon], &mut x_t);
        let v = s.sqrt_alpha_bar(t) * epsilon - s.sqrt_one_minus_alpha_bar(t) * x_0;
        let tolerance = 1e-14 / s.sqrt_alpha_bar(t) / s.sqrt_one_minus_alpha_bar(t);
        for (prediction, output) in
            [(Prediction::Epsilon, epsilon), (Prediction::Sample, x_0), (Prediction::VPrediction, v)]
        {
            let r = Reading::new(prediction, s.alpha_bar(t));
            close(r.x0.0 * x_t[0] + r.x0.1 * output, x_0, tolerance, prediction.name());
            close(r.epsilon.0 * x_t[0] + r.epsilon.1 * output, epsilon, tolerance, prediction.name());
        }
    }
}
