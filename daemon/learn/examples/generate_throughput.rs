//! Measures loading, prefill, batched decoding and rollouts:
//! `generate_throughput MODEL [PROMPTS] [NEW_TOKENS] [GENERATIONS] [BATCH_MAX]`.

use std::{ops::ControlFlow, path::PathBuf, time::Instant};

use perennial_learn::{
    generate::{GenerateError, GenerateOptions, generate},
    model::Model,
    rollout::{RolloutOptions, rollouts},
    train::StopFlag,
};
use perennial_types::{Content, Message, Role};

const USAGE: &str = "usage: generate_throughput MODEL [PROMPTS] [NEW_TOKENS] [GENERATIONS] [BATCH_MAX]";

#[allow(clippy::print_stdout)]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let path = PathBuf::from(arguments.next().ok_or(USAGE)?);
    let mut number = |default: usize| arguments.next().map_or(Ok(default), |text| text.parse());
    let (prompts, max_completion_tokens, num_generations, batch_max) =
        (number(8)?, number(64)?, number(8)?, number(32)?);

    let start = Instant::now();
    let model = Model::load(&path)?;
    println!("load: {:.2} s", start.elapsed().as_secs_f64());

    let questions = ["the moon", "a river", "bread", "glass", "a clock", "rain", "a bridge", "salt"];
    let prompts = (0..prompts).map(|index| {
        let question = format!("Tell a long story about {}, number {index}.", questions[index % questions.len()]);
        model.encode_prompt(&Content::Messages(vec![Message::new(Role::User, question)]))
    });
    let prompts = prompts.collect::<Result<Vec<_>, _>>()?;
    let prompt_tokens: usize = prompts.iter().map(Vec::len).sum();

    let (prefill, _) = time_generate(&model, &prompts, 1)?;
    println!("prefill: {prompt_tokens} tokens in {prefill:.2} s, {:.0} tokens/s", prompt_tokens as f64 / prefill);
    let (all, tokens) = time_generate(&model, &prompts, max_completion_tokens)?;
    let (decoded, decode) = (tokens - prompts.len(), all - prefill);
    let batch = prompts.len();
    println!("decode: batch {batch}, {decoded} tokens in {decode:.2} s, {:.1} tokens/s", decoded as f64 / decode);
    let options = RolloutOptions { num_generations, max_completion_tokens, batch_max, ..RolloutOptions::default() };
    let (all, tokens) = time_rollouts(&model, &prompts, &options)?;
    println!(
        "rollouts: {num_generations} a prompt, {tokens} tokens in {all:.2} s, {:.1} tokens/s",
        tokens as f64 / all
    );
    Ok(())
}

fn time_generate(model: &Model, prompts: &[Vec<u32>], max_new_tokens: usize) -> Result<(f64, usize), GenerateError> {
    let options = GenerateOptions { max_new_tokens, batch_max: prompts.len(), ..GenerateOptions::default() };
    let start = Instant::now();
    let completions = generate(model, None, prompts, &options, &mut |_, _| ControlFlow::Continue(()))?;
    let tokens = completions.iter().map(|completion| completion.tokens.len()).sum();
    Ok((start.elapsed().as_secs_f64(), tokens))
}

fn time_rollouts(model: &Model, prompts: &[Vec<u32>], options: &RolloutOptions) -> Result<(f64, usize), GenerateError> {
    let start = Instant::now();
    let rollouts = rollouts(model, None, prompts, options, &StopFlag::new(), &mut |_, _| {})?;
    let tokens = rollouts.iter().map(|rollout| rollout.tokens.len()).sum();
    Ok((start.elapsed().as_secs_f64(), tokens))
}
