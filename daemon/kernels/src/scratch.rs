//! Buffers that a thread uses again: memory that is new to a process costs more than packing an operand into it.

use std::cell::RefCell;

use half::bf16;

/// Buffers that a thread keeps of each type.
const KEPT_MAX: usize = 4;

thread_local! {
    static F32: RefCell<Vec<Vec<f32>>> = const { RefCell::new(Vec::new()) };
    static BF16: RefCell<Vec<Vec<bf16>>> = const { RefCell::new(Vec::new()) };
}

/// Types that a thread keeps buffers of.
pub trait Scratch: Copy + Default {
    #[doc(hidden)]
    fn with<T>(f: impl FnOnce(&mut Vec<Vec<Self>>) -> T) -> T;
}

impl Scratch for f32 {
    fn with<T>(f: impl FnOnce(&mut Vec<Vec<Self>>) -> T) -> T {
        F32.with_borrow_mut(f)
    }
}

impl Scratch for bf16 {
    fn with<T>(f: impl FnOnce(&mut Vec<Vec<Self>>) -> T) -> T {
        BF16.with_borrow_mut(f)
    }
}

/// A buffer of at least this length, with whatever is in it: the largest one that is free.
pub(crate) fn take<E: Scratch>(len: usize) -> Vec<E> {
    let mut buffer = E::with(|free| {
        let largest = free.iter().enumerate().max_by_key(|(_, buffer)| buffer.capacity()).map(|(at, _)| at);
        largest.map(|at| free.swap_remove(at))
    })
    .unwrap_or_default();
    if buffer.len() < len {
        buffer.resize(len, E::default());
    }
    buffer
}

/// Gives a buffer back to this thread.
pub(crate) fn give<E: Scratch>(buffer: Vec<E>) {
    E::with(|free| {
        if free.len() < KEPT_MAX {
            free.push(buffer);
        }
    });
}
