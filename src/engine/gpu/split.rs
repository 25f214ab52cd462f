//! A dispatch that may be too long for one submission, in parts that are not.
//!
//! Every item is computed as ever, to the bit. Where parts begin depends on shapes and on the adapter's class, and they are
//! made when a program is compiled; `throughput` decides which of them share a submission.

use crate::graph::Dispatch;

/// The most work of a part, tens of milliseconds on slow adapters of the kind: 30 with lavapipe on two cores, 90 with
/// SwiftShader.
const SOFTWARE: f64 = 1e8;
const HARDWARE: f64 = 1e9;

/// A dispatch or a part of one.
pub(super) struct Part {
    pub dispatch: Dispatch,
    pub work: f64,
}

/// The parts of a dispatch on a kind of adapter, in order.
pub(super) fn split(dispatch: Dispatch, work: f64, software: bool) -> Vec<Part> {
    let most = if software { SOFTWARE } else { HARDWARE };
    let whole = dispatch.workgroups;
    let count = ((work / most).ceil() as usize).clamp(1, whole.max(1));
    if count == 1 {
        return vec![Part { dispatch, work }];
    }
    let part = |i: usize| {
        let [begin, end] = [i, i + 1].map(|i| whole * i / count);
        Part { dispatch: dispatch.part(begin..end), work: work * (end - begin) as f64 / whole as f64 }
    };
    (0..count).map(part).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_cover_a_dispatch() {
        let dispatch = Dispatch::groups("conv2d", &7u32, 100);
        let whole = split(dispatch.clone(), SOFTWARE, true);
        assert!(whole.len() == 1 && whole[0].dispatch == dispatch);
        for (work, software, count) in [(2.5 * SOFTWARE, true, 3), (2.5 * HARDWARE, false, 3), (1e12, true, 100)] {
            let parts = split(dispatch.clone(), work, software);
            assert_eq!(parts.len(), count);
            let mut next = 0;
            for part in &parts {
                assert!(part.dispatch.workgroups > 0);
                assert_eq!(part.dispatch.params, bytemuck::bytes_of(&[next as u32, 7]));
                next += part.dispatch.workgroups;
            }
            assert_eq!(next, 100);
            assert!((parts.iter().map(|part| part.work).sum::<f64>() - work).abs() < 1e-6 * work);
        }
        let single = split(Dispatch::single("mse", &7u32), 1e12, true);
        assert!(single.len() == 1 && single[0].dispatch.params == bytemuck::bytes_of(&7u32));
    }
}
