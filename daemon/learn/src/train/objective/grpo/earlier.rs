//! As `train/earlier.rs`.

use perennial_types::{Fingerprint, Fingerprinter};

use super::{GrpoConfig, GrpoPrompt};
use crate::{
    adapter::Adapter,
    model::Model,
    train::{
        TrainConfig, TrainError,
        earlier::{add_adapter, bytes_of, json},
    },
};

pub(super) fn name(
    model: &Model,
    adapters: [Option<&Adapter>; 2],
    prompts: &[GrpoPrompt],
    config: &GrpoConfig,
    train: &TrainConfig,
    environment: Fingerprint,
) -> Result<Fingerprint, TrainError> {
    let mut fingerprinter = Fingerprinter::new().part(b"grpo").part(model.fingerprint.as_bytes());
    fingerprinter.add(&json(config)?);
    fingerprinter.add(&json(&train.determining())?);
    fingerprinter.add(environment.as_bytes());
    for adapter in adapters {
        add_adapter(&mut fingerprinter, adapter)?;
    }
    for prompt in prompts {
        fingerprinter.add(&bytes_of(&prompt.tokens));
    }
    Ok(fingerprinter.finish())
}
