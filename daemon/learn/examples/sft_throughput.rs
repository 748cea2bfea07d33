//! Tokens per second of supervised fine-tuning:
//! `sft_throughput --model M [--steps 5] [--batch 4] [--length 256] [--samples N] [--tokens-per-micro-batch 1024]
//! [--device cpu|cuda|cpu-composed]`.
//!
//! Every token but the first of a sequence is a target, the hardest case for the head. The first step is not counted.

mod common;

use std::process;

use common::{Arguments, Failure};
use perennial_learn::{
    tokenize::Encoded,
    train::{StopFlag, TrainConfig, TrainDevice, train},
};
use serde_json::{Value, json};

fn main() -> Result<(), Failure> {
    common::run(&["steps", "batch", "length", "samples", "tokens-per-micro-batch", "device"], measure)
}

fn measure(arguments: &Arguments) -> Result<Value, Failure> {
    let (steps, batch) = (arguments.number("steps", 5)?, arguments.number("batch", 4)?);
    let length = arguments.number("length", 256)?;
    let samples = arguments.number("samples", steps * batch)?;
    let device = arguments.text("device").map(|name| serde_json::from_value(json!(name))).transpose()?;
    let model = arguments.model()?;
    let vocabulary = model.config.vocab_size;
    let example = |i: usize| Encoded {
        tokens: (0..length).map(|place| ((i * 7919 + place * 104_729) % vocabulary) as u32).collect(),
        supervised: (0..length).map(|place| place > 0).collect(),
    };
    let config = TrainConfig {
        batch_size: batch,
        tokens_per_micro_batch: arguments.number("tokens-per-micro-batch", 1024)?,
        device: device.unwrap_or(TrainDevice::Cpu),
        steps_max: Some(steps as u64),
        checkpoint_interval_steps: u64::MAX,
        ..TrainConfig::default()
    };
    let dir = std::env::temp_dir().join(format!("sft-throughput-{}", process::id()));
    let (mut seconds, mut loss) = (Vec::new(), f64::NAN);
    let examples = (0..samples).map(example).collect();
    let outcome = train(&model, None, examples, &config, &dir, &StopFlag::new(), &mut |progress| {
        seconds.push(progress.seconds);
        loss = progress.loss;
    });
    std::fs::remove_dir_all(&dir)?;
    outcome?;
    let counted =
        seconds.get(1..).filter(|counted| !counted.is_empty()).ok_or("at least 2 steps: the first is not counted")?;
    Ok(json!({
        "tokens_per_second": (batch * length) as f64 / common::median(counted.to_vec()),
        "loss": loss,
        "step_seconds": seconds,
    }))
}
