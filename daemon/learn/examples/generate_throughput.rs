//! Measures loading, prefill and batched decoding: `generate_throughput MODEL [BATCH] [NEW_TOKENS]`.

use std::{ops::ControlFlow, path::PathBuf, time::Instant};

use perennial_learn::{
    generate::{GenerateOptions, generate},
    model::Model,
};
use perennial_types::{Content, Message, Role};

#[allow(clippy::print_stdout)]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let path = PathBuf::from(arguments.next().ok_or("usage: generate_throughput MODEL [BATCH] [NEW_TOKENS]")?);
    let batch_max = arguments.next().map_or(Ok(8), |text| text.parse())?;
    let max_new_tokens = arguments.next().map_or(Ok(64), |text| text.parse())?;

    let start = Instant::now();
    let model = Model::load(&path)?;
    println!("load: {:.2} s", start.elapsed().as_secs_f64());

    let questions = ["the moon", "a river", "bread", "glass", "a clock", "rain", "a bridge", "salt"];
    let prompts = (0..batch_max).map(|index| {
        let question = format!("Tell a long story about {}, number {index}.", questions[index % questions.len()]);
        model.encode_prompt(&Content::Messages(vec![Message::new(Role::User, question)]))
    });
    let prompts = prompts.collect::<Result<Vec<_>, _>>()?;
    let time = |max_new_tokens: usize| {
        let options = GenerateOptions { max_new_tokens, batch_max, ..GenerateOptions::default() };
        let start = Instant::now();
        let completions = generate(&model, None, &prompts, &options, &mut |_, _| ControlFlow::Continue(()))?;
        let tokens: usize = completions.iter().map(|completion| completion.tokens.len()).sum();
        Ok::<_, Box<dyn std::error::Error>>((start.elapsed().as_secs_f64(), tokens))
    };
    let prompt_tokens: usize = prompts.iter().map(Vec::len).sum();
    let (prefill, _) = time(1)?;
    println!("prefill: {prompt_tokens} tokens in {prefill:.2} s, {:.0} tokens/s", prompt_tokens as f64 / prefill);
    let (all, tokens) = time(max_new_tokens)?;
    let decoded = tokens - batch_max;
    println!(
        "decode: batch {batch_max}, {decoded} tokens in {:.2} s, {:.1} tokens/s",
        all - prefill,
        decoded as f64 / (all - prefill)
    );
    Ok(())
}
