use perennial_gate::Policy;

use crate::config;

/// The gate's policy as configured, for suites that are asked in batches where the configuration says so.
pub(crate) fn policy(gate: &config::Gate, seed: u64) -> Policy {
    Policy {
        confidence: gate.confidence,
        false_alarm_max: gate.false_alarm_max,
        chance_gain_max: gate.chance_gain_max,
        margin_relative: gate.margin_relative,
        anchor_margin: gate.anchor.margin,
        earlier_tries: 0,
        sequential: gate.sequential.enabled,
        resamples: gate.resamples,
        seed,
        require: gate.require,
        uncertain: gate.uncertain,
        unjudged_ratio_max: gate.unjudged_ratio_max,
        max_fault_ratio: gate.max_fault_ratio,
        hacking: gate.hacking.clone(),
    }
}
