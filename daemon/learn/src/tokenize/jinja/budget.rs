//! What a template may spend. A template is a program that comes with a model's files, so whatever it does ends.

use std::cell::Cell;

use super::fault::{Fault, Result};

/// The steps of all renderings of one row: nodes evaluated, items looked at, and characters in units of 64.
const STEPS_MAX: u64 = 10_000_000;
/// The bytes of all texts that they make, in passing or to keep.
const BYTES_MAX: u64 = 512 << 20;
/// The bytes of one text.
const TEXT_BYTES_MAX: usize = 64 << 20;
/// How deep blocks, expressions and macros may nest, so that the stack holds them.
const DEPTH_MAX: u32 = 220;

/// What is left of it.
#[derive(Debug)]
pub(crate) struct Budget {
    steps: Cell<u64>,
    bytes: Cell<u64>,
    depth: Cell<u32>,
}

impl Budget {
    /// For all renderings of one row.
    pub(crate) fn of_a_row() -> Self {
        Self { steps: Cell::new(STEPS_MAX), bytes: Cell::new(BYTES_MAX), depth: Cell::new(0) }
    }

    /// Whether more than half of the steps are taken.
    pub(crate) fn is_half_spent(&self) -> bool {
        self.steps.get() < STEPS_MAX / 2
    }

    /// Takes this many steps.
    pub(super) fn steps(&self, count: usize) -> Result<()> {
        let left = self.steps.get().checked_sub(count as u64);
        self.steps.set(left.unwrap_or(0));
        left.map(|_| ()).ok_or(Fault::Limit("10 million steps for one row"))
    }

    /// Makes a text of this many bytes; to be called before it is made.
    pub(super) fn text(&self, bytes: usize) -> Result<()> {
        if bytes > TEXT_BYTES_MAX {
            return Err(Fault::Limit("64 MiB for one text"));
        }
        let left = self.bytes.get().checked_sub(bytes as u64);
        self.bytes.set(left.unwrap_or(0));
        left.ok_or(Fault::Limit("512 MiB of texts for one row"))?;
        self.steps(bytes / 64)
    }

    /// Goes one level deeper for as long as `work` takes.
    pub(super) fn deeper<T>(&self, work: impl FnOnce() -> Result<T>) -> Result<T> {
        if self.depth.get() >= DEPTH_MAX {
            return Err(Fault::Limit("220 levels of nesting"));
        }
        self.depth.set(self.depth.get() + 1);
        let result = work();
        self.depth.set(self.depth.get() - 1);
        result
    }
}
