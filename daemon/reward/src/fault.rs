use wasmtime::{Trap, WasmBacktrace};

use crate::{Fault, FaultKind, HostOptions, call::Budget, limits::Exceeded};

/// How a call as a whole failed.
pub(crate) enum Failure {
    Faulted(Fault),
    TimedOut(String),
}

/// The frames of a backtrace that are worth an operator's line.
const FRAMES_MAX: usize = 3;

/// Turns wasmtime's error into an outcome and the operator's sentence: what happened, and what to do.
pub(crate) fn explain(error: &wasmtime::Error, budget: &Budget, options: &HostOptions, samples: usize) -> Failure {
    if error.downcast_ref::<Trap>() == Some(&Trap::Interrupt) {
        return Failure::TimedOut(format!(
            "stopped after {:.3} s by the clock: it waits or is too slow for this machine; raise its \
             deadline_seconds, or mend it",
            budget.deadline.as_secs_f64()
        ));
    }
    let (kind, what) = classify(error, budget, options, samples);
    Failure::Faulted(Fault { kind, message: what })
}

fn classify(error: &wasmtime::Error, budget: &Budget, options: &HostOptions, samples: usize) -> (FaultKind, String) {
    if let Some(exceeded) = error.downcast_ref::<Exceeded>() {
        let advice = match exceeded {
            Exceeded::Memory { .. } => "raise its memory_bytes_max, or mend it",
            Exceeded::Table { .. } => "raise table_elements_max, or mend it",
            Exceeded::Growth(_) => "give this machine or service more memory",
        };
        return (FaultKind::OutOfMemory, format!("out of memory: {exceeded}; {advice}"));
    }
    let place = place(error);
    match error.downcast_ref::<Trap>() {
        Some(Trap::OutOfFuel) => (
            FaultKind::OutOfFuel,
            format!(
                "out of fuel{place} after {} units for each of {samples} samples: it loops or is too slow; raise its \
                 fuel_per_sample, or mend it",
                budget.fuel_per_sample
            ),
        ),
        Some(Trap::StackOverflow) => (
            FaultKind::Stack,
            format!(
                "its calls nest too deeply{place}: the stack of {} bytes is used up; raise stack_bytes_max, or mend it",
                options.stack_bytes_max
            ),
        ),
        Some(trap) => (
            FaultKind::Trap,
            format!("trapped{place}: {}; it panicked or is broken, and its author has to mend it", trap_text(*trap)),
        ),
        None if is_transfer(error) => (
            FaultKind::Transfer,
            format!(
                "it hands more than {} bytes to the host at once; raise transfer_bytes_max, or mend it",
                options.transfer_bytes_max
            ),
        ),
        None if error.downcast_ref::<WasmBacktrace>().is_some() => {
            (FaultKind::Trap, format!("stopped{place}: {}; its author has to mend it", error.root_cause()))
        }
        None => (
            FaultKind::Contract,
            format!("what it returned cannot be read: {}; its author has to mend it", error.root_cause()),
        ),
    }
}

/// wasmtime keeps the type of this error to itself; its text is all there is, and a test holds on to it.
fn is_transfer(error: &wasmtime::Error) -> bool {
    error.root_cause().to_string().contains("fuel allocated for hostcalls has been exhausted")
}

fn trap_text(trap: Trap) -> String {
    trap.to_string().trim_start_matches("wasm trap: ").to_owned()
}

/// Where in the guest it happened, innermost function first, as far as the guest still has names.
fn place(error: &wasmtime::Error) -> String {
    let Some(backtrace) = error.downcast_ref::<WasmBacktrace>() else { return String::new() };
    let names: Vec<String> = backtrace
        .frames()
        .iter()
        .filter_map(|frame| frame.func_name())
        .take(FRAMES_MAX)
        .map(|name| crate::text::quote_guest(name, 80))
        .collect();
    if names.is_empty() { String::new() } else { format!(" in {}", names.join(" < ")) }
}
