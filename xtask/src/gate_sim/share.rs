use std::thread;

/// What each seed gives, in their order, on all processors.
pub(super) fn runs<T: Send>(count: u64, run: impl Fn(u64) -> T + Sync) -> Vec<T> {
    let threads = thread::available_parallelism().map_or(1, |threads| threads.get() as u64).min(count.max(1));
    let stretch = count.div_ceil(threads);
    thread::scope(|scope| {
        let run = &run;
        let workers: Vec<_> = (0..threads)
            .map(|at| scope.spawn(move || (at * stretch..((at + 1) * stretch).min(count)).map(run).collect::<Vec<T>>()))
            .collect();
        // A worker that panicked has said why.
        workers.into_iter().flat_map(|worker| worker.join().unwrap_or_default()).collect()
    })
}

/// The share of seeds for which something is so.
pub(super) fn share(count: u64, is_so: impl Fn(u64) -> bool + Sync) -> f64 {
    runs(count, is_so).into_iter().filter(|is_so| *is_so).count() as f64 / count as f64
}
