//! A dispatch that may be too long for one submission, in parts that are not.
//!
//! No dispatch of WebGPU begins with a workgroup other than the first. So a kernel that runs in parts is told in its
//! `Params` how many workgroups to skip, and adds them to the number of its own, which all kernels compute by one of two
//! formulas. Every item is computed as ever, to the bit. Where parts begin depends on shapes and on the adapter's class,
//! and they are made when a program is compiled; `throughput` decides which of them share a submission.

use crate::graph::Dispatch;

/// The most work of a part, tens of milliseconds on slow adapters of the kind: 30 with lavapipe on two cores, 90 with
/// SwiftShader.
const SOFTWARE: f64 = 1e8;
const HARDWARE: f64 = 1e9;

/// How kernels number their items, and how they do in a part.
const FORMULAS: [[&str; 2]; 2] = [
    ["group.x + group.y * groups.x", "p.skipped + group.x + group.y * groups.x"],
    ["gid.x + gid.y * groups.x * 64u", "p.skipped * 64u + gid.x + gid.y * groups.x * 64u"],
];
const PARAMS: [&str; 2] = ["struct Params {", "struct Params {\n    skipped: u32,"];

/// The text of a kernel for parts of it: its `Params` begin with the number of workgroups before the part. Nothing for a
/// kernel of a single workgroup.
pub fn split_source(source: &str) -> Option<String> {
    let [formula, with_skipped] = FORMULAS.into_iter().find(|[formula, _]| source.contains(formula))?;
    Some(source.replacen(formula, with_skipped, 1).replacen(PARAMS[0], PARAMS[1], 1))
}

/// A dispatch or a part of one.
pub(super) struct Part {
    /// Its parameters begin with the workgroups to skip where it is a part.
    pub dispatch: Dispatch,
    pub is_part: bool,
    pub work: f64,
}

/// The parts of a dispatch on a kind of adapter, in order.
pub(super) fn split(dispatch: Dispatch, work: f64, software: bool) -> Vec<Part> {
    let most = if software { SOFTWARE } else { HARDWARE };
    let whole = dispatch.workgroups;
    let count = ((work / most).ceil() as usize).clamp(1, whole.max(1));
    if count == 1 {
        return vec![Part { dispatch, is_part: false, work }];
    }
    let part = |i: usize| {
        let [begin, end] = [i, i + 1].map(|i| whole * i / count);
        let params = [&(begin as u32).to_le_bytes(), dispatch.params.as_slice()].concat();
        let share = (end - begin) as f64 / whole as f64;
        let dispatch = Dispatch { params, workgroups: end - begin, ..dispatch.clone() };
        Part { dispatch, is_part: true, work: work * share }
    };
    (0..count).map(part).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_cover_a_dispatch() {
        let dispatch = Dispatch { shader: "conv2d", params: vec![1, 2, 3, 4], operands: None, workgroups: 100 };
        let whole = split(dispatch.clone(), SOFTWARE, true);
        assert!(whole.len() == 1 && !whole[0].is_part && whole[0].dispatch == dispatch);
        for (work, software, count) in [(2.5 * SOFTWARE, true, 3), (2.5 * HARDWARE, false, 3), (1e12, true, 100)] {
            let parts = split(dispatch.clone(), work, software);
            assert_eq!(parts.len(), count);
            let mut next = 0;
            for part in &parts {
                assert!(part.is_part && part.dispatch.workgroups > 0);
                assert_eq!(part.dispatch.params, [&(next as u32).to_le_bytes()[..], &[1, 2, 3, 4]].concat());
                next += part.dispatch.workgroups;
            }
            assert_eq!(next, 100);
            assert!((parts.iter().map(|part| part.work).sum::<f64>() - work).abs() < 1e-6 * work);
        }
        let single = Dispatch { shader: "mse", params: Vec::new(), operands: None, workgroups: 1 };
        assert_eq!(split(single, 1e12, true).len(), 1);
    }
}
