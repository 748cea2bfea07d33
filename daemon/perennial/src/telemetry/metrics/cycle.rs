//! Cycles, the gate and the champion.

use prometheus::{
    Gauge, GaugeVec, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Result,
};

use super::{Registry, counters, register, zero};
use crate::{failure::FailureKind, telemetry::labels::Phase};

/// Cycles and their phases.
pub(crate) struct CycleMetrics {
    pub(crate) phase: IntGaugeVec,
    pub(crate) phase_duration: HistogramVec,
    pub(crate) ended: IntCounterVec,
    pub(crate) waiting: IntGauge,
    pub(crate) attempts: IntGauge,
    pub(crate) failures: IntCounterVec,
    pub(crate) failed_in_a_row: IntGauge,
    pub(crate) rejected_in_a_row: IntGauge,
    pub(crate) stuck_since: Gauge,
    pub(crate) held_until: Gauge,
    pub(crate) set_aside: IntGauge,
    pub(crate) refused: IntGauge,
    pub(crate) returned: IntCounterVec,
}

impl CycleMetrics {
    pub(super) fn new(registry: &Registry) -> Result<Self> {
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
        zero(&ended, &["promoted", "rejected", "stopped", "held", "failed", "aborted", "error"]);
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
        let until =
            "When the candidate that waits for a person's word is declined where nobody gives it; 0: none waits.";
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
            rejected_in_a_row: gauge(
                "perennial_cycle_rejected_in_a_row",
                "Candidates that the gate refused since it last let one into service, 30 at most.",
            )?,
            stuck_since: register(registry, Gauge::new("perennial_cycle_stuck_since_timestamp_seconds", since)?)?,
            held_until: register(registry, Gauge::new("perennial_cycle_held_until_timestamp_seconds", until)?)?,
            set_aside: gauge(
                "perennial_cycle_set_aside_samples",
                "Samples that nothing can be learned from as things are.",
            )?,
        })
    }
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
    pub(crate) anchor_margin: GaugeVec,
    pub(crate) flattery: GaugeVec,
    pub(crate) unpublished: IntGauge,
}

impl GateMetrics {
    pub(super) fn new(registry: &Registry) -> Result<Self> {
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
            anchor_margin: register(
                registry,
                GaugeVec::new(
                    opts("perennial_gate_anchor_margin", "What may be lost to the anchor on a suite in all."),
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
