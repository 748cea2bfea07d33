//! Last-token logits with an adapter, for `tests/goldens/adapter_logits_check.py`: `adapter_logits MODEL ADAPTER FILE.json`.

use std::{error::Error, path::Path};

use perennial_learn::{
    adapter::Adapter,
    compute::Precision,
    model::{Attention, Model, Rows, Workspace},
};
use serde_json::json;

/// Prompts of different lengths, in the model's plain text.
const PROMPTS: [&str; 3] = [
    "Hello",
    "The quick brown fox jumps over the lazy dog.",
    "Turn this message into a support ticket: my laptop, bought on 12.03., does not turn on any more!\n",
];

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [model, adapter, file] = arguments.as_slice() else {
        return Err("usage: adapter_logits MODEL ADAPTER FILE.json".into());
    };
    let model = Model::load(Path::new(model), Precision::F32)?;
    let adapter = Adapter::load_peft(Path::new(adapter))?;
    adapter.check_fits(&model.config)?;
    let lora = adapter.to_weights(&model.decoder)?;
    let (mut prompts, mut workspace) = (Vec::new(), Workspace::default());
    for prompt in PROMPTS {
        let tokens = model.tokenizer.encode(prompt)?;
        let (rows, starts) = Rows::packed(&[&tokens]);
        let hidden = model.decoder.hidden(&rows, Attention::Packed(&starts), Some(&lora), &mut workspace)?;
        let logits = model.decoder.logits(&hidden.select(&[tokens.len() as u32 - 1]), &mut workspace);
        prompts.push(json!({ "tokens": tokens, "logits": logits.values() }));
    }
    std::fs::write(file, json!({ "prompts": prompts }).to_string())?;
    Ok(())
}
