//! The one inner kernel of every convolution and product: a register tile C[p, v] += Σ_k A[p, k]·B[k, v].
//!
//! A is read in place by broadcast, B by vector; neither is packed. `taps` moves both along, so that a whole
//! convolution window is summed without leaving the registers.

use super::simd::{BaseVector, Isa, Vector, isa};

/// Where the operands of a tile lie, in values.
#[derive(Clone, Copy)]
pub struct Layout {
    /// From one row of A (and of the tile) to the next.
    pub a_row: usize,
    /// From one k of A to the next.
    pub a_k: usize,
    /// From one k of B to the next.
    pub b_k: usize,
    /// Number of k in one tap.
    pub k: usize,
    /// From one row of the start values to the next; 0 repeats one row, a bias.
    pub init_row: usize,
    /// From one row of C to the next.
    pub c_row: usize,
}

/// Tile kernel: A, B, (offset in A, offset in B) per tap, start values, C.
pub type Kernel = unsafe fn(Layout, *const f32, *const f32, &[(usize, usize)], *const f32, *mut f32);

/// # Safety
/// All that [`Layout`] reaches from the pointers over `taps`, `P` rows and `V` vectors is valid; the vector unit exists.
#[inline(always)]
unsafe fn tile<T: Vector, const P: usize, const V: usize>(
    l: Layout,
    a: *const f32,
    b: *const f32,
    taps: &[(usize, usize)],
    init: *const f32,
    c: *mut f32,
) {
    // SAFETY: by the caller's promise; nothing here goes further than the layout says.
    unsafe {
        let mut acc: [[T; V]; P] =
            std::array::from_fn(|p| std::array::from_fn(|v| T::load(init.add(p * l.init_row + v * T::LANES))));
        for &(a_offset, b_offset) in taps {
            let mut a = a.add(a_offset);
            let mut b = b.add(b_offset);
            for _ in 0..l.k {
                let row: [T; V] = std::array::from_fn(|v| T::load(b.add(v * T::LANES)));
                for p in 0..P {
                    let x = T::splat(*a.add(p * l.a_row));
                    for v in 0..V {
                        acc[p][v] = acc[p][v].add_product(x, row[v]);
                    }
                }
                a = a.add(l.a_k);
                b = b.add(l.b_k);
            }
        }
        for p in 0..P {
            for v in 0..V {
                acc[p][v].store(c.add(p * l.c_row + v * T::LANES));
            }
        }
    }
}

macro_rules! kernels {
    ($name:ident, $vector:ty, $attribute:meta, $($v:literal: $($p:literal)*);*) => {
        fn $name(rows: usize, vectors: usize) -> Kernel {
            match (rows, vectors) {
                $($(($p, $v) => {
                    #[$attribute]
                    unsafe fn kernel(
                        l: Layout, a: *const f32, b: *const f32, taps: &[(usize, usize)], init: *const f32, c: *mut f32,
                    ) {
                        // SAFETY: the caller's promise is passed on.
                        unsafe { tile::<$vector, $p, $v>(l, a, b, taps, init, c) }
                    }
                    kernel
                })*)*
                _ => unreachable!("there is no tile of {rows} rows and {vectors} vectors"),
            }
        }
    };
}

#[cfg(target_arch = "x86_64")]
kernels!(avx512, std::arch::x86_64::__m512, target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,avx2,fma"),
    1: 1 2 3 4 5 6 7 8 9 10 11 12 13 14; 2: 1 2 3 4 5 6 7 8 9 10 11 12 13 14; 4: 1 2 3 4 5 6 7);
#[cfg(target_arch = "x86_64")]
kernels!(avx2, std::arch::x86_64::__m256, target_feature(enable = "avx2,fma"), 1: 1 2 3 4 5 6; 2: 1 2 3 4 5 6);
kernels!(base, BaseVector, inline, 1: 1 2 3 4 5 6; 2: 1 2 3 4 5 6);

/// The tiles of one instruction set.
#[derive(Clone, Copy)]
pub struct Tiles {
    isa: Isa,
    /// Values in a vector: columns of B come in multiples of it.
    pub lanes: usize,
}

impl Tiles {
    /// The tiles of the best instruction set here.
    pub fn detect() -> Self {
        let isa = isa();
        let lanes = match isa {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => 16,
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => 8,
            Isa::Base => BaseVector::LANES,
        };
        Self { isa, lanes }
    }

    /// How many vectors wide the next tile is, when `left` vectors of columns are left.
    pub fn vectors(&self, left: usize) -> usize {
        match self.isa {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 if left >= 4 => 4,
            _ => left.min(2),
        }
    }

    /// How many rows a tile of `vectors` vectors holds at most: what fits the registers beside a row of B.
    pub fn max_rows(&self, vectors: usize) -> usize {
        match self.isa {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => (28 / vectors).min(14),
            _ => (12 / vectors).min(6),
        }
    }

    /// The kernel for `rows` rows and `vectors` vectors.
    pub fn kernel(&self, rows: usize, vectors: usize) -> Kernel {
        match self.isa {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => avx512(rows, vectors),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => avx2(rows, vectors),
            Isa::Base => base(rows, vectors),
        }
    }

    /// Covers `rows` rows × `columns` columns (a multiple of [`Tiles::lanes`]) with tiles of about equal height, calling
    /// `f(kernel, first row, rows, first column, columns)` for each.
    pub fn cover(&self, rows: usize, columns: usize, mut f: impl FnMut(Kernel, usize, usize, usize, usize)) {
        let mut column = 0;
        while column < columns {
            let vectors = self.vectors((columns - column) / self.lanes);
            let count = rows.div_ceil(self.max_rows(vectors));
            for i in 0..count {
                let (from, to) = (i * rows / count, (i + 1) * rows / count);
                f(self.kernel(to - from, vectors), from, to - from, column, vectors * self.lanes);
            }
            column += vectors * self.lanes;
        }
    }
}
