use std::{
    hint,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

use rayon::Yield;

/// Looks for work between which a thread that finds none lets others have the processor.
const LOOKS_PER_YIELD: usize = 64;

/// How long a pass waits for the other threads to wake: some times what waking one takes.
const WAKING_MAX: Duration = Duration::from_micros(100);

/// Whether a pass keeps the threads of the pool awake.
static KEPT_AWAKE: AtomicBool = AtomicBool::new(false);

/// Runs a pass on a thread of the rayon pool, where it then starts its parallel pieces without waking anyone to do so: from
/// another thread each of some hundred pieces would cost two switches of threads.
pub fn in_pool<T: Send>(pass: impl FnOnce() -> T + Send) -> T {
    if rayon::current_thread_index().is_some() {
        return pass();
    }
    rayon::scope(|_| pass())
}

/// As [`in_pool`], for a pass of pieces so small that the other threads of the pool would fall asleep between them: they look
/// for work until the pass is through. One pass at a time has them do so, so that two never wait for each other; any other runs as
/// in [`in_pool`].
pub fn in_wakeful_pool<T: Send>(pass: impl FnOnce() -> T + Send) -> T {
    if rayon::current_thread_index().is_some() || KEPT_AWAKE.swap(true, Ordering::Acquire) {
        return in_pool(pass);
    }
    let _asleep = SetOnDrop(&KEPT_AWAKE, false);
    let wake = Wake::default();
    rayon::scope(|scope| {
        let (here, wake) = (rayon::current_thread_index(), &wake);
        scope.spawn_broadcast(move |_, context| {
            if Some(context.index()) != here {
                wake.look_for_work();
            }
        });
        let _through = SetOnDrop(&wake.through, true);
        wake.begin(rayon::current_num_threads() - 1);
        pass()
    })
}

/// A pass and the threads that are awake for it.
///
/// Who looks for work waits for the end of the pass, so nothing that the pass waits for may lie below it on its stack. A thread
/// that had stolen a piece of the pass, and took up the looking while that piece waited for another, would never come back to
/// it. So a thread begins to look before the pass begins, when there is no piece of it yet, or not at all.
#[derive(Default)]
struct Wake {
    looking: AtomicUsize,
    begun: AtomicBool,
    through: AtomicBool,
}

impl Wake {
    /// Lets the pass begin: as soon as so many others look for work, and soon in any case, for they may have other work.
    fn begin(&self, others: usize) {
        let asked = Instant::now();
        while self.looking.load(Ordering::Relaxed) < others && asked.elapsed() < WAKING_MAX {
            hint::spin_loop();
        }
        // Pieces of the pass come to other threads through rayon's queues, which order this store before them.
        self.begun.store(true, Ordering::Release);
    }

    fn look_for_work(&self) {
        if self.begun.load(Ordering::Acquire) {
            return;
        }
        self.looking.fetch_add(1, Ordering::Relaxed);
        let mut looks = 0;
        while !self.through.load(Ordering::Relaxed) {
            match rayon::yield_now() {
                Some(Yield::Executed) => looks = 0,
                _ if looks % LOOKS_PER_YIELD == LOOKS_PER_YIELD - 1 => thread::yield_now(),
                _ => hint::spin_loop(),
            }
            looks += 1;
        }
    }
}

/// Sets a flag at the end of a block, even where that is a panic.
struct SetOnDrop<'a>(&'a AtomicBool, bool);

impl Drop for SetOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(self.1, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use std::panic::catch_unwind;

    use rayon::prelude::*;

    use super::*;

    fn sum(below: usize) -> usize {
        (0..below).into_par_iter().with_max_len(1).sum()
    }

    #[test]
    fn passes_at_the_same_time_all_come_to_their_end() {
        thread::scope(|scope| {
            let passes = (0..8).map(|pass| {
                scope.spawn(move || (0..50).map(|at| in_wakeful_pool(|| sum(100 + pass + at))).collect::<Vec<_>>())
            });
            for (pass, sums) in passes.collect::<Vec<_>>().into_iter().enumerate() {
                let below = |at: usize| 100 + pass + at;
                let expected: Vec<usize> = (0..50).map(|at| below(at) * (below(at) - 1) / 2).collect();
                assert_eq!(sums.join().unwrap(), expected);
            }
        });
        assert_eq!(in_wakeful_pool(|| in_wakeful_pool(|| in_pool(|| sum(10)))), 45);
    }

    #[test]
    fn nobody_begins_to_look_for_work_once_the_pass_has_begun() {
        let wake = Wake::default();
        wake.begin(0);
        wake.look_for_work();
        assert_eq!(wake.looking.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn a_panic_lets_the_threads_sleep() {
        assert!(catch_unwind(|| in_wakeful_pool(|| assert_eq!(sum(3), 4))).is_err());
        assert_eq!(in_wakeful_pool(|| sum(3)), 3);
    }
}
