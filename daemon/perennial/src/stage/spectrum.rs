//! How large the candidate's change of the base model is, and whether its rank is nearly used up.

use std::collections::BTreeMap;

use perennial_learn::adapter::{Adapter, AdapterError, Spectrum};
use serde_json::{Value, json};

use crate::telemetry::{AdapterSpectrum, Telemetry};

/// A mean stable rank beyond this share of the rank says that hardly a direction is left over: one that is not used at all would have
/// the singular value 0.
const SATURATED_FROM: f64 = 0.5;

/// What is told of the spectrum: for the cycle's record, and for the report.
#[derive(Default)]
pub(super) struct Told {
    pub(super) record: Value,
    pub(super) notes: Vec<String>,
}

/// Tells metrics, record and report of it; nothing for adapters of other kinds than LoRA.
pub(super) fn tell(adapter: &Adapter, telemetry: &Telemetry) -> Result<Told, AdapterError> {
    let Some(spectrum) = adapter.spectrum()? else { return Ok(Told::default()) };
    let of_modules: BTreeMap<&'static str, Spectrum> =
        spectrum.into_iter().map(|(projection, spectrum)| (projection.as_str(), spectrum)).collect();
    telemetry.emit(AdapterSpectrum(&of_modules));
    let record = of_modules
        .iter()
        .map(|(module, found)| ((*module).to_owned(), json!({ "norm": found.norm, "stable_rank": found.stable_rank })));
    Ok(Told { record: Value::Object(record.collect()), notes: notes(&of_modules, adapter.config().r) })
}

fn notes(of_modules: &BTreeMap<&'static str, Spectrum>, r: usize) -> Vec<String> {
    let norm = of_modules.values().map(|found| found.norm * found.norm).sum::<f64>().sqrt();
    let mean = of_modules.values().map(|found| found.stable_rank).sum::<f64>() / of_modules.len().max(1) as f64;
    let mut told = format!(
        "The adapter's change of the base model has the norm {norm:.3} and the mean stable rank {mean:.1} of {r}."
    );
    if r > 1 && mean > SATURATED_FROM * r as f64 {
        told += &format!(
            " Its rank is nearly used up, and more can only be learned in the place of something: raise train.r to {}, with train.alpha \
             in proportion and train.start = \"rebase\".",
            2 * r
        );
    }
    vec![told]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn advice_comes_where_the_rank_is_nearly_used_up() {
        let of = |stable_rank: f64| {
            let found = Spectrum { norm: 3.0, stable_rank };
            notes(&BTreeMap::from([("q_proj", found), ("k_proj", Spectrum { norm: 4.0, ..found })]), 8)
        };
        assert_eq!(
            of(2.5),
            ["The adapter's change of the base model has the norm 5.000 and the mean stable rank 2.5 of 8."]
        );
        assert!(of(4.5)[0].contains("raise train.r to 16"));
    }
}
