use crate::{GroupVerdict, Outcome, OutcomeKind, Panel, Task};

/// A plugin failed on too many samples for the update to mean anything.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error(
    "plugin {plugin} gave no answer for {failed} of {samples} samples, more than the share of {max_fault_ratio} that max_fault_ratio \
     allows, so nothing is learned from this batch; the first was sample {sample}, {}: {message}",
    outcome.as_str()
)]
pub struct TooManyFaults {
    /// The plugin's name in the configuration.
    pub plugin: String,
    /// How many of its samples faulted or timed out.
    pub failed: usize,
    /// How many it was asked about.
    pub samples: usize,
    /// The share of faults, 0 to 1, beyond which the rewards are void.
    pub max_fault_ratio: f64,
    /// The first sample that faulted or timed out.
    pub sample: String,
    /// What came of it.
    pub outcome: OutcomeKind,
    /// What was said of that sample.
    pub message: String,
}

/// Holds every plugin of a panel to `max_fault_ratio`, over the groups of one update: faults and time-outs by all its
/// samples. Abstentions are answers. Groups are judged in their order, so that the same plugin and sample are named always.
///
/// # Errors
/// The first plugin of the panel that failed too often.
pub fn check_fault_ratio(
    panel: &Panel,
    groups: &[(&Task, &GroupVerdict)],
    max_fault_ratio: f64,
) -> Result<(), TooManyFaults> {
    for (at, member) in panel.members.iter().enumerate() {
        let answers = groups.iter().flat_map(|(task, verdict)| {
            let outcomes = verdict.per_member.get(at).map_or(&[][..], |scoring| &scoring.outcomes);
            task.samples.iter().zip(outcomes)
        });
        let samples = answers.clone().count();
        let mut failures = answers.filter(|(_, outcome)| is_failure(outcome));
        let Some((sample, outcome)) = failures.next() else { continue };
        let failed = 1 + failures.count();
        if failed as f64 > max_fault_ratio * samples as f64 {
            return Err(TooManyFaults {
                plugin: member.plugin.name().to_owned(),
                failed,
                samples,
                max_fault_ratio,
                sample: sample.id.clone(),
                outcome: outcome.kind(),
                message: outcome.message().unwrap_or_default().to_owned(),
            });
        }
    }
    Ok(())
}

fn is_failure(outcome: &Outcome) -> bool {
    matches!(outcome.kind(), OutcomeKind::Faulted | OutcomeKind::TimedOut)
}
