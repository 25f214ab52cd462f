//! The numbers as they are handed to a device mean what the move says.

use super::gaussian::{schedules, scrambled};
use noisette::diffusion::walk::inversion::{Asked, inversion};
use noisette::diffusion::walk::repaint::{Resampling, repaint};
use noisette::diffusion::walk::{DDIM, Inputs, Move, SLOTS};
use noisette::diffusion::{Prediction, SamplerConfig};

/// Both ops of a device on one value: x' and what is remembered.
fn ops(k: &[f32; 16], l: &[f32; 32], [x, m, z, known, mask]: [f32; 5], slots: [f32; SLOTS]) -> [f32; 1 + SLOTS] {
    let x0 = (k[0] * x + k[1] * m).max(-k[2]).min(k[2]);
    let epsilon = k[3] * x + k[4] * m;
    let sum = |c: [f32; 6]| c[0] * x0 + c[1] * epsilon + c[2] * x + c[3] * slots[0] + c[4] * slots[1] + c[5] * slots[2];
    let free = sum([k[5], k[6], k[7], k[8], k[9], k[10]]) + k[11] * z;
    let next = if mask >= 0.5 { k[12] * known + k[13] * z } else { free };
    assert_eq!(k[..5], l[..5]);
    let remembered = |k: usize| sum([0, 1, 2, 4, 5, 6].map(|i| l[8 + 8 * k + i]));
    [next, remembered(0), remembered(1), remembered(2)]
}

#[test]
fn packed_numbers_make_the_same_move() {
    let [schedule, _] = schedules();
    let mut moves: Vec<Move> = Vec::new();
    for clip in [None, Some(0.7)] {
        for &prediction in Prediction::ALL {
            let config = SamplerConfig { steps: 9, eta: 0.5, clip, prediction, ..SamplerConfig::default() };
            for rule in crate::rules() {
                moves.extend(rule.walk(&schedule, &config).unwrap().moves);
            }
            let again = Resampling { jump_length: 2, jump_n_sample: 2 };
            moves.extend(repaint(&DDIM, &schedule, &config, again).unwrap().moves);
            if prediction != Prediction::Sample {
                moves.extend(inversion(&schedule, &config, Asked::Implicit { calls: 3 }).unwrap().moves);
            }
        }
    }
    assert!(moves.len() > 400, "{}", moves.len());
    let mut number = scrambled(3);
    for step in moves {
        let [x, output, noise, known] = [(); 4].map(|()| 2.0 * number() as f32);
        let before = [(); SLOTS].map(|()| 2.0 * number() as f32);
        for mask in [0.0, 0.49, 0.5, 1.0] {
            let (mut slots, mut out) = (before, [0.0]);
            let inputs = Inputs { x: &[x], output: &[output], noise: &[noise], known: &[known], mask: &[mask] };
            step.apply(inputs, &mut slots, &mut out);
            let found = ops(&step.packed(), &step.packed_memory(), [x, output, noise, known, mask], before);
            assert_eq!(found, [out[0], slots[0], slots[1], slots[2]], "{step:?} of {mask}");
        }
    }
}

#[test]
fn a_move_looks_at_what_it_says() {
    let [schedule, _] = schedules();
    let config = SamplerConfig { steps: 4, ..SamplerConfig::default() };
    let quiet = DDIM.walk(&schedule, &config).unwrap();
    for (i, step) in quiet.moves.iter().enumerate() {
        assert!(!step.draws(false) && !step.looks_back());
        // The known picture has noise until the end.
        assert_eq!(step.draws(true), i < 3);
        let mut out = [0.0];
        let inputs = Inputs { x: &[0.3], output: &[0.2], noise: &[], known: &[], mask: &[] };
        step.apply(inputs, &mut [0.0; SLOTS], &mut out);
    }
    let loud = DDIM.walk(&schedule, &SamplerConfig { eta: 0.5, ..config }).unwrap();
    assert!(loud.moves[..3].iter().all(|step| step.draws(false)));
}
