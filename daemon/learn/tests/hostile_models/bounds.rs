use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use peak_alloc::PeakAlloc;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// What reading one of these small files may take beyond what the test has already.
const MEMORY_BYTES_MAX: usize = 96 << 20;
const TIME_MAX: Duration = Duration::from_secs(20);

/// What the work gives, within the bounds.
pub(crate) fn bounded<T>(what: &str, work: impl FnOnce() -> T) -> T {
    // The peak is that of the whole process: no other test may work meanwhile. One that failed broke nothing.
    static ALONE: Mutex<()> = Mutex::new(());
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let before = MEMORY.current_usage();
    MEMORY.reset_peak_usage();
    let start = Instant::now();
    let result = work();
    let (took, peak) = (start.elapsed(), MEMORY.peak_usage().saturating_sub(before));
    assert!(peak < MEMORY_BYTES_MAX, "{what}: {peak} bytes");
    assert!(took < TIME_MAX, "{what}: {took:?}");
    result
}
