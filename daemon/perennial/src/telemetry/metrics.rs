use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Mutex,
};

use perennial_drift::DETECTORS;
use perennial_types::Kind;
use prometheus::{
    CounterVec, Encoder, Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge,
    IntGaugeVec, Opts, Registry, Result, TextEncoder,
    core::{Collector, GenericCounterVec},
};

use super::{
    events::{FileOutcome, Phase},
    publish_metrics::PublishMetrics,
    told::Told,
};
use crate::{config::Objective, failure::FailureKind};

/// Every metric that the daemon exports, by component.
pub(crate) struct Metrics {
    registry: Registry,
    /// The doors.
    pub(crate) http: HttpMetrics,
    /// Rows and files in.
    pub(crate) ingest: IngestMetrics,
    /// The replay buffer.
    pub(crate) buffer: BufferMetrics,
    /// Cycles and their phases.
    pub(crate) cycle: CycleMetrics,
    /// The trainer.
    pub(crate) train: TrainMetrics,
    /// Learning from rewards.
    pub(crate) grpo: GrpoMetrics,
    /// The reward plugins.
    pub(crate) reward: RewardMetrics,
    /// The gate and the champion.
    pub(crate) gate: GateMetrics,
    /// The targets of publishing.
    pub(crate) publish: PublishMetrics,
    /// What moved in what comes in.
    pub(crate) drift: DriftMetrics,
}

/// What moved in what comes in.
pub(crate) struct DriftMetrics {
    pub(crate) score: GaugeVec,
}

/// The doors.
pub(crate) struct HttpMetrics {
    pub(crate) connections_full: IntCounter,
}

/// Rows and files in.
pub(crate) struct IngestMetrics {
    pub(crate) rows: IntCounterVec,
    pub(crate) unkept: IntCounter,
    pub(crate) untrained: IntGaugeVec,
    pub(crate) files: IntCounterVec,
    pub(crate) duration: Histogram,
    pub(crate) storage_full: IntGauge,
    pub(crate) set_aside: IntGauge,
}

/// The replay buffer.
pub(crate) struct BufferMetrics {
    pub(crate) samples: IntGaugeVec,
    pub(crate) base_answers: IntGaugeVec,
}

/// Cycles and their phases.
pub(crate) struct CycleMetrics {
    pub(crate) phase: IntGaugeVec,
    pub(crate) phase_duration: HistogramVec,
    pub(crate) ended: IntCounterVec,
    pub(crate) waiting: IntGauge,
    pub(crate) attempts: IntGauge,
    pub(crate) failures: IntCounterVec,
    pub(crate) failed_in_a_row: IntGauge,
    pub(crate) stuck_since: Gauge,
    pub(crate) set_aside: IntGauge,
    pub(crate) refused: IntGauge,
    pub(crate) returned: IntCounterVec,
}

/// The trainer.
pub(crate) struct TrainMetrics {
    pub(crate) loss: Gauge,
    pub(crate) tokens_per_second: Gauge,
    pub(crate) step: IntGauge,
    pub(crate) steps: IntGauge,
    pub(crate) tokens: IntCounter,
    pub(crate) told: IntCounterVec,
    pub(crate) nothing_learned: IntCounterVec,
    pub(crate) figure: GaugeVec,
    pub(crate) validation_loss: GaugeVec,
    pub(crate) interpolation_alpha: Gauge,
    pub(crate) adapter_norm: GaugeVec,
    pub(crate) adapter_stable_rank: GaugeVec,
}

/// Learning from rewards, at the last step.
pub(crate) struct GrpoMetrics {
    pub(crate) reward_mean: Gauge,
    pub(crate) reward_stddev: Gauge,
    pub(crate) kl: Gauge,
    pub(crate) entropy: Gauge,
    pub(crate) clip_ratio: GaugeVec,
    pub(crate) completion_tokens: GaugeVec,
    pub(crate) truncated_ratio: Gauge,
    pub(crate) unscored_ratio: Gauge,
    pub(crate) zero_variance_ratio: Gauge,
}

/// The reward plugins.
pub(crate) struct RewardMetrics {
    pub(crate) outcomes: IntCounterVec,
    pub(crate) mean: GaugeVec,
    pub(crate) part_mean: GaugeVec,
    /// The parts that each plugin's `part_mean` has labels for.
    pub(crate) parts: Mutex<BTreeMap<String, BTreeSet<String>>>,
    pub(crate) fuel: IntCounterVec,
    pub(crate) seconds: CounterVec,
}

/// The gate and the champion.
pub(crate) struct GateMetrics {
    pub(crate) suite_score: GaugeVec,
    pub(crate) suite_unjudged: IntGaugeVec,
    pub(crate) suite_void: IntGaugeVec,
    pub(crate) suite_cut: GaugeVec,
    pub(crate) kept_out: IntCounter,
    pub(crate) spared: IntCounter,
    pub(crate) decisions: IntCounterVec,
    pub(crate) champion_since: Gauge,
    pub(crate) anchor_since: Gauge,
    pub(crate) anchor_difference: GaugeVec,
    pub(crate) flattery: GaugeVec,
    pub(crate) unpublished: IntGauge,
}

impl Metrics {
    /// All metrics, each label set that is known beforehand at zero, in a registry of their own.
    pub(crate) fn new() -> Result<Self> {
        let registry = Registry::new();
        register(&registry, build_info()?)?;
        registry.register(Box::new(prometheus::process_collector::ProcessCollector::for_self()))?;
        Ok(Self {
            http: HttpMetrics::new(&registry)?,
            ingest: IngestMetrics::new(&registry)?,
            buffer: BufferMetrics::new(&registry)?,
            cycle: CycleMetrics::new(&registry)?,
            train: TrainMetrics::new(&registry)?,
            grpo: GrpoMetrics::new(&registry)?,
            reward: RewardMetrics::new(&registry)?,
            gate: GateMetrics::new(&registry)?,
            publish: PublishMetrics::new(&registry)?,
            drift: DriftMetrics::new(&registry)?,
            registry,
        })
    }

    /// The metrics in Prometheus's text format.
    pub(crate) fn render(&self) -> Result<String> {
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut text)?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }
}

impl HttpMetrics {
    fn new(registry: &Registry) -> Result<Self> {
        let full = "Connections that waited, since all http.connections_max were taken.";
        let full = IntCounter::new("perennial_http_connections_full_total", full)?;
        Ok(Self { connections_full: register(registry, full)? })
    }
}

impl IngestMetrics {
    fn new(registry: &Registry) -> Result<Self> {
        let rows = counters(registry, "perennial_ingest_rows_total", "Rows by what became of them.", "outcome")?;
        zero(&rows, &["accepted", "duplicate", "rejected"]);
        let files = counters(registry, "perennial_ingest_files_total", "Files by what became of them.", "outcome")?;
        zero(&files, &FileOutcome::ALL.map(FileOutcome::as_str));
        let duration = HistogramOpts::new("perennial_ingest_duration_seconds", "Time to take a file or request in.")
            .buckets(vec![0.01, 0.05, 0.25, 1.0, 5.0, 30.0, 120.0, 600.0]);
        let unkept = "Refused rows that quarantine had no room for.";
        let full = "Whether the disk was full when rows were last stored.";
        let untrained = Opts::new(
            "perennial_ingest_untrained_samples",
            "Samples that wait and that no stage of training learns from.",
        );
        let untrained = register(registry, IntGaugeVec::new(untrained, &["kind"])?)?;
        for kind in Kind::ALL {
            untrained.with_label_values(&[kind.as_str()]);
        }
        let set_aside = "Files of the inbox that are tried no more.";
        Ok(Self {
            rows,
            unkept: register(registry, IntCounter::new("perennial_ingest_unkept_rows_total", unkept)?)?,
            untrained,
            files,
            duration: register(registry, Histogram::with_opts(duration)?)?,
            storage_full: register(registry, IntGauge::new("perennial_ingest_storage_full", full)?)?,
            set_aside: register(registry, IntGauge::new("perennial_ingest_set_aside_files", set_aside)?)?,
        })
    }
}

impl BufferMetrics {
    fn new(registry: &Registry) -> Result<Self> {
        let samples = Opts::new("perennial_buffer_samples", "Training samples in the replay buffer.");
        let base_answers =
            Opts::new("perennial_base_answers", "Prompts of replay.base_answers that the base model was asked.");
        Ok(Self {
            samples: register(registry, IntGaugeVec::new(samples, &["domain"])?)?,
            base_answers: register(registry, IntGaugeVec::new(base_answers, &["outcome"])?)?,
        })
    }
}

impl CycleMetrics {
    fn new(registry: &Registry) -> Result<Self> {
        let phase = Opts::new("perennial_cycle_phase", "1 for the phase under way, 0 for all others.");
        let phase = register(registry, IntGaugeVec::new(phase, &["phase"])?)?;
        let duration = HistogramOpts::new("perennial_cycle_phase_duration_seconds", "Time that a phase took.")
            .buckets(vec![0.1, 1.0, 10.0, 60.0, 300.0, 1800.0, 7200.0, 28800.0]);
        let phase_duration = register(registry, HistogramVec::new(duration, &["phase"])?)?;
        for name in Phase::ALL.map(Phase::as_str) {
            phase.with_label_values(&[name]).set(0);
            phase_duration.with_label_values(&[name]);
        }
        let ended = counters(registry, "perennial_cycle_runs_total", "Runs of a cycle by how they ended.", "outcome")?;
        zero(&ended, &["promoted", "rejected", "stopped", "failed", "aborted", "error"]);
        let failures =
            counters(registry, "perennial_cycle_failures_total", "Runs that failed, by what that means.", "kind")?;
        zero(&failures, &FailureKind::ALL.map(FailureKind::as_str));
        let returned = counters(
            registry,
            "perennial_cycle_returned_samples_total",
            "Samples of refused cycles by what became of them.",
            "outcome",
        )?;
        zero(&returned, &["new", "set_aside"]);
        let gauge = |name: &str, help: &str| register(registry, IntGauge::new(name, help)?);
        let since =
            "Since when training does not get on: since the first error, or the first failed cycle; 0: it does.";
        Ok(Self {
            phase,
            phase_duration,
            ended,
            waiting: gauge("perennial_cycle_waiting_samples", "Training samples that no cycle has seen yet.")?,
            attempts: gauge("perennial_cycle_attempts", "Runs of the open cycle since it last got further.")?,
            failures,
            refused: gauge(
                "perennial_cycle_refused_samples",
                "Waiting samples that a candidate learned which the gate refused; they begin no cycle by themselves.",
            )?,
            returned,
            failed_in_a_row: gauge(
                "perennial_cycle_failed_in_a_row",
                "Cycles that failed one after the other, up to now.",
            )?,
            stuck_since: register(registry, Gauge::new("perennial_cycle_stuck_since_timestamp_seconds", since)?)?,
            set_aside: gauge(
                "perennial_cycle_set_aside_samples",
                "Samples that nothing can be learned from as things are.",
            )?,
        })
    }
}

impl TrainMetrics {
    fn new(registry: &Registry) -> Result<Self> {
        let nothing_learned = counters(
            registry,
            "perennial_train_nothing_learned_total",
            "Training stages in which an objective learned nothing.",
            "objective",
        )?;
        zero(&nothing_learned, &Objective::all().map(Objective::as_str).collect::<Vec<_>>());
        let told = counters(
            registry,
            "perennial_train_samples_told_total",
            "Samples that something is to be told of how they were read for training, by what.",
            "what",
        )?;
        zero(&told, &Told::names().collect::<Vec<_>>());
        let validation = Opts::new(
            "perennial_train_validation_loss",
            "Loss on samples of the mix that are not trained on, at the last validation, by whose they are.",
        );
        let norm =
            Opts::new("perennial_train_adapter_norm", "Frobenius norm of what the last candidate adds to the weights.");
        let stable_rank = Opts::new(
            "perennial_train_adapter_stable_rank",
            "Mean stable rank of what the last candidate adds to the weights: near the rank, it is used up.",
        );
        let alpha =
            "How far the last candidate is from the champion: 1 is all the way to what was trained; 0: not known.";
        let figure = Opts::new("perennial_train_figure", "What an objective measured at its last step, by its name.");
        Ok(Self {
            loss: register(registry, Gauge::new("perennial_train_loss", "Training loss of the last step.")?)?,
            tokens_per_second: register(
                registry,
                Gauge::new("perennial_train_tokens_per_second", "Tokens trained on in a second, at the last step.")?,
            )?,
            step: register(registry, IntGauge::new("perennial_train_step", "The last step of the running training.")?)?,
            steps: register(registry, IntGauge::new("perennial_train_steps", "Steps of the running training.")?)?,
            tokens: register(registry, IntCounter::new("perennial_train_tokens_total", "Tokens trained on.")?)?,
            told,
            nothing_learned,
            figure: register(registry, GaugeVec::new(figure, &["objective", "figure"])?)?,
            validation_loss: register(registry, GaugeVec::new(validation, &["objective", "part"])?)?,
            adapter_norm: register(registry, GaugeVec::new(norm, &["module"])?)?,
            adapter_stable_rank: register(registry, GaugeVec::new(stable_rank, &["module"])?)?,
            interpolation_alpha: register(registry, Gauge::new("perennial_train_interpolation_alpha", alpha)?)?,
        })
    }
}

impl GrpoMetrics {
    fn new(registry: &Registry) -> Result<Self> {
        let gauge = |name: &str, help: &str| register(registry, Gauge::new(name, help)?);
        let gauges =
            |name: &str, help: &str, label: &str| register(registry, GaugeVec::new(Opts::new(name, help), &[label])?);
        Ok(Self {
            reward_mean: gauge("perennial_grpo_reward", "Mean reward of the last step's completions.")?,
            reward_stddev: gauge("perennial_grpo_reward_stddev", "Standard deviation of these rewards.")?,
            kl: gauge("perennial_grpo_kl_nats", "Divergence from the reference, per token.")?,
            entropy: gauge("perennial_grpo_entropy_nats", "Entropy of the policy, per token.")?,
            clip_ratio: gauges("perennial_grpo_clip_ratio", "Share of tokens whose weight was clipped.", "bound")?,
            completion_tokens: gauges("perennial_grpo_completion_tokens", "Length of completions.", "stat")?,
            truncated_ratio: gauge("perennial_grpo_truncated_ratio", "Share of completions that were cut off.")?,
            unscored_ratio: gauge("perennial_grpo_unscored_ratio", "Share of completions that nothing scored.")?,
            zero_variance_ratio: gauge(
                "perennial_grpo_zero_variance_ratio",
                "Share of groups whose rewards were all equal.",
            )?,
        })
    }
}

impl RewardMetrics {
    fn new(registry: &Registry) -> Result<Self> {
        let opts = |name: &str, help: &str| Opts::new(name, help);
        let outcomes = opts("perennial_reward_outcomes_total", "Completions that a plugin judged, by what came of it.");
        let mean = opts("perennial_reward_mean", "Mean reward that a plugin gave last.");
        let part = opts("perennial_reward_part_mean", "Mean of a part of the reward that a plugin gave last.");
        let fuel = opts("perennial_reward_fuel_total", "Instructions that plugins took.");
        let seconds = opts("perennial_reward_seconds_total", "Time that calls of plugins took.");
        Ok(Self {
            outcomes: register(registry, IntCounterVec::new(outcomes, &["plugin", "outcome"])?)?,
            mean: register(registry, GaugeVec::new(mean, &["plugin"])?)?,
            part_mean: register(registry, GaugeVec::new(part, &["plugin", "part"])?)?,
            parts: Mutex::default(),
            fuel: register(registry, IntCounterVec::new(fuel, &["plugin"])?)?,
            seconds: register(registry, CounterVec::new(seconds, &["plugin"])?)?,
        })
    }
}

impl GateMetrics {
    fn new(registry: &Registry) -> Result<Self> {
        let opts = |name: &str, help: &str| Opts::new(name, help);
        let score = opts("perennial_gate_suite_score", "The last score of a suite, by whose it is.");
        let unjudged = opts("perennial_gate_suite_unjudged_items", "Items of a suite that could not be judged last.");
        let void = opts("perennial_gate_suite_void", "1 for a suite of which too few items could be judged last.");
        let cut = opts("perennial_gate_suite_cut_ratio", "Share of a suite's last answers that were cut off.");
        let spared = IntCounter::new(
            "perennial_gate_spared_answers_total",
            "Answers of champion and candidate that were not asked for, since enough was known (gate.sequential).",
        )?;
        let kept_out = IntCounter::new(
            "perennial_gate_kept_out_samples_total",
            "New samples that were kept out of training, since a suite asks the same.",
        )?;
        let decisions = counters(registry, "perennial_gate_decisions_total", "Decisions of the gate.", "decision")?;
        zero(&decisions, &["promote", "reject", "forced", "roll_back"]);
        let since =
            Gauge::new("perennial_champion_timestamp_seconds", "When the champion came into service; 0: never.")?;
        Ok(Self {
            suite_score: register(registry, GaugeVec::new(score, &["suite", "model"])?)?,
            suite_unjudged: register(registry, IntGaugeVec::new(unjudged, &["suite"])?)?,
            suite_void: register(registry, IntGaugeVec::new(void, &["suite"])?)?,
            suite_cut: register(registry, GaugeVec::new(cut, &["suite", "model"])?)?,
            kept_out: register(registry, kept_out)?,
            spared: register(registry, spared)?,
            decisions,
            champion_since: register(registry, since)?,
            anchor_since: register(
                registry,
                Gauge::new(
                    "perennial_anchor_timestamp_seconds",
                    "When the gate's anchor was pinned; 0: never, it is the base model.",
                )?,
            )?,
            anchor_difference: register(
                registry,
                GaugeVec::new(
                    opts(
                        "perennial_gate_anchor_difference",
                        "The last candidate's mean difference to the anchor on a suite.",
                    ),
                    &["suite"],
                )?,
            )?,
            flattery: register(
                registry,
                GaugeVec::new(
                    opts(
                        "perennial_gate_vault_flattery",
                        "How far a domain's suite stands above its vault for the champion, when the vault was last asked.",
                    ),
                    &["domain"],
                )?,
            )?,
            unpublished: register(
                registry,
                IntGauge::new(
                    "perennial_champion_unpublished",
                    "1 while production reads another adapter than the champion.",
                )?,
            )?,
        })
    }
}

impl DriftMetrics {
    fn new(registry: &Registry) -> Result<Self> {
        let score = Opts::new(
            "perennial_drift_score",
            "How far what comes in is from what the champion learned; NaN: not known.",
        );
        let score = register(registry, GaugeVec::new(score, &["detector"])?)?;
        for detector in DETECTORS {
            score.with_label_values(&[detector.name()]).set(f64::NAN);
        }
        Ok(Self { score })
    }
}

fn build_info() -> Result<IntGaugeVec> {
    let opts = Opts::new("perennial_build_info", "Always 1; its labels tell the version.");
    let info = IntGaugeVec::new(opts, &["version"])?;
    info.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
    Ok(info)
}

fn counters(registry: &Registry, name: &str, help: &str, label: &str) -> Result<IntCounterVec> {
    register(registry, IntCounterVec::new(Opts::new(name, help), &[label])?)
}

fn zero<P: prometheus::core::Atomic>(counters: &GenericCounterVec<P>, values: &[&str]) {
    for value in values {
        counters.with_label_values(&[value]);
    }
}

pub(super) fn register<C: Collector + Clone + 'static>(registry: &Registry, collector: C) -> Result<C> {
    registry.register(Box::new(collector.clone()))?;
    Ok(collector)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_has_the_prefix_and_a_base_unit() {
        let text = Metrics::new().unwrap().render().unwrap();
        let names: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")).collect();
        assert!(names.len() > 10, "{names:?}");
        for name in names {
            assert!(name.starts_with("perennial_") || name.starts_with("process_"), "{name}");
            let (name, kind) = name.split_once(' ').unwrap();
            assert_eq!(kind == "counter", name.ends_with("_total"), "{name} is a {kind}");
            assert!(!name.contains("_ms"), "{name}");
        }
    }

    #[test]
    fn known_label_sets_start_at_zero() {
        let text = Metrics::new().unwrap().render().unwrap();
        for line in [
            r#"perennial_ingest_rows_total{outcome="rejected"} 0"#,
            r#"perennial_ingest_files_total{outcome="quarantined"} 0"#,
            r#"perennial_cycle_phase{phase="train"} 0"#,
            r#"perennial_cycle_phase_duration_seconds_count{phase="evaluate"} 0"#,
            r#"perennial_gate_decisions_total{decision="promote"} 0"#,
            r#"perennial_cycle_runs_total{outcome="failed"} 0"#,
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is missing");
        }
    }
}
