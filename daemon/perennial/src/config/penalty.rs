use perennial_learn::train::objective::ObjectiveKind;

use super::Config;

/// Penalties that have nothing to work on: the key, and what is wrong.
pub(super) fn problems(config: &Config) -> Option<(String, String)> {
    let distillation = config.train.penalty.distillation;
    let key = [("champion", distillation.champion), ("base", distillation.base)]
        .into_iter()
        .find(|(_, weight)| *weight > 0.0)?
        .0;
    let distils = |kind: &dyn ObjectiveKind| kind.rows().is_some_and(|rows| rows.distils());
    if config.stages().iter().any(|stage| distils(stage.objective.kind())) {
        return None;
    }
    let problem = "goes with the objective \"sft\", and there is none: others hold to the reference by themselves";
    Some((format!("train.penalty.distillation.{key}"), problem.to_owned()))
}
