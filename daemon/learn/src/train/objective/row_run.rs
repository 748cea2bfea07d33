use std::path::Path;

use serde_json::{Map, Value};

use crate::{
    adapter::Adapter,
    model::Model,
    stop::StopFlag,
    tokenize::Encoded,
    train::{
        HeldTo, Past, Shares, TrainConfig, TrainError, Validating, ValidationUnit, canonical::Canonical,
        micro_batch::targets_of,
    },
};

/// The keys of an objective, by their names.
pub type Keys = Map<String, Value>;

/// All that a run over rows is made of.
pub struct RowRun<'a> {
    /// The base model.
    pub model: &'a Model,
    /// What it goes on from; a fresh adapter where there is none.
    pub parent: Option<Adapter>,
    /// What objectives that compare compare with: the champion's adapter, or the base model without one.
    pub reference: Option<&'a Adapter>,
    /// What penalties hold it to.
    pub past: Past<'a>,
    /// The encoded rows: the sequences of each.
    pub units: Vec<Vec<Encoded>>,
    /// Which policy each unit is held to by distillation, the champion being `reference`; empty for none. A unit of the champion's is
    /// held to nothing where there is no reference.
    pub held_to: Vec<Option<HeldTo>>,
    /// What share of the loss each group of units has; all count the same without it.
    pub shares: Option<Shares>,
    /// What it validates on; `None` for no validation.
    pub validation: Option<Validating<'a>>,
    /// The objective's own keys.
    pub keys: &'a Keys,
    /// Everything else about the optimisation. What the keys say stands above it.
    pub train: &'a TrainConfig,
    /// For checkpoints and metrics.
    pub checkpoint_dir: &'a Path,
    /// Asks it to stop.
    pub stop: &'a StopFlag,
}

/// All that a validation outside of a run is made of.
pub struct ValidationRun<'a> {
    /// The base model.
    pub model: &'a Model,
    /// As of a [`RowRun`].
    pub reference: Option<&'a Adapter>,
    /// What is validated on and never trained on.
    pub units: &'a [ValidationUnit],
    /// The objective's own keys.
    pub keys: &'a Keys,
    /// Where and in what pieces it is computed.
    pub train: &'a TrainConfig,
    /// Asks it to stop.
    pub stop: &'a StopFlag,
}

impl RowRun<'_> {
    /// That there is something to learn in every unit, and that the reference is of this model.
    pub(super) fn check(&self) -> Result<(), TrainError> {
        if self.units.is_empty() {
            return Err(TrainError::NoExamples);
        }
        if let Some(reference) = self.reference {
            reference.check_fits(&self.model.config)?;
        }
        let validated = self.validated().map(|unit| unit.sequences.as_slice());
        let untargeted = |unit: &[Encoded]| unit.iter().any(|sequence| targets_of(sequence).next().is_none());
        match self.units.iter().map(Vec::as_slice).chain(validated).position(untargeted) {
            Some(example) => Err(TrainError::NothingSupervised { example }),
            None => Ok(()),
        }
    }

    /// All units, for the name of the run; those that are validated on where they have a say in what it ends with.
    pub(super) fn write_units(&self, canonical: &mut Canonical, train: &TrainConfig) {
        self.units.iter().for_each(|unit| write_unit(canonical, unit));
        for unit in self.validated().filter(|_| train.is_led_by_validation()) {
            canonical.word("validation.origin", &unit.origin);
            canonical.word("validation.domain", &unit.domain);
            write_unit(canonical, &unit.sequences);
        }
    }

    /// Who teaches which unit, where that has a say in what the run ends with.
    pub(super) fn write_held(
        &self,
        canonical: &mut Canonical,
        train: &TrainConfig,
        is_compared: bool,
    ) -> Result<(), TrainError> {
        let weighs =
            |held: &Option<HeldTo>| held.is_some_and(|teacher| train.penalty.distillation.weight(teacher) > 0.0);
        if !self.held_to.iter().any(weighs) {
            return Ok(());
        }
        if !is_compared {
            canonical.adapter("reference", self.reference)?;
        }
        let held: Vec<u8> = self.held_to.iter().map(|held| held.map_or(0, |teacher| 1 + teacher as u8)).collect();
        canonical.bytes("penalty.held_to", &held);
        Ok(())
    }

    fn validated(&self) -> impl Iterator<Item = &ValidationUnit> {
        self.validation.iter().flat_map(|validation| &validation.units)
    }
}

fn write_unit(canonical: &mut Canonical, unit: &[Encoded]) {
    canonical.count("unit", unit.len() as u64);
    for sequence in unit {
        canonical.tokens("tokens", &sequence.tokens);
        let supervised: Vec<u8> = sequence.supervised.iter().map(|supervised| u8::from(*supervised)).collect();
        canonical.bytes("supervised", &supervised);
    }
}
