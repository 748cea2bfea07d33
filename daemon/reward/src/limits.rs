use wasmtime::{ResourceLimiter, Result};

/// Core instances of one component: Python's guests link about a dozen, everything else one to three.
pub(crate) const INSTANCES_MAX: usize = 64;
/// Memories of one component.
pub(crate) const MEMORIES_MAX: usize = 2;
/// Tables of one component.
pub(crate) const TABLES_MAX: usize = 16;

/// What one call may hold, and what it held at most. Memory is counted over all memories of the call.
#[derive(Debug)]
pub(crate) struct Limits {
    memory_bytes: u64,
    memory_bytes_max: u64,
    table_elements_max: usize,
}

/// A guest asked for more than it may have. Carried through wasmtime as the reason of the trap.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Exceeded {
    #[error("{wanted} bytes of memory were asked for, {max} are allowed")]
    Memory { wanted: u64, max: u64 },
    #[error("a table of {wanted} elements was asked for, {max} are allowed")]
    Table { wanted: usize, max: usize },
    #[error("memory could not be grown: {0}")]
    Growth(String),
}

impl Limits {
    pub(crate) fn new(memory_bytes_max: u64, table_elements_max: usize) -> Self {
        Self { memory_bytes: 0, memory_bytes_max, table_elements_max }
    }

    /// Memories never shrink, so what is held at the end is the most that was held.
    pub(crate) fn memory_bytes_peak(&self) -> u64 {
        self.memory_bytes
    }
}

impl ResourceLimiter for Limits {
    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> Result<bool> {
        // Beyond what the guest declared for itself: its own business, answered as WASM answers it.
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        let wanted = self.memory_bytes + (desired - current) as u64;
        if wanted > self.memory_bytes_max {
            return Err(Exceeded::Memory { wanted, max: self.memory_bytes_max }.into());
        }
        self.memory_bytes = wanted;
        Ok(true)
    }

    /// The machine has no memory left. Were the guest told so, its answer would depend on the machine.
    fn memory_grow_failed(&mut self, error: wasmtime::Error) -> Result<()> {
        Err(Exceeded::Growth(error.to_string()).into())
    }

    fn table_growing(&mut self, _current: usize, desired: usize, maximum: Option<usize>) -> Result<bool> {
        // Asked first: the pool counts its own limit, which is the same, as a maximum that the guest declared.
        if desired > self.table_elements_max {
            return Err(Exceeded::Table { wanted: desired, max: self.table_elements_max }.into());
        }
        Ok(maximum.is_none_or(|maximum| desired <= maximum))
    }

    fn table_grow_failed(&mut self, error: wasmtime::Error) -> Result<()> {
        Err(Exceeded::Growth(error.to_string()).into())
    }

    fn instances(&self) -> usize {
        INSTANCES_MAX
    }

    fn tables(&self) -> usize {
        TABLES_MAX
    }

    fn memories(&self) -> usize {
        MEMORIES_MAX
    }
}
