use std::{
    hint,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use rayon::Yield;

/// Looks for work between which a thread that finds none lets others have the processor.
const LOOKS_PER_YIELD: usize = 64;

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
    let through = AtomicBool::new(false);
    rayon::scope(|scope| {
        let (here, through) = (rayon::current_thread_index(), &through);
        scope.spawn_broadcast(move |_, context| {
            if Some(context.index()) != here {
                look_for_work_until(through);
            }
        });
        let _through = SetOnDrop(through, true);
        pass()
    })
}

fn look_for_work_until(through: &AtomicBool) {
    let mut looks = 0;
    while !through.load(Ordering::Relaxed) {
        match rayon::yield_now() {
            Some(Yield::Executed) => looks = 0,
            _ if looks % LOOKS_PER_YIELD == LOOKS_PER_YIELD - 1 => thread::yield_now(),
            _ => hint::spin_loop(),
        }
        looks += 1;
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
    fn a_panic_lets_the_threads_sleep() {
        assert!(catch_unwind(|| in_wakeful_pool(|| assert_eq!(sum(3), 4))).is_err());
        assert_eq!(in_wakeful_pool(|| sum(3)), 3);
    }
}
