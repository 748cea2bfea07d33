use std::time::{Duration, SystemTime, UNIX_EPOCH};

use perennial_learn::train::grpo::GrpoProgress;
use perennial_registry::Phase as State;
use perennial_reward::{OutcomeKind, Statistics};
use perennial_types::{AdapterId, CycleId, Domain};
use prometheus::Gauge;
use tracing::{debug, error, info, warn};

use super::{Event, Telemetry};
use crate::ports::{Cause, CycleEnd, IntakeReport};

/// A cycle's phases as work under way. (The registry records the states that they end in: `train` ends in `trained`.)
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Choosing the new samples.
    Collect,
    /// Drawing and freezing the training set.
    Mix,
    /// Training the candidate.
    Train,
    /// Scoring champion and candidate.
    Evaluate,
    /// The gate's decision.
    Decide,
    /// Putting the new champion where production reads it.
    Publish,
}

impl From<State> for Phase {
    /// The work that ends in this state.
    fn from(state: State) -> Self {
        match state {
            State::Collected => Self::Collect,
            State::Mixed => Self::Mix,
            State::Trained => Self::Train,
            State::Evaluated => Self::Evaluate,
            State::Decided => Self::Decide,
            State::Published => Self::Publish,
        }
    }
}

impl Phase {
    /// Every phase, in order.
    pub(crate) const ALL: [Self; 6] =
        [Self::Collect, Self::Mix, Self::Train, Self::Evaluate, Self::Decide, Self::Publish];

    /// The name in logs, metrics and the status.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Collect => "collect",
            Self::Mix => "mix",
            Self::Train => "train",
            Self::Evaluate => "evaluate",
            Self::Decide => "decide",
            Self::Publish => "publish",
        }
    }
}

/// What became of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FileOutcome {
    /// Taken in.
    Taken,
    /// Not rows at all: moved to quarantine.
    Quarantined,
    /// Could not be stored; it is tried again.
    Failed,
}

impl FileOutcome {
    /// Every outcome.
    pub(crate) const ALL: [Self; 3] = [Self::Taken, Self::Quarantined, Self::Failed];

    /// The name in metrics.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Taken => "taken",
            Self::Quarantined => "quarantined",
            Self::Failed => "failed",
        }
    }
}

/// Rows of a file or a request were taken in.
pub(crate) struct RowsTaken<'a> {
    /// The file's name or the channel.
    pub(crate) source: &'a str,
    /// What became of the rows.
    pub(crate) report: &'a IntakeReport,
    /// How long it took.
    pub(crate) took: Duration,
}

impl Event for RowsTaken<'_> {
    fn emit(self, telemetry: &Telemetry) {
        let Self { source, report, took } = self;
        let metrics = &telemetry.metrics().ingest;
        let IntakeReport { accepted, duplicates, rejected, held_out, .. } = *report;
        for (outcome, rows) in [("accepted", accepted), ("duplicate", duplicates), ("rejected", rejected)] {
            metrics.rows.with_label_values(&[outcome]).inc_by(rows);
        }
        metrics.duration.observe(took.as_secs_f64());
        info!(source, accepted, duplicates, rejected, held_out, seconds = took.as_secs_f64(), "rows taken in");
        if let Some(quarantine) = report.quarantine.as_ref().filter(|_| rejected > 0) {
            warn!(source, rejected, quarantine = %quarantine.display(), "rows refused");
        }
    }
}

/// A file of the inbox was dealt with.
pub(crate) struct FileHandled<'a> {
    /// The file's name.
    pub(crate) file: &'a str,
    /// What became of it.
    pub(crate) outcome: FileOutcome,
    /// Why it was not taken.
    pub(crate) reason: Option<String>,
}

impl Event for FileHandled<'_> {
    fn emit(self, telemetry: &Telemetry) {
        let Self { file, outcome, reason } = self;
        telemetry.metrics().ingest.files.with_label_values(&[outcome.as_str()]).inc();
        let reason = reason.unwrap_or_default();
        match outcome {
            FileOutcome::Taken => debug!(file, "file moved to taken"),
            FileOutcome::Quarantined => warn!(file, reason, "file moved to quarantine"),
            FileOutcome::Failed => error!(file, reason, "file not taken in; it stays and is tried again"),
        }
    }
}

/// How many domains have a metric label of their own; the rest are counted together as `other`.
const DOMAINS_LABELLED_MAX: usize = 64;

/// The replay buffer holds this many training samples now.
pub(crate) struct BufferSized<'a> {
    /// Samples per domain, each domain once, in order.
    pub(crate) domains: &'a [(Domain, u64)],
}

impl Event for BufferSized<'_> {
    fn emit(self, telemetry: &Telemetry) {
        let gauge = &telemetry.metrics().buffer.samples;
        let (labelled, rest) = self.domains.split_at(self.domains.len().min(DOMAINS_LABELLED_MAX));
        for (domain, samples) in labelled {
            gauge.with_label_values(&[domain.as_str()]).set(whole(*samples));
        }
        if !rest.is_empty() {
            gauge.with_label_values(&["other"]).set(whole(rest.iter().map(|(_, samples)| samples).sum()));
        }
    }
}

/// So many samples wait for a cycle now.
pub(crate) struct SamplesWaiting(pub(crate) u64);

impl Event for SamplesWaiting {
    fn emit(self, telemetry: &Telemetry) {
        telemetry.metrics().cycle.waiting.set(whole(self.0));
    }
}

/// A cycle was begun, or goes on after a restart.
pub(crate) struct CycleStarted {
    /// Which.
    pub(crate) cycle: CycleId,
    /// Why; `None` where it goes on.
    pub(crate) cause: Option<Cause>,
}

impl Event for CycleStarted {
    fn emit(self, telemetry: &Telemetry) {
        let Self { cycle, cause } = self;
        match cause {
            Some(cause) => info!(%cycle, ?cause, "cycle begun"),
            None => info!(%cycle, "cycle goes on"),
        }
        telemetry.board().update(|activity| {
            *activity = super::Activity { cycle: Some(cycle), ..Default::default() };
        });
    }
}

/// A run of a cycle is over.
pub(crate) struct CycleEnded<'a> {
    /// Which.
    pub(crate) cycle: CycleId,
    /// How, or the error that kept it from going on.
    pub(crate) end: Result<&'a CycleEnd, &'a anyhow::Error>,
}

impl Event for CycleEnded<'_> {
    fn emit(self, telemetry: &Telemetry) {
        let cycle = self.cycle;
        let (outcome, trouble) = match self.end {
            Ok(CycleEnd::Promoted(adapter)) => {
                info!(%cycle, %adapter, "cycle ended: candidate promoted");
                ("promoted", None)
            }
            Ok(CycleEnd::Rejected(adapter)) => {
                info!(%cycle, %adapter, "cycle ended: candidate rejected");
                ("rejected", None)
            }
            Ok(CycleEnd::Stopped) => {
                info!(%cycle, "cycle stopped at a safe point; it goes on at the next start");
                ("stopped", None)
            }
            Err(problem) => {
                error!(%cycle, error = format!("{problem:#}"), "cycle cannot go on");
                ("failed", Some(format!("cycle {cycle}: {problem:#}")))
            }
        };
        let metrics = &telemetry.metrics().cycle;
        metrics.ended.with_label_values(&[outcome]).inc();
        for phase in Phase::ALL {
            metrics.phase.with_label_values(&[phase.as_str()]).set(0);
        }
        telemetry.board().update(|activity| *activity = super::Activity { trouble, ..Default::default() });
        telemetry.progress().finish();
    }
}

/// A phase of a cycle begins.
pub(crate) struct PhaseStarted {
    /// The cycle.
    pub(crate) cycle: CycleId,
    /// The phase.
    pub(crate) phase: Phase,
}

impl Event for PhaseStarted {
    fn emit(self, telemetry: &Telemetry) {
        let Self { cycle, phase } = self;
        info!(%cycle, phase = phase.as_str(), "phase begun");
        for other in Phase::ALL {
            telemetry.metrics().cycle.phase.with_label_values(&[other.as_str()]).set(i64::from(other == phase));
        }
        telemetry.board().update(|activity| {
            activity.cycle = Some(cycle);
            activity.phase = Some(phase.as_str().to_owned());
            (activity.step, activity.loss, activity.tokens_per_second) = (None, None, None);
        });
        telemetry.progress().phase(phase.as_str());
    }
}

/// A phase of a cycle is done and recorded.
pub(crate) struct PhaseEnded {
    /// The cycle.
    pub(crate) cycle: CycleId,
    /// The phase.
    pub(crate) phase: Phase,
    /// How long it took in this run.
    pub(crate) took: Duration,
}

impl Event for PhaseEnded {
    fn emit(self, telemetry: &Telemetry) {
        let Self { cycle, phase, took } = self;
        let seconds = took.as_secs_f64();
        info!(%cycle, phase = phase.as_str(), seconds, "phase done");
        telemetry.metrics().cycle.phase_duration.with_label_values(&[phase.as_str()]).observe(seconds);
    }
}

/// A training step was taken.
pub(crate) struct TrainStep {
    /// Steps taken, counted from 1.
    pub(crate) step: u64,
    /// Steps in all.
    pub(crate) steps: u64,
    /// The step's mean loss over supervised tokens.
    pub(crate) loss: f64,
    /// The learning rate it was taken with.
    pub(crate) learning_rate: f64,
    /// Tokens in the step's batch.
    pub(crate) tokens: u64,
    /// Tokens trained on in a second.
    pub(crate) tokens_per_second: f64,
}

impl Event for TrainStep {
    fn emit(self, telemetry: &Telemetry) {
        let Self { step, steps, loss, learning_rate, tokens, tokens_per_second } = self;
        let metrics = &telemetry.metrics().train;
        metrics.loss.set(loss);
        metrics.tokens_per_second.set(tokens_per_second);
        metrics.step.set(whole(step));
        metrics.steps.set(whole(steps));
        metrics.tokens.inc_by(tokens);
        telemetry.board().update(|activity| {
            activity.step = Some((step, steps));
            activity.loss = Some(loss);
            activity.tokens_per_second = Some(tokens_per_second);
        });
        // A bar shows every step already; without one the log does.
        if telemetry.progress().step(step, steps, loss, tokens_per_second) {
            debug!(step, steps, loss, learning_rate, tokens_per_second, "step");
        } else {
            info!(step, steps, loss, learning_rate, tokens_per_second, "step");
        }
    }
}

/// A step of learning from rewards was taken.
pub(crate) struct GrpoStep<'a>(pub(crate) &'a GrpoProgress);

impl Event for GrpoStep<'_> {
    fn emit(self, telemetry: &Telemetry) {
        let GrpoProgress { step, steps, loss, learning_rate, tokens, policy, rollouts, .. } = self.0;
        let seconds = self.0.seconds + self.0.rollout_seconds;
        let tokens_per_second = if seconds > 0.0 { *tokens as f64 / seconds } else { 0.0 };
        telemetry.emit(TrainStep {
            step: *step,
            steps: *steps,
            loss: *loss,
            learning_rate: *learning_rate,
            tokens: *tokens,
            tokens_per_second,
        });
        let metrics = &telemetry.metrics().grpo;
        let set = |gauge: &Gauge, value: Option<f64>| value.into_iter().for_each(|value| gauge.set(value));
        set(&metrics.reward_mean, rollouts.reward_mean);
        set(&metrics.reward_stddev, rollouts.reward_std);
        set(&metrics.kl, policy.kl);
        set(&metrics.entropy, policy.entropy);
        for (bound, ratio) in [("low", policy.clip_ratio_low), ("high", policy.clip_ratio_high)] {
            set(&metrics.clip_ratio.with_label_values(&[bound]), ratio);
        }
        for (stat, length) in [
            ("mean", rollouts.completion_length_mean),
            ("min", rollouts.completion_length_min as f64),
            ("max", rollouts.completion_length_max as f64),
        ] {
            metrics.completion_tokens.with_label_values(&[stat]).set(length);
        }
        metrics.truncated_ratio.set(rollouts.truncated_share);
        metrics.unscored_ratio.set(rollouts.abstained_share);
        metrics.zero_variance_ratio.set(rollouts.zero_variance_share);
        let (reward, kl) = (rollouts.reward_mean, policy.kl);
        info!(step, steps, reward, kl, length = rollouts.completion_length_mean, "learned from rewards");
    }
}

/// Plugins gave their verdicts on the completions of a generation, or on a suite.
pub(crate) struct RewardsGiven<'a> {
    /// What they said.
    pub(crate) statistics: &'a Statistics,
}

impl Event for RewardsGiven<'_> {
    fn emit(self, telemetry: &Telemetry) {
        let metrics = &telemetry.metrics().reward;
        for (plugin, statistics) in &self.statistics.plugins {
            for outcome in OutcomeKind::ALL {
                metrics.outcomes.with_label_values(&[plugin, outcome.as_str()]).inc_by(statistics.count(outcome));
            }
            if statistics.reward.count > 0 {
                metrics.mean.with_label_values(&[plugin]).set(statistics.reward.mean);
            }
            for (part, moments) in &statistics.parts {
                metrics.part_mean.with_label_values(&[plugin, part]).set(moments.mean);
            }
            metrics.fuel.with_label_values(&[plugin]).inc_by(statistics.fuel);
            metrics.seconds.with_label_values(&[plugin]).inc_by(statistics.seconds);
            debug!(plugin, outcomes = ?statistics.outcomes, mean = statistics.reward.mean, "rewards given");
            if let Some(failure) = &statistics.first_failure {
                warn!(plugin, outcomes = ?statistics.outcomes, failure, "a reward plugin fails");
            }
        }
    }
}

/// A suite was scored for champion and candidate.
pub(crate) struct SuiteScored<'a> {
    /// The suite's name: configured, or that of a domain's auto suite.
    pub(crate) suite: &'a str,
    /// The champion's mean score.
    pub(crate) champion: f64,
    /// The candidate's mean score.
    pub(crate) candidate: f64,
}

impl Event for SuiteScored<'_> {
    fn emit(self, telemetry: &Telemetry) {
        let Self { suite, champion, candidate } = self;
        info!(suite, champion, candidate, "suite scored");
        for (model, score) in [("champion", champion), ("candidate", candidate)] {
            telemetry.metrics().gate.suite_score.with_label_values(&[suite, model]).set(score);
        }
    }
}

/// The gate, or somebody in its place, decided.
pub(crate) enum Decided<'a> {
    /// The gate lets the candidate into service.
    Promote(&'a AdapterId),
    /// The gate refuses the candidate.
    Reject {
        /// The candidate.
        adapter: &'a AdapterId,
        /// The suites that fell, or what else was missing.
        reason: &'a str,
    },
    /// Somebody put an adapter in service by hand.
    Forced(&'a AdapterId),
    /// An earlier champion (`None`: the base model alone) is in service again.
    RolledBack(Option<&'a AdapterId>),
}

impl Event for Decided<'_> {
    fn emit(self, telemetry: &Telemetry) {
        let decision = match self {
            Self::Promote(adapter) => {
                info!(%adapter, "gate passed: promote");
                "promote"
            }
            Self::Reject { adapter, reason } => {
                warn!(%adapter, reason, "gate failed: reject");
                "reject"
            }
            Self::Forced(adapter) => {
                warn!(%adapter, "promoted by hand");
                "forced"
            }
            Self::RolledBack(adapter) => {
                let adapter = adapter.map_or("none (the base model)", AdapterId::as_str);
                warn!(adapter, "rolled back");
                "roll_back"
            }
        };
        telemetry.metrics().gate.decisions.with_label_values(&[decision]).inc();
    }
}

/// A champion is in service since then: at start, and whenever it changes.
pub(crate) struct ChampionInService {
    /// Since when.
    pub(crate) since: SystemTime,
}

impl Event for ChampionInService {
    fn emit(self, telemetry: &Telemetry) {
        let seconds = self.since.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        telemetry.metrics().gate.champion_since.set(seconds);
    }
}

fn whole(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::{super::ProgressBar, *};

    fn telemetry() -> Telemetry {
        Telemetry::new(ProgressBar::hidden()).unwrap()
    }

    fn exports(telemetry: &Telemetry, line: &str) -> bool {
        telemetry.metrics().render().unwrap().lines().any(|found| found == line)
    }

    #[test]
    fn rows_move_the_counters_by_outcome() {
        let telemetry = telemetry();
        let report = IntakeReport { accepted: 5, duplicates: 2, rejected: 1, ..Default::default() };
        telemetry.emit(RowsTaken { source: "a.jsonl", report: &report, took: Duration::from_millis(3) });
        assert!(exports(&telemetry, r#"perennial_ingest_rows_total{outcome="accepted"} 5"#));
        assert!(exports(&telemetry, r#"perennial_ingest_rows_total{outcome="duplicate"} 2"#));
        assert_eq!(telemetry.board().beats(), 1);
    }

    #[test]
    fn one_phase_at_most_is_under_way() {
        let telemetry = telemetry();
        let cycle = CycleId(1);
        telemetry.emit(PhaseStarted { cycle, phase: Phase::Mix });
        telemetry.emit(PhaseStarted { cycle, phase: Phase::Train });
        assert!(exports(&telemetry, r#"perennial_cycle_phase{phase="mix"} 0"#));
        assert!(exports(&telemetry, r#"perennial_cycle_phase{phase="train"} 1"#));
        telemetry.emit(CycleEnded { cycle, end: Ok(&CycleEnd::Stopped) });
        assert!(exports(&telemetry, r#"perennial_cycle_phase{phase="train"} 0"#));
        assert_eq!(telemetry.board().current(), super::super::Activity::default());
    }

    #[test]
    fn domains_beyond_the_limit_share_a_label() {
        let telemetry = telemetry();
        let domains: Vec<_> = (0..70).map(|n| (Domain::new(&format!("d{n:02}")).unwrap(), 2)).collect();
        telemetry.emit(BufferSized { domains: &domains });
        assert!(exports(&telemetry, r#"perennial_buffer_samples{domain="d63"} 2"#));
        assert!(exports(&telemetry, r#"perennial_buffer_samples{domain="other"} 12"#));
    }
}
