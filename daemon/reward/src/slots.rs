use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Counts the calls that run, so that there are never more than the engine's pool has room for.
#[derive(Debug)]
pub(crate) struct Slots {
    counts: Mutex<Counts>,
    freed: Condvar,
}

#[derive(Debug)]
struct Counts {
    free: u32,
    waiting: u32,
}

/// The right to run one call, until it is dropped.
pub(crate) struct Slot<'s>(&'s Slots);

impl Slots {
    pub(crate) fn new(count: u32) -> Self {
        Self { counts: Mutex::new(Counts { free: count, waiting: 0 }), freed: Condvar::new() }
    }

    /// Waits for a free slot.
    pub(crate) fn take(&self) -> Slot<'_> {
        let mut counts = self.lock();
        while counts.free == 0 {
            counts.waiting += 1;
            counts = self.freed.wait(counts).unwrap_or_else(PoisonError::into_inner);
            counts.waiting -= 1;
        }
        counts.free -= 1;
        Slot(self)
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        let mut counts = self.0.lock();
        counts.free += 1;
        // Waking nobody is a system call too, and most calls find nobody waiting.
        let wake = counts.waiting > 0;
        drop(counts);
        if wake {
            self.0.freed.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[test]
    fn never_more_at_once_than_there_are_slots() {
        let (slots, running, most) = (Slots::new(2), AtomicU32::new(0), AtomicU32::new(0));
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..200 {
                        let _slot = slots.take();
                        most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                        std::thread::yield_now();
                        running.fetch_sub(1, Ordering::SeqCst);
                    }
                });
            }
        });
        assert_eq!(most.load(Ordering::SeqCst), 2);
        assert_eq!(slots.counts.lock().unwrap().free, 2);
    }
}
