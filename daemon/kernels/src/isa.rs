/// Defines a function three times, for AVX-512, for AVX2 with FMA and for any processor, and picks one at run time.
///
/// The body is plain safe code over slices, which the compiler vectorises for each instruction set. It must keep sums in
/// a fixed number of lanes where it wants the same order of summation everywhere.
macro_rules! vectorized {
    ($(#[$meta:meta])* pub(crate) fn $name:ident($($arg:ident: $type:ty),* $(,)?) $(-> $out:ty)? $body:block) => {
        $(#[$meta])*
        pub(crate) fn $name($($arg: $type),*) $(-> $out)? {
            #[inline(always)]
            fn body($($arg: $type),*) $(-> $out)? $body

            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,avx2,fma")]
            fn avx512($($arg: $type),*) $(-> $out)? { body($($arg),*) }

            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma")]
            fn avx2($($arg: $type),*) $(-> $out)? { body($($arg),*) }

            #[cfg(target_arch = "x86_64")]
            {
                if std::arch::is_x86_feature_detected!("avx512f")
                    && std::arch::is_x86_feature_detected!("avx512vl")
                    && std::arch::is_x86_feature_detected!("avx512dq")
                    && std::arch::is_x86_feature_detected!("avx512bw")
                {
                    // SAFETY: the processor has these features (AVX-512 processors have AVX2 and FMA).
                    return unsafe { avx512($($arg),*) };
                }
                if std::arch::is_x86_feature_detected!("avx2") && std::arch::is_x86_feature_detected!("fma") {
                    // SAFETY: the processor has these features.
                    return unsafe { avx2($($arg),*) };
                }
            }
            body($($arg),*)
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
pub(crate) fn dot_inline(x: &[f32], y: &[f32]) -> f32 {
    // Four independent sums hide the latency of the addition.
    let mut sums = [[0.0; LANES]; 4];
    let (x_chunks, x_rest) = x.as_chunks::<{ 4 * LANES }>();
    let (y_chunks, y_rest) = y.as_chunks::<{ 4 * LANES }>();
    for (x, y) in x_chunks.iter().zip(y_chunks) {
        for (part, lanes) in sums.iter_mut().enumerate() {
            for (i, lane) in lanes.iter_mut().enumerate() {
                *lane += x[part * LANES + i] * y[part * LANES + i];
            }
        }
    }
    let (x_chunks, x_rest) = x_rest.as_chunks::<LANES>();
    let (y_chunks, y_rest) = y_rest.as_chunks::<LANES>();
    for (x, y) in x_chunks.iter().zip(y_chunks) {
        for (i, lane) in sums[0].iter_mut().enumerate() {
            *lane += x[i] * y[i];
        }
    }
    let mut lanes = [0.0; LANES];
    for (i, lane) in lanes.iter_mut().enumerate() {
        *lane = (sums[0][i] + sums[1][i]) + (sums[2][i] + sums[3][i]);
    }
    let rest: f32 = x_rest.iter().zip(y_rest).map(|(x, y)| x * y).sum();
    sum_lanes(lanes) + rest
}

/// `y += factor * x`
#[inline(always)]
pub(crate) fn axpy_inline(y: &mut [f32], factor: f32, x: &[f32]) {
    for (y, x) in y.iter_mut().zip(x) {
        *y += factor * x;
    }
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
