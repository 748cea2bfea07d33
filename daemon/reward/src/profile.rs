use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use wasmtime::{GuestProfiler, UpdateDeadline};

use crate::{
    HostError, Plugin, Task,
    ticker::{TICK, ticks},
};

/// Where a plugin spends its time.
#[derive(Clone, Debug)]
pub struct Profile {
    /// A profile in the Firefox profiler's format: open it at <https://profiler.firefox.com>.
    pub json: Vec<u8>,
    /// The calls that were watched.
    pub calls: u64,
    /// How often the guest was looked at, every 10 ms.
    pub looks: u64,
}

impl Plugin {
    /// Scores a task again and again for a while, and looks where the guest is at each tick of the host's
    /// [`Ticker`](crate::Ticker), without which there is nothing to see. Functions have names as far as the plugin was not
    /// stripped of them.
    ///
    /// # Errors
    /// Where wasmtime cannot watch the plugin.
    pub fn profile(&self, task: &Task, length: Duration) -> Result<Profile, HostError> {
        let failed = |error: wasmtime::Error| HostError::Engine(format!("{error:#}"));
        let component = self.inner.code.instance_pre().component().clone();
        let profiler = GuestProfiler::new_component(&self.inner.host.engine, self.name(), TICK, component, []);
        let watch = Arc::new(Mutex::new(Watch { profiler: profiler.map_err(failed)?, looks: 0 }));
        let (started, mut calls) = (Instant::now(), 0);
        while started.elapsed() < length {
            self.watched_call(task, &watch);
            calls += 1;
        }
        // Every call is over, so this is the only owner.
        let watch = Arc::into_inner(watch).ok_or_else(|| HostError::Engine("a watched call goes on".to_owned()))?;
        let Watch { profiler, looks } = watch.into_inner().unwrap_or_else(PoisonError::into_inner);
        let mut json = Vec::new();
        profiler.finish(&mut json).map_err(failed)?;
        Ok(Profile { json, calls, looks })
    }

    fn watched_call(&self, task: &Task, watch: &Arc<Mutex<Watch>>) {
        let watch = Arc::clone(watch);
        let mut ticks_left = ticks(self.inner.budget.deadline);
        let looked = move |store: wasmtime::StoreContextMut<'_, _>| {
            let Watch { profiler, looks } = &mut *watch.lock().unwrap_or_else(PoisonError::into_inner);
            profiler.sample(store, TICK);
            *looks += 1;
            ticks_left = ticks_left.saturating_sub(1);
            Ok(if ticks_left == 0 { UpdateDeadline::Interrupt } else { UpdateDeadline::Continue(1) })
        };
        self.score_with(task, |store| {
            store.set_epoch_deadline(1);
            store.epoch_deadline_callback(looked);
        });
    }
}

struct Watch {
    profiler: GuestProfiler,
    looks: u64,
}
