use perennial_learn::train::{PenaltyConfig, objective::ObjectiveKind};

use super::{Config, Start, Train};

/// Penalties that have nothing to work on, or that another key stands against: the key, and what is wrong.
pub(super) fn problems(config: &Config) -> Vec<(String, String)> {
    distillation(config).into_iter().chain(orthogonal(&config.train)).collect()
}

fn distillation(config: &Config) -> Option<(String, String)> {
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

/// What a pair that is trained beside the frozen champion does not go with.
fn orthogonal(train: &Train) -> Option<(String, String)> {
    let PenaltyConfig { l2_sp, ewc, orthogonal, .. } = &train.penalty;
    if orthogonal.weight <= 0.0 {
        return None;
    }
    let against = [
        (train.use_dora, "goes with plain LoRA alone: set train.use_dora to false"),
        (train.start == Start::Fresh, "has nothing to learn beside where train.start is \"fresh\": set it to another"),
        (l2_sp.weight > 0.0, "does not go with train.penalty.l2_sp.weight: the champion is frozen and goes nowhere"),
        (ewc.weight > 0.0, "does not go with train.penalty.ewc.weight: the champion is frozen and goes nowhere"),
        (train.carry_optimizer, "does not go with train.carry_optimizer: what is trained is new in each cycle"),
    ];
    let (_, problem) = against.into_iter().find(|(stands_against, _)| *stands_against)?;
    Some(("train.penalty.orthogonal.weight".to_owned(), problem.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_pair_beside_the_champion_does_not_go_with_is_named() {
        let found = |text: &str| {
            let text = format!("[train]\n{text}\n[train.penalty.orthogonal]\nweight = 0.5");
            problems(&toml::from_str(&text).unwrap())
        };
        assert_eq!(found("start = \"rebase\""), []);
        for (text, key) in [
            ("use_dora = true", "train.use_dora"),
            ("start = \"fresh\"", "train.start"),
            ("penalty.l2_sp.weight = 0.1", "train.penalty.l2_sp"),
            ("penalty.ewc.weight = 0.1", "train.penalty.ewc"),
            ("carry_optimizer = true", "train.carry_optimizer"),
        ] {
            let [(named, problem)] = &found(text)[..] else { panic!("{text}") };
            assert_eq!(named, "train.penalty.orthogonal.weight");
            assert!(problem.contains(key), "{problem}");
        }
    }
}
