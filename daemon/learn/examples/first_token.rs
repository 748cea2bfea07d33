//! Loads a model and generates one token, for the time from the start of the process to the line that this prints:
//! `first_token --model M`.

mod common;

use std::ops::ControlFlow;

use common::{Arguments, Failure};
use perennial_learn::generate::{GenerateOptions, generate};
use serde_json::{Value, json};

fn main() -> Result<(), Failure> {
    common::run(&[], first_token)
}

fn first_token(arguments: &Arguments) -> Result<Value, Failure> {
    let model = arguments.model()?;
    let prompts = common::prompts(&model, 1)?;
    let options = GenerateOptions { max_new_tokens: 1, ..GenerateOptions::default() };
    let completions = generate(&model, None, &prompts, &options, &mut |_, _| ControlFlow::Continue(()))?;
    Ok(json!({ "token": completions[0].tokens, "prompt_tokens": prompts[0].len() }))
}
