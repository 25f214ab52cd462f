//! Samplers as diffusers has them: timesteps, whole trajectories, noise and clipping.

use super::{apply, close, trajectory, usual};
use noisette::diffusion::walk::{Inputs, Rule, SLOTS, Walk};
use noisette::diffusion::{
    BetaSchedule, DiffusionError, Prediction, SamplerConfig, SamplerKind, Schedule, Spacing, Variance,
};
use noisette::rng::Rng;

fn timesteps(count: usize, config: &SamplerConfig) -> Result<Vec<usize>, DiffusionError> {
    Rule::of(config.kind).timesteps(count, config)
}

/// From diffusers 0.42.1:
/// ```python
/// s = DDIMScheduler(timestep_spacing=spacing, steps_offset=offset)   # or DPMSolverMultistepScheduler
/// s.set_timesteps(n); s.timesteps.tolist()
/// ```
#[test]
fn timestep_spacings_are_those_of_diffusers() {
    use SamplerKind::{Ddim, Ddpm, DpmSolverPp2M};
    use Spacing::{Leading, Linspace, Trailing};
    #[rustfmt::skip]
    let rows: [(SamplerKind, Spacing, usize, &[usize]); 18] = [
        (Ddim, Leading, 0, &[0]),
        (Ddim, Leading, 0, &[852, 710, 568, 426, 284, 142, 0]),
        (Ddpm, Leading, 1, &[901, 801, 701, 601, 501, 401, 301, 201, 101, 1]),
        (Ddim, Trailing, 0, &[999]),
        (Ddpm, Trailing, 0, &[999, 856, 713, 570, 428, 285, 142]),
        (Ddim, Trailing, 1, &[999, 899, 799, 699, 599, 499, 399, 299, 199, 99]),
        (Ddim, Linspace, 0, &[0]),
        (Ddpm, Linspace, 0, &[999, 832, 666, 500, 333, 166, 0]),
        (Ddim, Linspace, 1, &[999, 888, 777, 666, 555, 444, 333, 222, 111, 0]),
        (DpmSolverPp2M, Leading, 0, &[500]),
        (DpmSolverPp2M, Leading, 0, &[875, 750, 625, 500, 375, 250, 125]),
        (DpmSolverPp2M, Leading, 1, &[901, 811, 721, 631, 541, 451, 361, 271, 181, 91]),
        (DpmSolverPp2M, Trailing, 0, &[999]),
        (DpmSolverPp2M, Trailing, 0, &[999, 856, 713, 570, 428, 285, 142]),
        (DpmSolverPp2M, Trailing, 1, &[999, 899, 799, 699, 599, 499, 399, 299, 199, 99]),
        (DpmSolverPp2M, Linspace, 0, &[999]),
        (DpmSolverPp2M, Linspace, 0, &[999, 856, 714, 571, 428, 285, 143]),
        (DpmSolverPp2M, Linspace, 1, &[999, 899, 799, 699, 599, 500, 400, 300, 200, 100]),
    ];
    for (kind, spacing, steps_offset, expected) in rows {
        let config = SamplerConfig { kind, steps: expected.len(), spacing, steps_offset, ..SamplerConfig::default() };
        assert_eq!(timesteps(1000, &config).unwrap(), expected, "{config:?}");
        assert_eq!(Walk::new(&usual(), &config).unwrap().timesteps(), expected);
    }
}

#[test]
fn every_number_of_steps_has_its_timesteps() {
    for kind in [SamplerKind::Ddpm, SamplerKind::Ddim] {
        for spacing in Spacing::ALL {
            for count in [1, 2, 37, 1000] {
                for steps in 1..=count {
                    let config = SamplerConfig { kind, steps, spacing: *spacing, ..SamplerConfig::default() };
                    let list = timesteps(count, &config).unwrap_or_else(|error| panic!("{config:?}: {error}"));
                    // 61 trailing steps of 1000 are a case where diffusers 0.42.1 appends a 62nd at timestep −1.
                    assert_eq!(list.len(), steps, "{config:?}");
                    assert!(list[0] < count && list.windows(2).all(|pair| pair[1] < pair[0]), "{config:?}: {list:?}");
                    let (first, last) = (list[0], list[steps - 1]);
                    match spacing {
                        Spacing::Leading => assert_eq!(last, 0),
                        Spacing::Trailing => assert_eq!(first, count - 1),
                        Spacing::Linspace => assert!(last == 0 && (steps == 1 || first == count - 1)),
                    }
                }
            }
        }
    }
}

#[test]
fn impossible_samplers_are_refused() {
    let s = usual();
    let refuse = |config: SamplerConfig| Walk::new(&s, &config).expect_err(&format!("{config:?}"));
    let base = || SamplerConfig { steps: 50, ..SamplerConfig::default() };
    for steps in [0, 1001, usize::MAX] {
        assert_eq!(refuse(SamplerConfig { steps, ..base() }), DiffusionError::Steps { found: steps, max: 1000 });
    }
    for eta in [-0.1, 1.000_001, f64::NAN, f64::INFINITY] {
        assert!(matches!(refuse(SamplerConfig { eta, ..base() }), DiffusionError::Eta(_)));
    }
    for clip in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        assert!(matches!(refuse(SamplerConfig { clip: Some(clip), ..base() }), DiffusionError::Clip(_)));
    }
    for steps_offset in [20, usize::MAX] {
        let error = refuse(SamplerConfig { steps_offset, ..base() });
        assert!(matches!(error, DiffusionError::Offset { .. } | DiffusionError::Repeated { .. }), "{error}");
    }
    assert!(Walk::new(&s, &SamplerConfig { steps_offset: 19, ..base() }).is_ok());
    for spacing in [Spacing::Leading, Spacing::Linspace] {
        let error = refuse(SamplerConfig { kind: SamplerKind::DpmSolverPp2M, steps: 1000, spacing, ..base() });
        assert!(matches!(error, DiffusionError::Repeated { .. }), "{error}");
    }
    assert_eq!(
        refuse(SamplerConfig { steps: 1001, ..base() }).to_string(),
        "sampling takes 1 to 1000 steps with this schedule, found 1001"
    );
}

/// Half-way and final states of diffusers 0.42.1 (in f32) for the made-up model m = x/(1 + x²/4):
/// ```python
/// def run(s, n, **kw):
///     s.set_timesteps(n)
///     x, states = torch.tensor([[1.5, 0.5, -0.5, -1.5]]), []
///     for k, t in enumerate(s.timesteps):
///         z = torch.tensor([[((i * 37 + k * 17) % 101) / 50 - 1 for i in range(4)]], dtype=torch.float32)
///         ddpm.randn_tensor = lambda *a, **b: z
///         if kw: kw["variance_noise"] = z
///         x = s.step(x / (1 + 0.25 * x * x), t, x, **kw).prev_sample
///         states.append(x[0].tolist())
///     print(states[n // 2 - 1], states[-1])
/// run(P(), 1000)
/// run(P(variance_type="fixed_large", clip_sample=False), 100)
/// run(P(variance_type="fixed_large", timestep_spacing="trailing"), 10)
/// run(P(beta_schedule="squaredcos_cap_v2", prediction_type="v_prediction", timestep_spacing="linspace"), 20)
/// run(P(beta_schedule="scaled_linear", prediction_type="sample", steps_offset=1), 30)
/// run(I(), 50, eta=0.0)
/// run(I(clip_sample=False), 50, eta=1.0)
/// run(I(timestep_spacing="trailing", set_alpha_to_one=False, prediction_type="sample"), 7, eta=0.3)
/// run(I(set_alpha_to_one=False, clip_sample_range=0.7), 9, eta=0.5)
/// run(I(beta_schedule="squaredcos_cap_v2", prediction_type="v_prediction", timestep_spacing="linspace"), 20, eta=1.0)
/// run(D(), 20)
/// run(D(timestep_spacing="trailing"), 10)
/// run(D(timestep_spacing="leading", prediction_type="v_prediction", beta_schedule="squaredcos_cap_v2"), 16)
/// ```
/// with `P, I, D = DDPMScheduler, DDIMScheduler, DPMSolverMultistepScheduler`.
#[test]
fn trajectories_are_those_of_diffusers() {
    use BetaSchedule::{Linear, ScaledLinear, SquaredcosCapV2};
    let ddpm = SamplerConfig::default;
    let ddim = || SamplerConfig { kind: SamplerKind::Ddim, ..ddpm() };
    let dpm = || SamplerConfig { kind: SamplerKind::DpmSolverPp2M, spacing: Spacing::Linspace, clip: None, ..ddpm() };
    let (v, sample) = (Prediction::VPrediction, Prediction::Sample);
    let (large, trailing, linspace) = (Variance::FixedLarge, Spacing::Trailing, Spacing::Linspace);
    #[rustfmt::skip]
    let rows: [(BetaSchedule, SamplerConfig, [[f64; 4]; 2]); 13] = [
        (Linear, ddpm(),
         [[0.371244609, -0.00971348584, -0.112859234, -0.154214323], [0.0210115109, 0.026767334, -0.00122479617, -0.0226935484]]),
        (Linear, SamplerConfig { steps: 100, variance: large, clip: None, ..ddpm() },
         [[-0.318555832, 0.0596477464, 0.83366859, -0.424396455], [0.264605045, 0.0251617488, -0.164050996, -0.162458465]]),
        (Linear, SamplerConfig { steps: 10, variance: large, spacing: trailing, ..ddpm() },
         [[0.0166045725, -0.0975956917, -0.546841025, 0.328351617], [-0.4133389, 0.284376442, -0.144338638, -0.052621074]]),
        (SquaredcosCapV2, SamplerConfig { steps: 20, prediction: v, spacing: linspace, ..ddpm() },
         [[-0.357418925, 0.27977109, -0.176127985, -0.0171629041], [-0.0713320374, -0.0639166683, -0.0273602959, 0.146540761]]),
        (ScaledLinear, SamplerConfig { steps: 30, prediction: sample, steps_offset: 1, ..ddpm() },
         [[-0.718825221, -0.141345099, 0.0210938752, -0.195213735], [-0.490756243, -0.194580898, 0.0591716133, 0.248925701]]),
        (Linear, SamplerConfig { steps: 50, ..ddim() },
         [[0.642091036, 0.508895457, -0.508895457, -0.642091036], [0.374931902, 0.280111909, -0.280111909, -0.374931902]]),
        (Linear, SamplerConfig { steps: 50, eta: 1.0, clip: None, ..ddim() },
         [[-0.342887998, -0.338984817, 0.206422105, -2.52586746], [-0.0631689802, 0.04476358, 0.176397935, -1.82565415]]),
        (Linear, SamplerConfig { steps: 7, eta: 0.3, spacing: trailing, set_alpha_to_one: false, prediction: sample, ..ddim() },
         [[0.925096631, 0.576641023, -0.358940572, -1.84609485], [0.883144617, 0.60219723, -0.57603389, -0.944479704]]),
        (Linear, SamplerConfig { steps: 9, eta: 0.5, clip: Some(0.7), set_alpha_to_one: false, ..ddim() },
         [[-0.0258032642, 0.758651435, -0.403903037, -0.816551685], [0.0313015953, 0.0748682991, -0.108005092, -0.238547042]]),
        (SquaredcosCapV2, SamplerConfig { steps: 20, eta: 1.0, prediction: v, spacing: linspace, ..ddim() },
         [[-0.366635352, 0.270914614, -0.172694996, -0.0172631741], [-0.0839024261, -0.069018364, -0.0233634412, 0.145423934]]),
        (Linear, SamplerConfig { steps: 20, ..dpm() },
         [[27.1045799, 0.651150286, -0.651150286, -27.1045799], [96.9026642, 0.387010932, -0.387010932, -96.9026642]]),
        (Linear, SamplerConfig { steps: 10, spacing: trailing, ..dpm() },
         [[27.2138577, 0.64586997, -0.64586997, -27.2138577], [96.9552231, 0.361320734, -0.361320734, -96.9552231]]),
        (SquaredcosCapV2, SamplerConfig { steps: 16, spacing: Spacing::Leading, prediction: v, ..dpm() },
         [[0.866881192, 0.245467201, -0.245467201, -0.866881192], [0.450990617, 0.120388202, -0.120388202, -0.450990617]]),
    ];
    for (kind, config, expected) in rows {
        let sampler = Walk::new(&Schedule::new(kind, 1000, 1e-4, 0.02).unwrap(), &config).unwrap();
        let z = |k: usize, i: usize| ((i * 37 + k * 17) % 101) as f64 / 50.0 - 1.0;
        let states = trajectory(&sampler, vec![1.5, 0.5, -0.5, -1.5], |x, _| x / (1.0 + 0.25 * x * x), z);
        for (state, expected) in [&states[config.steps / 2 - 1], &states[config.steps - 1]].into_iter().zip(expected) {
            for (&x, expected) in state.iter().zip(expected) {
                close(x, expected, 2e-5 * expected.abs().max(1.0), &format!("{kind:?} {config:?}"));
            }
        }
    }
}

#[test]
fn ddim_with_eta_one_is_ddpm_with_the_small_variance() {
    let s = usual();
    let mut rng = Rng::new(3);
    // Leading spacing with n a divisor of T gives both the same previous timesteps.
    for (steps, prediction) in
        [(1000, Prediction::Epsilon), (50, Prediction::Epsilon), (50, Prediction::VPrediction), (8, Prediction::Sample)]
    {
        let ddpm = SamplerConfig { steps, clip: None, prediction, ..SamplerConfig::default() };
        let ddim = SamplerConfig { kind: SamplerKind::Ddim, eta: 1.0, ..ddpm.clone() };
        let (ddpm, ddim) = (Walk::new(&s, &ddpm).unwrap(), Walk::new(&s, &ddim).unwrap());
        assert_eq!(ddpm.moves.len(), steps);
        for (p, i) in ddpm.moves.iter().zip(&ddim.moves) {
            assert_eq!(p.timestep, i.timestep);
            let [x, m, z] = [(); 3].map(|()| rng.normals(7).iter().map(|&v| f64::from(v)).collect::<Vec<f64>>());
            let (mut a, mut b, mut slots) = ([0.0; 7], [0.0; 7], [0.0; SLOTS * 7]);
            apply(p, [&x, &m, &z], &mut slots, &mut a);
            apply(i, [&x, &m, &z], &mut slots, &mut b);
            for (a, b) in a.iter().zip(b) {
                close(*a, b, 1e-10, &format!("timestep {}", p.timestep));
            }
        }
    }
}

#[test]
fn the_last_step_adds_no_noise_and_eta_zero_none_at_all() {
    let s = usual();
    for kind in SamplerKind::ALL {
        for spacing in Spacing::ALL {
            for variance in Variance::ALL {
                for steps in [1, 2, 50, 333] {
                    let config = SamplerConfig {
                        kind: *kind,
                        spacing: *spacing,
                        steps,
                        eta: 1.0,
                        variance: *variance,
                        ..SamplerConfig::default()
                    };
                    let sampler = Walk::new(&s, &config).unwrap();
                    let last = sampler.moves.last().unwrap();
                    if last.timestep == 0 {
                        assert_eq!(last.noise, 0.0, "{config:?}");
                        // Without looking at z: nothing, not even NaN, comes through.
                        let mut out = [0.0];
                        apply(last, [&[0.3], &[0.2], &[f64::NAN]], &mut [0.0; SLOTS], &mut out);
                        assert!(out[0].is_finite());
                        apply(last, [&[0.3], &[0.2], &[]], &mut [0.0; SLOTS], &mut out);
                    }
                    let quiet = Walk::new(&s, &SamplerConfig { eta: 0.0, ..config.clone() }).unwrap();
                    let noisy = quiet.moves.iter().filter(|step| step.noise > 0.0).count();
                    assert_eq!(noisy > 0, *kind == SamplerKind::Ddpm && sampler.timesteps()[0] > 0, "{config:?}");
                }
            }
        }
    }
}

#[test]
fn a_step_clips_x0_and_keeps_the_models_epsilon() {
    let s = usual();
    let config = SamplerConfig { kind: SamplerKind::Ddim, steps: 50, clip: Some(0.5), ..SamplerConfig::default() };
    let step = Walk::new(&s, &config).unwrap().moves[10];
    let (x, epsilon) = ([3.0, -3.0, 0.4], [0.1, -0.2, 0.3]);
    let mut out = [0.0; 3];
    apply(&step, [&x, &epsilon, &[]], &mut [0.0; 3 * SLOTS], &mut out);
    let x0 = [0, 1, 2].map(|i| step.x0(x[i], epsilon[i]));
    assert_eq!((x0[0], x0[1]), (0.5, -0.5));
    let before = s.alpha_bar(step.timestep - 20);
    for i in 0..3 {
        close(out[i], before.sqrt() * x0[i] + (1.0 - before).sqrt() * epsilon[i], 1e-14, "equation 12");
    }
    let mut out_f32 = [0.0_f32; 3];
    let (x, output) = (x.map(|v| v as f32), epsilon.map(|v| v as f32));
    let inputs = Inputs { x: &x, output: &output, noise: &[], known: &[], mask: &[] };
    step.apply(inputs, &mut [0.0; 3 * SLOTS], &mut out_f32);
    for i in 0..3 {
        close(f64::from(out_f32[i]), out[i], 1e-6, "f32");
    }
}
