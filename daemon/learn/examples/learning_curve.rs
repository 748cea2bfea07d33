//! The loss of every step of supervised fine-tuning, and of rows held out from it:
//! `learning_curve --model M --rows FILE.jsonl [--precision f32] [--seed 0] [--steps 200] [--batch 4] [--held-out 60]`.
//!
//! The last rows are held out. The seed draws the adapter's start and the order of the others, which are seen as often as
//! the steps take.

mod common;

use std::{fs, process};

use common::{Arguments, Failure};
use perennial_learn::{
    generate::{Scored, score},
    model::Model,
    tokenize::Encoded,
    train::{Outcome, StopFlag, TrainConfig, train},
};
use perennial_types::Row;
use serde_json::{Value, json};

fn main() -> Result<(), Failure> {
    common::run(&["rows", "seed", "steps", "batch", "held-out"], learn)
}

fn learn(arguments: &Arguments) -> Result<Value, Failure> {
    let (steps, batch) = (arguments.number("steps", 200)?, arguments.number("batch", 4)?);
    let rows = fs::read_to_string(arguments.path("rows").ok_or("--rows is missing")?)?;
    let model = arguments.model()?;
    let mut examples = rows.lines().map(|row| encode(&model, row)).collect::<Result<Vec<_>, _>>()?;
    let learnt = examples.len().checked_sub(arguments.number("held-out", 60)?).filter(|learnt| *learnt > 0);
    let held_out = examples.split_off(learnt.ok_or("more rows are held out than there are")?);
    let config = TrainConfig {
        seed: arguments.number("seed", 0)? as u64,
        batch_size: batch,
        epochs: steps.div_ceil(examples.len().div_ceil(batch)) as f64,
        steps_max: Some(steps as u64),
        checkpoint_interval_steps: u64::MAX,
        ..TrainConfig::default()
    };
    let dir = std::env::temp_dir().join(format!("learning-curve-{}", process::id()));
    let mut losses = Vec::new();
    let outcome = train(&model, None, examples, &config, &dir, &StopFlag::new(), &mut |step| losses.push(step.loss));
    fs::remove_dir_all(&dir)?;
    let Outcome::Trained(trained) = outcome? else { return Err("nobody asks it to stop".into()) };
    let held_out_loss = mean(&score(&model, Some(&trained.adapter), &held_out)?);
    Ok(json!({ "losses": losses, "held_out_loss": held_out_loss }))
}

fn encode(model: &Model, row: &str) -> Result<Encoded, Failure> {
    Ok(model.encode(&Row::parse(row)?.body, model.config.positions_max)?)
}

/// In nats per target.
fn mean(scores: &[Scored]) -> f64 {
    let (nll, targets) = scores.iter().fold((0.0, 0), |(nll, targets), it| (nll + it.nll_sum, targets + it.tokens));
    nll / targets as f64
}
