//! Tokens per second of rollouts, at 8 and 32 completions of one prompt: `generate_throughput --model M [--new-tokens 128] [--adapter DIR]`.
//!
//! Sampled at temperature 1; nothing ends a completion but its length.

mod common;

use std::time::Instant;

use common::{Arguments, Failure};
use perennial_learn::{
    adapter::Adapter,
    rollout::{RolloutOptions, rollouts},
    train::StopFlag,
};
use serde_json::{Map, Value, json};

const BATCHES: [usize; 2] = [8, 32];

fn main() -> Result<(), Failure> {
    common::run(&["new-tokens", "adapter"], measure)
}

fn measure(arguments: &Arguments) -> Result<Value, Failure> {
    let max_completion_tokens = arguments.number("new-tokens", 128)?;
    let start = Instant::now();
    let model = common::endless(arguments.model()?)?;
    let load = start.elapsed().as_secs_f64();
    let adapter = arguments.path("adapter").map(|dir| Adapter::load_peft(&dir)).transpose()?;
    let prompts = common::prompts(&model, 1)?;
    let seconds = |num_generations: usize, max_completion_tokens: usize| {
        let options = RolloutOptions {
            num_generations,
            max_completion_tokens,
            batch_max: num_generations,
            ..RolloutOptions::default()
        };
        let start = Instant::now();
        rollouts(&model, adapter.as_ref(), &prompts, &options, &StopFlag::new(), &mut |_, _| {})?;
        Ok::<f64, Failure>(start.elapsed().as_secs_f64())
    };
    seconds(2, 4)?;
    let mut result = Map::new();
    for batch in BATCHES {
        let rate = (batch * max_completion_tokens) as f64 / seconds(batch, max_completion_tokens)?;
        result.insert(format!("tokens_per_second_{batch}"), json!(rate));
    }
    result.insert("load_seconds".to_owned(), json!(load));
    result.insert("prompt_tokens".to_owned(), json!(prompts[0].len()));
    Ok(Value::Object(result))
}
