//! When it is measured what moved, beside everything else and one at a time.

use std::time::Duration;

use tokio::time::Instant;
use tracing::error;

use super::{Service, jobs::Job, work::on_thread};
use crate::{answers::Drift, ports::Stop, telemetry::DriftMeasured, told::told};

impl Service {
    /// Measures, where it is time to. While a cycle runs nothing is calculated with the model, and what was begun stops.
    pub(super) fn look_at_drift(&mut self) {
        if self.drift_runs || self.drift_at > Instant::now() {
            return;
        }
        self.drift_runs = true;
        self.drift_at = Instant::now() + Duration::from_secs(self.context.config.current().drift.interval_seconds);
        self.drift_stop = Stop::default();
        let (drift, stop, may_calculate) = (self.ports.drift.clone(), self.drift_stop.clone(), !self.cycle_runs);
        self.jobs.spawn(async move {
            let measured = on_thread("drift", move || drift.measure(may_calculate, &stop)).await;
            Job::Drift(Box::new(measured.unwrap_or_else(|error| Err(error.into()))))
        });
    }

    pub(super) fn drift_measured(&mut self, measured: anyhow::Result<Drift>) {
        self.drift_runs = false;
        match measured {
            Ok(drift) => {
                self.context.telemetry.emit_quietly(DriftMeasured(&drift));
                self.drifted_ms = drift.measured_ms.filter(|_| drift.drifted().next().is_some());
                if self.drifted_ms.is_some() {
                    self.look_around_soon();
                }
            }
            Err(problem) => error!(error = told(&problem), "what moved cannot be measured; tried again"),
        }
    }

    /// A cycle is over: what was measured before it says nothing of what is in service now.
    pub(super) fn measure_drift_soon(&mut self) {
        self.drifted_ms = None;
        self.drift_at = Instant::now();
    }
}
