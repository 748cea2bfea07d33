//! What rows are held to by penalties.

use perennial_data::mix::Origin;
use perennial_learn::train::HeldTo;

use super::Stage;

/// The policy that a row is held to: what is replayed to the champion, and answers of the base model to that. A candidate that goes on
/// from no champion has unlearned nothing of one.
pub(super) fn held_to(stage: &Stage<'_>, origin: Origin) -> Option<HeldTo> {
    match origin {
        Origin::New => None,
        Origin::Replay => stage.past.champion.map(|_| HeldTo::Champion),
        Origin::BaseAnswer => Some(HeldTo::Base),
    }
}

/// For the report: the penalties that are configured and have nothing to hold to.
pub(super) fn unheld(stage: &Stage<'_>) -> Vec<String> {
    let penalty = &stage.manifest.train.penalty;
    let has = |origin: Origin| stage.rows.iter().any(|row| row.origin == origin);
    let (no_champion, unmeasured) = (stage.past.champion.is_none(), stage.past.fisher.is_none());
    let of_parameters = [
        ("l2_sp.weight", penalty.l2_sp.weight > 0.0 && no_champion, "the candidate goes on from no champion"),
        ("orthogonal.weight", penalty.orthogonal.weight > 0.0 && no_champion, "there is no champion to learn beside"),
        (
            "ewc.weight",
            penalty.ewc.weight > 0.0 && unmeasured,
            "how much each number of the champion matters was not measured when it was trained; it is now, of the candidate",
        ),
    ];
    let distillation = penalty.distillation;
    let held_by_champion = stage.past.champion.is_some() && has(Origin::Replay);
    let of_rows = [
        (
            "distillation.champion",
            distillation.champion > 0.0 && !held_by_champion,
            "nothing is replayed, or there is no champion",
        ),
        (
            "distillation.base",
            distillation.base > 0.0 && !has(Origin::BaseAnswer),
            "there are no answers of the base model in the mix",
        ),
    ];
    let all = of_parameters.into_iter().chain(of_rows);
    all.filter(|(_, unheld, _)| *unheld)
        .map(|(key, _, why)| format!("train.penalty.{key} had no effect in this cycle: {why}."))
        .collect()
}
