use std::borrow::Cow;

use wasmtime::component::{Component, Linker};

use crate::{
    Depth, Descriptor, Inspection, PluginOptions, Refusal, Wasi,
    bindings::RewardPre,
    call::{Budget, run},
    call_state::CallState,
    compile::{compile, from_code},
    fault::{Failure, explain},
    host::HostInner,
    inspect::open,
    loader::Job,
    schema, wasi,
};

/// What came of a job, in the process that did it.
pub(crate) struct Prepared {
    pub(crate) inspection: Inspection,
    pub(crate) ready: Option<Ready>,
}

/// A plugin that can be asked to score.
pub(crate) struct Ready {
    pub(crate) component: Component,
    pub(crate) descriptor: Descriptor,
    /// Whether the job's code was of use.
    pub(crate) cached: bool,
}

/// Carries out a job in this process: within the sandbox's limits what the guest does, within none what is done with its
/// bytes, but that their counts are bounded.
pub(crate) fn prepare(host: &HostInner, job: &Job<'_>) -> Result<Prepared, Refusal> {
    let opened = open(job.bytes)?;
    if job.order.depth == Depth::Inspect {
        return Ok(Prepared { inspection: opened.inspection, ready: None });
    }
    let options = &job.order.options;
    opened.inspection.judge(options.wasi)?;
    let known = job.code.and_then(|code| from_code(&host.engine, code));
    let cached = known.is_some();
    let component = known.map_or_else(|| compile(&host.engine, &opened.component), Ok)?;
    let guest = guest(host, &component, options.wasi)?;
    let descriptor = describe(host, &guest, &budget(host, options))?;
    schema::hold(&options.config, &descriptor.config_schema)?;
    Ok(Prepared { inspection: opened.inspection, ready: Some(Ready { component, descriptor, cached }) })
}

/// What a plugin's calls may take.
pub(crate) fn budget(host: &HostInner, options: &PluginOptions) -> Budget {
    Budget {
        fuel_per_sample: options.fuel_per_sample.unwrap_or(host.options.fuel_per_sample),
        deadline: options.deadline.unwrap_or(host.options.deadline),
        memory_bytes_max: options.memory_bytes_max.unwrap_or(host.options.memory_bytes_max),
    }
}

/// A component with all that it imports.
pub(crate) fn guest(host: &HostInner, component: &Component, wasi: Wasi) -> Result<RewardPre<CallState>, Refusal> {
    let linker = linker(host, component, wasi).map_err(unfit)?;
    linker.instantiate_pre(component).and_then(RewardPre::new).map_err(unfit)
}

fn linker<'h>(host: &'h HostInner, component: &Component, wasi: Wasi) -> wasmtime::Result<Cow<'h, Linker<CallState>>> {
    match wasi {
        Wasi::Denied => Ok(Cow::Borrowed(&host.linker)),
        Wasi::Stubbed => {
            let mut linker = host.linker.clone();
            wasi::define(&mut linker, component)?;
            Ok(Cow::Owned(linker))
        }
    }
}

fn describe(host: &HostInner, guest: &RewardPre<CallState>, budget: &Budget) -> Result<Descriptor, Refusal> {
    let described = run(host, guest, budget, 1, |_| {}, |guest, store| guest.call_describe(store));
    let raw = described.answer.map_err(|error| {
        Refusal::Describe(match explain(&error, budget, &host.options, 1) {
            Failure::Faulted(fault) => fault.message,
            Failure::TimedOut(message) => message,
        })
    })?;
    Descriptor::check(raw).map_err(Refusal::Descriptor)
}

fn unfit(error: wasmtime::Error) -> Refusal {
    Refusal::NotAPlugin(format!("{error:#}; build it with a plugin SDK"))
}
