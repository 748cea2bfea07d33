use super::{
    Keys, reference,
    row_loss::RowLoss,
    row_objective::{ObjectiveConfig, RowObjective},
};
use crate::{
    adapter::Adapter,
    model::Model,
    tokenize::Encoded,
    train::{
        Fisher, Shares, StopFlag, TrainConfig, TrainError,
        batches::Batches,
        gradients::{Batch, Unit},
        parameters::Parameters,
        passes::Passes,
        shares::Weights,
    },
};

/// All that the Fisher information of an adapter is measured with.
pub struct FisherRun<'a> {
    /// The base model.
    pub model: &'a Model,
    /// Where it is measured.
    pub adapter: &'a Adapter,
    /// As of a [`RowRun`](super::RowRun).
    pub reference: Option<&'a Adapter>,
    /// The rows that were trained on.
    pub units: &'a [Vec<Encoded>],
    /// What share of the loss each group of them has.
    pub shares: Option<&'a Shares>,
    /// The objective's own keys.
    pub keys: &'a Keys,
    /// Everything else, as of the run; `penalty.ewc.batches_max` says how much is measured.
    pub train: &'a TrainConfig,
    /// Asks it to stop.
    pub stop: &'a StopFlag,
}

/// Measures it on the first batches of an epoch, by the objective alone. `None` where it was asked to stop.
pub(super) fn measured<R: RowObjective>(run: &FisherRun<'_>, config: &R::Config) -> Result<Option<Fisher>, TrainError> {
    let train = &TrainConfig { epochs: 1.0, steps_max: None, ..config.over(run.train) };
    let parameters = Parameters::from_adapter(run.adapter)?;
    let mut passes = Passes::new(run.model, train)?;
    let weights = Weights::of(run.units, run.shares, R::MEAN_OF)?;
    let mut batches = Batches::new(train, run.units.len(), weights.as_ref().map(Weights::groups));
    let count = batches.steps().min(train.penalty.ewc.batches_max);
    let mut sums: Vec<Vec<f32>> = parameters.values().iter().map(|values| vec![0.0; values.len()]).collect();
    for step in 0..count {
        let chosen = batches.batch(step).to_vec();
        let units: Vec<&[Encoded]> = chosen.iter().map(|at| run.units[*at].as_slice()).collect();
        let tokens_per_micro_batch = train.tokens_per_micro_batch;
        let compared = match R::COMPARES {
            true => {
                let found = reference::computed(&units, run.reference, &mut passes, tokens_per_micro_batch, run.stop)?;
                let Some(values) = found else { return Ok(None) };
                reference::dealt(&values, &units)
            }
            false => Vec::new(),
        };
        let named: Vec<Unit<'_>> = chosen.iter().zip(&units).map(|(at, unit)| Unit::of(*at, *unit)).collect();
        let mut loss = RowLoss::<R>::new(config, &named, compared.iter().map(Vec::as_slice).collect())
            .weighted(weights.as_ref(), &chosen);
        let batch = Batch { units: &named, temperature: 1.0, teachers: &[], tokens_per_micro_batch, step: step + 1 };
        let Some(result) = batch.run(&mut passes, &parameters, &mut loss, run.stop)? else { return Ok(None) };
        for (sums, gradient) in sums.iter_mut().zip(&result.gradients) {
            sums.iter_mut().zip(gradient).for_each(|(sum, slope)| *sum += slope * slope);
        }
    }
    sums.iter_mut().flatten().for_each(|sum| *sum /= count.max(1) as f32);
    Ok(Some(Fisher::new(&parameters.with(&sums), run.adapter.fingerprint()?)))
}
