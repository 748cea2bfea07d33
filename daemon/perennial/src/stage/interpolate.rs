//! How far to go from the champion to what was trained: the point on the line between the two with the least validation loss
//! (Soup to Go, arXiv 2501.05559; WiSE-FT, arXiv 2109.01903). Forward passes alone; the gate then looks at one adapter.

use anyhow::Context as _;
use perennial_learn::{
    adapter::{Adapter, Rebased, check_interpolate},
    train::{StopFlag, ValidationLoss, objective::ValidationRun},
};
use serde::Serialize;

use super::{Stage, rows};
use crate::{config::TrainStage, telemetry::Interpolated};

/// What came of it.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Interpolation {
    /// The share of the way that was gone: 0 is the champion, 1 what was trained.
    pub(crate) alpha: f64,
    /// The share of the change's squared norm that the rank could hold; 1 where nothing was cut off.
    pub(crate) kept: f64,
    /// The loss of the champion, or of the base model without one: the mean over objectives of the balanced validation loss.
    pub(crate) champion_loss: f64,
    /// Each point that was tried, with its loss.
    pub(crate) tried: Vec<(f64, f64)>,
}

pub(super) enum End {
    /// With an adapter, which may be the one that was trained.
    Chosen {
        adapter: Adapter,
        interpolation: Interpolation,
    },
    /// There is nothing to choose by or between; the reason, where it was asked for.
    Off(Option<String>),
    Stopped,
}

/// Chooses by what the stages that learned would validate on. `champion` of `None` is the base model.
pub(super) fn run(
    stage: &Stage<'_>,
    learned: &[TrainStage],
    champion: Option<&Adapter>,
    trained: &Adapter,
) -> anyhow::Result<End> {
    let alphas = &stage.manifest.train.interpolate;
    // Why there is nothing to validate on is told where that was found out.
    if alphas.is_empty() || stage.validation.is_empty() {
        return Ok(End::Off(None));
    }
    if let Some(why) = hindrance(learned, champion, trained) {
        return Ok(End::Off(Some(format!("Interpolation is off: {why}."))));
    }
    let mut points = Vec::with_capacity(alphas.len());
    for alpha in alphas {
        points.push(point(stage, champion, trained, *alpha)?);
    }
    let adapters: Vec<Option<&Adapter>> =
        std::iter::once(champion).chain(points.iter().map(|point| Some(&point.adapter))).collect();
    let Some(losses) = losses(stage, learned, champion, &adapters)? else { return Ok(End::Stopped) };
    let (champion_loss, of_points) = losses.split_first().context("the champion has no validation loss")?;
    let tried: Vec<(f64, f64)> = alphas.iter().copied().zip(of_points.iter().copied()).collect();
    let best = best_of(&tried).context("there is no point to choose")?;
    let (alpha, point) = (tried[best].0, points.swap_remove(best));
    let interpolation = Interpolation { alpha, kept: point.kept, champion_loss: *champion_loss, tried };
    let Interpolation { kept, champion_loss, tried, .. } = &interpolation;
    stage.telemetry.emit(Interpolated { alpha, kept: *kept, champion_loss: *champion_loss, tried });
    Ok(End::Chosen { adapter: point.adapter, interpolation })
}

/// The least loss; of equal ones the one that is nearest to what was trained.
fn best_of(tried: &[(f64, f64)]) -> Option<usize> {
    let order = |at: &usize| (tried[*at].1, -tried[*at].0);
    let less = |one: &usize, other: &usize| {
        let ((loss, distance), (other_loss, other_distance)) = (order(one), order(other));
        loss.total_cmp(&other_loss).then(distance.total_cmp(&other_distance))
    };
    (0..tried.len()).min_by(less)
}

fn hindrance(learned: &[TrainStage], champion: Option<&Adapter>, trained: &Adapter) -> Option<String> {
    if let Some(drawn) = learned.iter().find(|own| own.objective.kind().rows().is_none()) {
        let objective = drawn.objective.as_str();
        return Some(format!("what {objective} learned is not told by a validation loss"));
    }
    check_interpolate(trained.config(), champion.unwrap_or(trained).config()).err().map(|error| error.to_string())
}

/// A point in the shape of what was trained: what is validated is what would be served.
fn point(stage: &Stage<'_>, champion: Option<&Adapter>, trained: &Adapter, alpha: f64) -> anyhow::Result<Rebased> {
    if alpha == 1.0 {
        return Ok(Rebased { adapter: trained.clone(), kept: 1.0 });
    }
    let between = trained.interpolated(champion, alpha)?;
    if champion.is_none() {
        return Ok(Rebased { adapter: between, kept: 1.0 });
    }
    Ok(between.rebased(trained.config(), &stage.model.config, stage.seed)?)
}

/// Of each adapter, the mean over the objectives that there are rows for.
fn losses(
    stage: &Stage<'_>,
    learned: &[TrainStage],
    reference: Option<&Adapter>,
    adapters: &[Option<&Adapter>],
) -> anyhow::Result<Option<Vec<f64>>> {
    let (train, stop) = (stage.manifest.train.learner(stage.seed), StopFlag::from(stage.stop.flag()));
    let mut of_objectives: Vec<Vec<ValidationLoss>> = Vec::new();
    for own in learned {
        let Some(trainer) = own.objective.kind().rows() else { continue };
        let length_max = stage.manifest.train.max_length;
        let units = rows::read(stage.model, stage.validation, own.objective, trainer, length_max).validated();
        if units.is_empty() {
            continue;
        }
        let asked =
            ValidationRun { model: stage.model, reference, units: &units, keys: &own.keys, train: &train, stop: &stop };
        let Some(found) = trainer.validation_losses(&asked, adapters)? else { return Ok(None) };
        of_objectives.push(found);
    }
    let mean = |at: usize| {
        let sum: f64 = of_objectives.iter().map(|losses| losses[at].balanced).sum();
        sum / of_objectives.len().max(1) as f64
    };
    Ok(Some((0..adapters.len()).map(mean).collect()))
}

impl Interpolation {
    /// For the report.
    pub(super) fn told(&self, has_champion: bool) -> String {
        let from = if has_champion { "the champion" } else { "the base model" };
        let tried: Vec<String> = self.tried.iter().map(|(alpha, loss)| format!("{loss:.3} at {alpha}")).collect();
        let mut told = format!(
            "The adapter is {} of the way from {from} to what was trained, where the validation loss was least: {:.3} at 0, {}.",
            self.alpha,
            self.champion_loss,
            tried.join(", ")
        );
        if self.kept < 1.0 {
            told += &format!(" The rank holds {:.2} % of that change (of the squared norm).", 100.0 * self.kept);
        }
        told
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_loss_is_chosen_and_of_equal_ones_what_learned_most() {
        assert_eq!(best_of(&[(0.25, 2.0), (0.5, 1.0), (0.75, 1.0), (1.0, 1.5)]), Some(2));
        assert_eq!(best_of(&[(1.0, 1.0), (0.5, 1.0)]), Some(0));
        assert_eq!(best_of(&[]), None);
    }

    #[test]
    fn what_was_chosen_is_told_with_what_was_tried() {
        let chosen =
            Interpolation { alpha: 0.5, kept: 0.9987, champion_loss: 2.0, tried: vec![(0.5, 1.25), (1.0, 1.5)] };
        assert_eq!(
            chosen.told(true),
            "The adapter is 0.5 of the way from the champion to what was trained, where the validation loss was least: 2.000 at 0, \
             1.250 at 0.5, 1.500 at 1. The rank holds 99.87 % of that change (of the squared norm)."
        );
        let whole = Interpolation { kept: 1.0, ..chosen }.told(false);
        assert!(whole.contains("from the base model") && whole.ends_with("1.500 at 1."), "{whole}");
    }
}
