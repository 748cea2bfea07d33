//! Code that is compiled for each instruction set, and sums that are the same on all of them.

use crate::element::Element;

/// Defines a function three times, for AVX-512, for AVX2 with FMA and for any processor, and picks one at run time.
///
/// The body is plain safe code over slices, which the compiler vectorises for each instruction set. It must keep sums in
/// a fixed number of lanes where it wants the same order of summation everywhere.
macro_rules! vectorized {
    (
        $(#[$meta:meta])*
        $vis:vis fn $name:ident $(<$($element:ident: $bound:path),+>)? ($($arg:ident: $type:ty),* $(,)?) $(-> $out:ty)?
        $body:block
    ) => {
        $(#[$meta])*
        $vis fn $name $(<$($element: $bound),+>)? ($($arg: $type),*) $(-> $out)? {
            #[inline(always)]
            fn body $(<$($element: $bound),+>)? ($($arg: $type),*) $(-> $out)? $body

            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,avx2,fma")]
            fn avx512 $(<$($element: $bound),+>)? ($($arg: $type),*) $(-> $out)? { body($($arg),*) }

            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma")]
            fn avx2 $(<$($element: $bound),+>)? ($($arg: $type),*) $(-> $out)? { body($($arg),*) }

            match $crate::isa::current() {
                // SAFETY: the processor has what the instruction set stands for.
                #[cfg(target_arch = "x86_64")]
                $crate::isa::Isa::Avx512 | $crate::isa::Isa::Avx512Bf16 | $crate::isa::Isa::Amx => unsafe {
                    avx512($($arg),*)
                },
                // SAFETY: as above.
                #[cfg(target_arch = "x86_64")]
                $crate::isa::Isa::Avx2 => unsafe { avx2($($arg),*) },
                _ => body($($arg),*),
            }
        }
    };
}
pub(crate) use vectorized;

/// Lanes in which sums are kept: one AVX-512 register, two of AVX2.
pub(crate) const LANES: usize = 16;

/// Adds up lanes in pairs, the same way on every processor.
#[inline(always)]
pub(crate) fn sum_lanes(mut lanes: [f32; LANES]) -> f32 {
    let mut width = LANES / 2;
    while width > 0 {
        for i in 0..width {
            lanes[i] += lanes[i + width];
        }
        width /= 2;
    }
    lanes[0]
}

/// The dot product of two slices of one length.
#[inline(always)]
pub(crate) fn dot_inline<X: Element, Y: Element>(x: &[X], y: &[Y]) -> f32 {
    // Two registers of sums hide the latency of the addition.
    const WIDE: usize = 2 * LANES;
    let mut sums = [0.0; WIDE];
    let ((x, x_rest), (y, y_rest)) = (x.as_chunks::<WIDE>(), y.as_chunks::<WIDE>());
    for (x, y) in x.iter().zip(y) {
        for i in 0..WIDE {
            sums[i] += x[i].to_f32() * y[i].to_f32();
        }
    }
    let mut lanes = [0.0; LANES];
    for i in 0..LANES {
        lanes[i] = sums[i] + sums[LANES + i];
    }
    let rest: f32 = x_rest.iter().zip(y_rest).map(|(x, y)| x.to_f32() * y.to_f32()).sum();
    sum_lanes(lanes) + rest
}

/// The greatest value of a slice, minus infinity where it is empty.
#[inline(always)]
pub(crate) fn max_inline(x: &[f32]) -> f32 {
    let mut lanes = [f32::NEG_INFINITY; LANES];
    let (chunks, rest) = x.as_chunks::<LANES>();
    for chunk in chunks {
        for i in 0..LANES {
            // Not `f32::max`, whose treatment of NaN costs two more instructions; a NaN still reaches the sum of exps.
            lanes[i] = if chunk[i] > lanes[i] { chunk[i] } else { lanes[i] };
        }
    }
    lanes.iter().chain(rest).fold(f32::NEG_INFINITY, |max, x| if *x > max { *x } else { max })
}
