//! A walk is the sampler it replaces, to the last bit.

use super::gaussian::{close, schedules, scrambled};
use noisette::diffusion::walk::{DPM_SOLVER, Inputs, Rule, SLOTS};
use noisette::diffusion::{
    Convention, Prediction, Real, Sampler, SamplerConfig, SamplerKind, Schedule, Spacing, Variance, Walk,
};

/// Every setting that changes a sampler.
fn configs() -> Vec<SamplerConfig> {
    let mut configs = vec![SamplerConfig::default()];
    fn each<T: Copy>(configs: &mut Vec<SamplerConfig>, values: &[T], set: impl Fn(&mut SamplerConfig, T)) {
        *configs = configs
            .iter()
            .flat_map(|config| {
                values.iter().map(|&value| {
                    let mut config = config.clone();
                    set(&mut config, value);
                    config
                })
            })
            .collect();
    }
    each(&mut configs, SamplerKind::ALL, |c, kind| c.kind = kind);
    each(&mut configs, Spacing::ALL, |c, spacing| c.spacing = spacing);
    each(&mut configs, Convention::ALL, |c, convention| c.convention = convention);
    each(&mut configs, Prediction::ALL, |c, prediction| c.prediction = prediction);
    each(&mut configs, Variance::ALL, |c, variance| c.variance = variance);
    each(&mut configs, &[None, Some(1.0), Some(0.3)], |c, clip| c.clip = clip);
    each(&mut configs, &[0.0, 0.4, 1.0], |c, eta| c.eta = eta);
    each(&mut configs, &[false, true], |c, yes| c.set_alpha_to_one = yes);
    each(&mut configs, &[false, true], |c, yes| c.round_like_diffusers = yes);
    each(&mut configs, &[1, 2, 7, 20], |c, steps| c.steps = steps);
    configs.retain(|config| config.eta == 0.0 || config.kind == SamplerKind::Ddim);
    configs
}

/// Takes the same x, outputs and noise through both.
fn compare<T: Real + std::fmt::Debug>(schedule: &Schedule, config: &SamplerConfig) {
    const N: usize = 5;
    let sampler = Sampler::new(schedule, config).unwrap();
    let walk = Walk::new(schedule, config).unwrap();
    assert_eq!(walk.timesteps(), sampler.timesteps(), "{config:?}");
    let mut number = scrambled(config.steps as u64);
    let mut numbers = || -> [T; N] { std::array::from_fn(|_| T::of(2.5 * number())) };
    let (mut old_x, mut x0) = (numbers(), [T::of(0.0); N]);
    let (mut x, mut slots) = (old_x, [T::of(0.0); SLOTS * N]);
    for (old, step) in sampler.steps().iter().zip(&walk.moves) {
        let (output, noise) = (numbers(), numbers());
        let read: [T; N] = std::array::from_fn(|i| step.x0(x[i], output[i]));
        let (mut old_next, mut next) = ([T::of(0.0); N], [T::of(0.0); N]);
        old.apply(&old_x, &output, &noise, &mut x0, &mut old_next);
        step.apply(Inputs { x: &x, output: &output, noise: &noise, known: &[], mask: &[] }, &mut slots, &mut next);
        assert_eq!((next, read), (old_next, x0), "{config:?} at {}", step.timestep);
        (old_x, x) = (old_next, next);
    }
    // Unless it is said to remember, nothing would be remembered on a device.
    assert_eq!(walk.looks_back(), sampler.steps().iter().any(|step| step.d != 0.0), "{config:?}");
}

#[test]
fn a_walk_is_its_sampler() {
    let configs = configs();
    assert!(configs.len() > 3000, "{}", configs.len());
    for schedule in &schedules() {
        for config in &configs {
            compare::<f64>(schedule, config);
            compare::<f32>(schedule, config);
        }
        for &kind in SamplerKind::ALL {
            compare::<f64>(schedule, &SamplerConfig { kind, steps: 999, ..SamplerConfig::default() });
        }
    }
}

#[test]
fn a_walk_says_where_it_leads() {
    for schedule in &schedules() {
        for config in configs().iter().filter(|config| config.eta == 0.0) {
            let walk = Walk::new(schedule, config).unwrap();
            let (strides, all) = (config.kind == SamplerKind::Ddim, walk.timesteps());
            let strides = strides && config.convention == Convention::Diffusers;
            let last = if strides && !config.set_alpha_to_one { schedule.alpha_bar(0) } else { 1.0 };
            for (i, step) in walk.moves.iter().enumerate() {
                let next =
                    if strides { step.timestep.checked_sub(1000 / config.steps) } else { all.get(i + 1).copied() };
                assert_eq!(step.level, next.map_or(last, |t| schedule.alpha_bar(t)), "{config:?}");
                assert_eq!(step.guidance, 1.0);
            }
            assert_eq!(walk.level, schedule.alpha_bar(all[0]));
        }
    }
}

/// What an interrupted run goes on with: nothing changes but that a solver of second order begins with the first.
#[test]
fn a_walk_goes_on_without_its_memory() {
    let [schedule, _] = schedules();
    for config in configs().iter().filter(|config| config.steps == 7) {
        let rule = Rule::of(config.kind);
        let whole = rule.walk(&schedule, config).unwrap();
        for done in [0, 1, 4, 6] {
            let rest = rule.walk_after(&schedule, config, done).unwrap();
            assert_eq!(rest.level, schedule.alpha_bar(whole.moves[done].timestep));
            let (mut expected, mut found) = (whole.moves[done..].to_vec(), rest.moves);
            let (first, old) = (&mut found[0], &mut expected[0]);
            close(first.next.x0, old.next.x0 + old.next.slots[0], 1e-12, "the weight of x̂_0");
            assert_eq!(first.next.slots, [0.0; 3]);
            old.next = first.next;
            assert_eq!(found, expected, "{config:?} after {done}");
        }
        for done in [7, 8, usize::MAX] {
            let rest = rule.walk_after(&schedule, config, done).unwrap();
            assert!(rest.moves.is_empty() && rest.start() == (1.0, 0.0));
        }
    }
    let second = DPM_SOLVER.walk(&schedule, &SamplerConfig { steps: 7, ..SamplerConfig::default() }).unwrap();
    let orders: Vec<bool> = second.moves.iter().map(|step| step.looks_back()).collect();
    assert_eq!(orders, [false, true, true, true, true, true, false]);
}
