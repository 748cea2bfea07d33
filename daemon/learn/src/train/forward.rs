use candle_core::Result;

use super::{
    micro_batch::{MicroBatch, split},
    parameters::Parameters,
    passes::Passes,
};
use crate::{adapter::Adapter, stop::StopFlag, tokenize::Encoded};

/// The log-probability of each target of each example, the logits divided by `temperature`; `None` where the flag was raised
/// before they were complete.
pub(super) fn logprobs(
    passes: &mut Passes<'_>,
    adapter: Option<&Adapter>,
    examples: &[&Encoded],
    temperature: f64,
    tokens_per_micro_batch: usize,
    stop: &StopFlag,
) -> Result<Option<Vec<Vec<f32>>>> {
    let parameters = adapter.map(Parameters::from_adapter).transpose()?;
    logprobs_under(passes, parameters.as_ref(), examples, temperature, tokens_per_micro_batch, stop)
}

/// [`logprobs`] under parameters.
pub(super) fn logprobs_under(
    passes: &mut Passes<'_>,
    parameters: Option<&Parameters>,
    examples: &[&Encoded],
    temperature: f64,
    tokens_per_micro_batch: usize,
    stop: &StopFlag,
) -> Result<Option<Vec<Vec<f32>>>> {
    let mut all = vec![Vec::new(); examples.len()];
    let mut policy = passes.policy(parameters)?;
    let units: Vec<Vec<&Encoded>> = examples.iter().map(|example| vec![*example]).collect();
    for row in MicroBatch::plan(&units, tokens_per_micro_batch) {
        if stop.is_raised() {
            return Ok(None);
        }
        let chosen: Vec<&Encoded> = row.iter().map(|at| examples[*at]).collect();
        let values = policy.logprobs(&MicroBatch::new(&chosen), temperature)?;
        for (at, own) in row.iter().zip(split(&values, &chosen)) {
            all[*at] = own.to_vec();
        }
    }
    Ok(Some(all))
}
