use std::time::{Duration, Instant};

use wasmtime::Store;

use crate::{
    Cost,
    bindings::{Reward, RewardPre},
    call_state::CallState,
    host::HostInner,
    limits::Limits,
    log::Log,
    system::System,
    ticker::ticks,
};

/// The budgets of one plugin's calls.
#[derive(Clone, Debug)]
pub(crate) struct Budget {
    pub(crate) fuel_per_sample: u64,
    pub(crate) deadline: Duration,
    pub(crate) memory_bytes_max: u64,
}

/// One finished call: what the guest answered or died of, what it took and what it logged.
pub(crate) struct Called<T> {
    pub(crate) answer: wasmtime::Result<T>,
    pub(crate) cost: Cost,
    pub(crate) log: Log,
}

/// Runs `call` in a fresh store and instance, which are gone when it returns: nothing of one call is seen by another.
/// `set_up` has the last word on the store.
pub(crate) fn run<T>(
    host: &HostInner,
    plugin: &RewardPre<CallState>,
    budget: &Budget,
    samples: u64,
    set_up: impl FnOnce(&mut Store<CallState>),
    call: impl FnOnce(&Reward, &mut Store<CallState>) -> wasmtime::Result<T>,
) -> Called<T> {
    let _slot = host.slots.take();
    let started = Instant::now();
    let options = &host.options;
    let state = CallState {
        limits: Limits::new(budget.memory_bytes_max, options.table_elements_max),
        log: Log::new(options.log_lines_max, options.log_line_bytes_max),
        system: System::default(),
    };
    let mut store = Store::new(&host.engine, state);
    store.limiter(|state| &mut state.limits);
    store.set_hostcall_fuel(options.transfer_bytes_max);
    store.set_epoch_deadline(ticks(budget.deadline));
    set_up(&mut store);
    let fuel = budget.fuel_per_sample.saturating_mul(samples.max(1));
    let answer = store
        .set_fuel(fuel)
        .and_then(|()| plugin.instantiate(&mut store))
        .and_then(|instance| call(&instance, &mut store));
    let fuel = fuel - store.get_fuel().unwrap_or(0);
    let mut state = store.into_data();
    state.system.finish(&mut state.log);
    let memory_bytes_peak = state.limits.memory_bytes_peak();
    Called { answer, cost: Cost { fuel, memory_bytes_peak, took: started.elapsed() }, log: state.log }
}
