//! What the loop asks the registry before it decides what to do next.

use std::time::{Duration, SystemTime};

use tokio::time::Instant;
use tracing::error;

use super::{
    Service, TURN_MAX,
    jobs::{Job, Which},
    policy::{self, Situation, Step},
    situation,
};
use crate::{
    pin,
    telemetry::{AnchorStands, ChampionInService},
    told::told,
};

/// How often it is measured what is set aside and what nothing learns from: that takes queries over many samples, and a look around is taken at
/// whatever comes in.
const MEASURE_INTERVAL: Duration = Duration::from_secs(60);

impl Service {
    pub(super) fn tell_champion(&mut self) {
        let context = self.context.clone();
        let tell = move || {
            if let Some((_, last)) = context.registry.last_promotion()?
                && let Ok(since_ms) = u64::try_from(last.at_ms)
            {
                let since = SystemTime::UNIX_EPOCH + Duration::from_millis(since_ms);
                context.telemetry.emit(ChampionInService { since });
            }
            context.telemetry.emit_quietly(AnchorStands(&pin::anchor(&context.registry)?));
            Ok(())
        };
        self.ask("champion", tell, Job::Told);
    }

    /// Asks the registry how things stand, where it is time to.
    pub(super) fn look_around(&mut self) {
        if self.looks_around || self.look_around_at > Instant::now() {
            return;
        }
        self.looks_around = true;
        let (context, cycles) = (self.context.clone(), self.ports.cycles.clone());
        let (retry_ms, drifted_ms) = (self.retry_ms, self.drifted_ms);
        let measures = self.measure_at <= Instant::now();
        if measures {
            self.measure_at = Instant::now() + MEASURE_INTERVAL;
        }
        let look = move || situation::look(&context, &*cycles, retry_ms, drifted_ms, measures);
        self.ask("schedule", look, Job::LookAround);
    }

    /// Something changed: the registry is asked at once, and an answer on its way does not count.
    pub(super) fn look_around_soon(&mut self) {
        self.look_around_at = Instant::now();
        self.look_around_again = self.looks_around;
    }

    /// Starts whatever the policy says.
    pub(super) fn looked_around(&mut self, answer: anyhow::Result<Situation>) {
        self.looks_around = false;
        let outdated = std::mem::take(&mut self.look_around_again);
        if outdated || self.stop.is_set() {
            return;
        }
        self.look_around_at = Instant::now() + TURN_MAX;
        let situation = match answer {
            Ok(situation) => situation,
            Err(problem) => {
                return error!(error = told(&problem), "the registry does not answer; tried again");
            }
        };
        if self.cycle_runs {
            return;
        }
        match policy::next(&self.context.config.current().cycle, &situation) {
            Step::Continue(cycle) => self.start_cycle(Which::Continue(cycle)),
            Step::Begin(cause) => self.start_cycle(Which::Begin(cause)),
            Step::Wait { until_ms: None } => {}
            Step::Wait { until_ms: Some(until_ms) } => {
                let left_ms = u64::try_from(until_ms - situation.now_ms).unwrap_or_default();
                self.look_around_at = Instant::now() + Duration::from_millis(left_ms).min(TURN_MAX);
            }
        }
    }
}
