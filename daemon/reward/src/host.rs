use std::sync::Arc;

use wasmtime::{
    Config, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig, WasmBacktraceDetails,
    component::{HasSelf, Linker},
};

use crate::{
    HostError, HostOptions, Loader,
    bindings::perennial::reward::log,
    cache::Cache,
    call_state::CallState,
    limits::{INSTANCES_MAX, MEMORIES_MAX, TABLES_MAX},
    slots::Slots,
};

/// Memory of a finished call that the pool keeps mapped for the next one, in bytes a slot: a small guest then needs no
/// system call at all.
const MEMORY_KEEP_RESIDENT_BYTES: usize = 1 << 20;
const TABLE_KEEP_RESIDENT_BYTES: usize = 64 << 10;

/// Guests run on the stack of the thread that calls, which is 2 MiB where nobody asked for another; the host needs some of it
/// too. Past the end of a thread's stack, the whole program would die.
const STACK_BYTES_CEILING: usize = 1 << 20;

/// Runs reward plugins. Cheap to clone; all clones are one host.
#[derive(Clone)]
pub struct Host {
    pub(crate) inner: Arc<HostInner>,
}

pub(crate) struct HostInner {
    pub(crate) engine: Engine,
    pub(crate) linker: Linker<CallState>,
    pub(crate) options: HostOptions,
    pub(crate) slots: Slots,
    pub(crate) cache: Option<Cache>,
    pub(crate) loader: Option<Arc<dyn Loader>>,
}

impl Host {
    /// Makes the engine. Instances come from a pool sized to `concurrent_calls_max`; where the machine's address space has
    /// no room for one, they are made on demand, which is slower and gives the same results.
    ///
    /// # Errors
    /// [`HostError::Option`] for an option that makes no sense, [`HostError::Engine`] where the machine cannot run the
    /// engine, [`HostError::Cache`] where the cache folder cannot be used or trusted.
    pub fn new(options: HostOptions) -> Result<Self, HostError> {
        Self::make(options, None)
    }

    /// As [`new`](Self::new), with a loader that plugins are loaded by; it must be of the same build as this host.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn with_loader(options: HostOptions, loader: Arc<dyn Loader>) -> Result<Self, HostError> {
        Self::make(options, Some(loader))
    }

    fn make(options: HostOptions, loader: Option<Arc<dyn Loader>>) -> Result<Self, HostError> {
        check(&options)?;
        let engine = |strategy| Engine::new(config(&options).allocation_strategy(strategy));
        let engine = engine(InstanceAllocationStrategy::Pooling(pool(&options)))
            .or_else(|_| engine(InstanceAllocationStrategy::OnDemand))
            .map_err(|error| HostError::Engine(format!("{error:#}")))?;
        let mut linker = Linker::new(&engine);
        log::add_to_linker::<_, HasSelf<_>>(&mut linker, |state| state)
            .map_err(|error| HostError::Engine(format!("{error:#}")))?;
        let slots = Slots::new(options.concurrent_calls_max);
        let cache = options.cache_dir.as_deref().map(|dir| Cache::open(dir, options.cache_bytes_max)).transpose()?;
        Ok(Self { inner: Arc::new(HostInner { engine, linker, options, slots, cache, loader }) })
    }

    /// The limits of this host.
    pub fn options(&self) -> &HostOptions {
        &self.inner.options
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.inner.engine
    }
}

fn check(options: &HostOptions) -> Result<(), HostError> {
    let positive = [
        ("fuel_per_sample", options.fuel_per_sample > 0),
        ("deadline", !options.deadline.is_zero()),
        ("memory_bytes_max", options.memory_bytes_max > 0),
        ("stack_bytes_max", options.stack_bytes_max > 0),
        ("transfer_bytes_max", options.transfer_bytes_max > 0),
        ("component_bytes_max", options.component_bytes_max > 0),
        ("concurrent_calls_max", options.concurrent_calls_max > 0),
    ];
    if let Some((option, _)) = positive.into_iter().find(|(_, positive)| !positive) {
        return Err(HostError::Option { option, problem: "is 0: it must be more".to_owned() });
    }
    if options.stack_bytes_max > STACK_BYTES_CEILING {
        let problem = format!("is {}: it must be {STACK_BYTES_CEILING} at most", options.stack_bytes_max);
        return Err(HostError::Option { option: "stack_bytes_max", problem });
    }
    Ok(())
}

/// Everything that could let a result depend on the machine or the moment is off.
fn config(options: &HostOptions) -> Config {
    let mut config = Config::new();
    config
        .consume_fuel(true)
        .epoch_interruption(true)
        .cranelift_nan_canonicalization(true)
        .wasm_relaxed_simd(false)
        .wasm_memory64(false)
        .wasm_multi_memory(false)
        .max_wasm_stack(options.stack_bytes_max)
        .wasm_backtrace_details(WasmBacktraceDetails::Disable);
    config
}

fn pool(options: &HostOptions) -> PoolingAllocationConfig {
    let calls = options.concurrent_calls_max;
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(calls)
        .total_core_instances(calls.saturating_mul(INSTANCES_MAX as u32))
        .max_core_instances_per_component(INSTANCES_MAX as u32)
        .total_memories(calls.saturating_mul(MEMORIES_MAX as u32))
        .max_memories_per_component(MEMORIES_MAX as u32)
        .total_tables(calls.saturating_mul(TABLES_MAX as u32))
        .max_tables_per_component(TABLES_MAX as u32)
        .table_elements(options.table_elements_max)
        .linear_memory_keep_resident(MEMORY_KEEP_RESIDENT_BYTES)
        .table_keep_resident(TABLE_KEEP_RESIDENT_BYTES)
        .pagemap_scan(Enabled::Auto);
    pool
}
