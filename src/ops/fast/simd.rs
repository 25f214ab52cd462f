//! The vector units: which one this machine has, its few instructions a tile needs, and loops compiled for each.

/// Instruction sets that fast paths are compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isa {
    /// Whatever the target guarantees: SSE2, NEON, simd128.
    Base,
    /// x86-64-v3: AVX2 and FMA.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// x86-64-v4: AVX-512.
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

/// The best instruction set of this machine.
pub fn isa() -> Isa {
    #[cfg(target_arch = "x86_64")]
    {
        // The macro caches what it finds, so asking is a load.
        let avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
        if avx2
            && is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512bw")
        {
            return Isa::Avx512;
        }
        if avx2 {
            return Isa::Avx2;
        }
    }
    Isa::Base
}

/// A vector of f32 of one instruction set.
///
/// # Safety
/// The methods may only run where the instruction set exists, and pointers must be valid for `LANES` values.
pub unsafe trait Vector: Copy {
    /// Values in a vector.
    const LANES: usize;
    /// Loads `LANES` values, unaligned.
    unsafe fn load(from: *const f32) -> Self;
    /// Stores `LANES` values, unaligned.
    unsafe fn store(self, to: *mut f32);
    /// The value `x` in every lane.
    unsafe fn splat(x: f32) -> Self;
    /// self + a·b.
    unsafe fn add_product(self, a: Self, b: Self) -> Self;
    /// self + b.
    unsafe fn add(self, b: Self) -> Self;
    /// self − b.
    unsafe fn sub(self, b: Self) -> Self;
    /// self·b.
    unsafe fn mul(self, b: Self) -> Self;
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::Vector;
    use std::arch::x86_64::*;

    // SAFETY: each method is one instruction on `LANES` values; the trait's contract is the instruction's.
    unsafe impl Vector for __m512 {
        const LANES: usize = 16;
        #[inline(always)]
        unsafe fn load(from: *const f32) -> Self {
            unsafe { _mm512_loadu_ps(from) }
        }
        #[inline(always)]
        unsafe fn store(self, to: *mut f32) {
            unsafe { _mm512_storeu_ps(to, self) }
        }
        #[inline(always)]
        unsafe fn splat(x: f32) -> Self {
            unsafe { _mm512_set1_ps(x) }
        }
        #[inline(always)]
        unsafe fn add_product(self, a: Self, b: Self) -> Self {
            unsafe { _mm512_fmadd_ps(a, b, self) }
        }
        #[inline(always)]
        unsafe fn add(self, b: Self) -> Self {
            unsafe { _mm512_add_ps(self, b) }
        }
        #[inline(always)]
        unsafe fn sub(self, b: Self) -> Self {
            unsafe { _mm512_sub_ps(self, b) }
        }
        #[inline(always)]
        unsafe fn mul(self, b: Self) -> Self {
            unsafe { _mm512_mul_ps(self, b) }
        }
    }

    // SAFETY: as above.
    unsafe impl Vector for __m256 {
        const LANES: usize = 8;
        #[inline(always)]
        unsafe fn load(from: *const f32) -> Self {
            unsafe { _mm256_loadu_ps(from) }
        }
        #[inline(always)]
        unsafe fn store(self, to: *mut f32) {
            unsafe { _mm256_storeu_ps(to, self) }
        }
        #[inline(always)]
        unsafe fn splat(x: f32) -> Self {
            unsafe { _mm256_set1_ps(x) }
        }
        #[inline(always)]
        unsafe fn add_product(self, a: Self, b: Self) -> Self {
            unsafe { _mm256_fmadd_ps(a, b, self) }
        }
        #[inline(always)]
        unsafe fn add(self, b: Self) -> Self {
            unsafe { _mm256_add_ps(self, b) }
        }
        #[inline(always)]
        unsafe fn sub(self, b: Self) -> Self {
            unsafe { _mm256_sub_ps(self, b) }
        }
        #[inline(always)]
        unsafe fn mul(self, b: Self) -> Self {
            unsafe { _mm256_mul_ps(self, b) }
        }
    }
}

#[cfg(target_arch = "wasm32")]
mod wasm {
    use super::Vector;
    use std::arch::wasm32::*;

    // SAFETY: simd128 is required at compile time; loads and stores have the trait's contract.
    unsafe impl Vector for v128 {
        const LANES: usize = 4;
        #[inline(always)]
        unsafe fn load(from: *const f32) -> Self {
            unsafe { v128_load(from.cast()) }
        }
        #[inline(always)]
        unsafe fn store(self, to: *mut f32) {
            unsafe { v128_store(to.cast(), self) }
        }
        #[inline(always)]
        unsafe fn splat(x: f32) -> Self {
            f32x4_splat(x)
        }
        #[inline(always)]
        unsafe fn add_product(self, a: Self, b: Self) -> Self {
            f32x4_add(self, f32x4_mul(a, b))
        }
        #[inline(always)]
        unsafe fn add(self, b: Self) -> Self {
            f32x4_add(self, b)
        }
        #[inline(always)]
        unsafe fn sub(self, b: Self) -> Self {
            f32x4_sub(self, b)
        }
        #[inline(always)]
        unsafe fn mul(self, b: Self) -> Self {
            f32x4_mul(self, b)
        }
    }
}

#[cfg(all(target_arch = "wasm32", not(target_feature = "simd128")))]
compile_error!(
    "build for wasm32 with -C target-feature=+simd128, as .cargo/config.toml does; a RUSTFLAGS variable replaces it"
);

/// The vector of [`Isa::Base`].
#[cfg(target_arch = "wasm32")]
pub type BaseVector = std::arch::wasm32::v128;

/// The vector of [`Isa::Base`]: four values, which compilers map to SSE2 and NEON.
#[cfg(not(target_arch = "wasm32"))]
pub type BaseVector = [f32; 4];

// SAFETY: plain arithmetic on four values; loads and stores have the trait's contract.
unsafe impl Vector for [f32; 4] {
    const LANES: usize = 4;
    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        unsafe { from.cast::<Self>().read_unaligned() }
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        unsafe { to.cast::<Self>().write_unaligned(self) }
    }
    #[inline(always)]
    unsafe fn splat(x: f32) -> Self {
        [x; 4]
    }
    #[inline(always)]
    unsafe fn add_product(self, a: Self, b: Self) -> Self {
        std::array::from_fn(|i| self[i] + a[i] * b[i])
    }
    #[inline(always)]
    unsafe fn add(self, b: Self) -> Self {
        std::array::from_fn(|i| self[i] + b[i])
    }
    #[inline(always)]
    unsafe fn sub(self, b: Self) -> Self {
        std::array::from_fn(|i| self[i] - b[i])
    }
    #[inline(always)]
    unsafe fn mul(self, b: Self) -> Self {
        std::array::from_fn(|i| self[i] * b[i])
    }
}

/// Compiles a function once per instruction set and picks at run time, so that its plain loops use wide vectors. Its body
/// may ask for `FMA`: whether a product and a sum are one instruction.
macro_rules! for_each_isa {
    ($($(#[$meta:meta])* $vis:vis fn $name:ident($($arg:ident: $ty:ty),* $(,)?) $(-> $ret:ty)? $body:block)*) => {$(
        $(#[$meta])*
        $vis fn $name($($arg: $ty),*) $(-> $ret)? {
            #[inline(always)]
            fn body<const FMA: bool>($($arg: $ty),*) $(-> $ret)? $body
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,avx2,fma")]
                fn avx512($($arg: $ty),*) $(-> $ret)? {
                    body::<true>($($arg),*)
                }
                #[target_feature(enable = "avx2,fma")]
                fn avx2($($arg: $ty),*) $(-> $ret)? {
                    body::<true>($($arg),*)
                }
                match $crate::ops::fast::simd::isa() {
                    // SAFETY: `isa` has found the features on this machine.
                    $crate::ops::fast::simd::Isa::Avx512 => return unsafe { avx512($($arg),*) },
                    // SAFETY: as above.
                    $crate::ops::fast::simd::Isa::Avx2 => return unsafe { avx2($($arg),*) },
                    $crate::ops::fast::simd::Isa::Base => {}
                }
            }
            body::<false>($($arg),*)
        }
    )*};
}
pub(super) use for_each_isa;

/// a·b + c, as one instruction where there is one; elsewhere `mul_add` would be a slow function.
#[inline(always)]
fn fused<const FMA: bool>(a: f32, b: f32, c: f32) -> f32 {
    if FMA { a.mul_add(b, c) } else { a * b + c }
}

/// eˣ to about 2 ulp, without branches, so that loops over it vectorise. Saturates outside ±87.
#[inline(always)]
pub fn exp<const FMA: bool>(x: f32) -> f32 {
    const ROUND: f32 = 12_582_912.0; // 1.5·2²³: adding and subtracting it rounds to a whole number
    let x = x.clamp(-87.0, 88.0);
    let shifted = fused::<FMA>(x, std::f32::consts::LOG2_E, ROUND);
    let n = shifted - ROUND;
    // ln 2 in two parts, so that n·ln 2 loses nothing.
    let r = fused::<FMA>(n, -1.428_606_8e-6, fused::<FMA>(n, -0.693_145_75, x));
    let mut p = 0.001_394;
    for coefficient in [0.008_333_5, 0.041_666_46, 0.166_666_66, 0.5, 1.0, 1.0] {
        p = fused::<FMA>(p, r, coefficient);
    }
    // The low bits of `shifted` are n; 2ⁿ is an exponent field.
    let scale = f32::from_bits(shifted.to_bits().wrapping_add(127) << 23);
    p * scale
}

#[cfg(test)]
mod tests {
    #[test]
    fn exp_is_accurate() {
        let mut worst = 0.0f64;
        for i in -8700..8800 {
            let x = i as f32 / 100.0;
            let exact = f64::from(x).exp();
            for found in [super::exp::<false>(x), super::exp::<true>(x)] {
                let err = (f64::from(found) - exact).abs() / exact;
                worst = worst.max(err);
                assert!(err <= 4e-7, "exp({x}) is off by {err:e}");
            }
        }
        assert!(worst > 0.0, "f32 cannot be exact everywhere");
    }
}
