//! What the measuring programs share: their arguments, and the line that they print.

#![allow(dead_code, reason = "each program uses its part of it")]

use std::{collections::BTreeMap, error::Error, fs, path::PathBuf};

use perennial_learn::{
    compute::{Precision, choose_isa},
    model::Model,
    tokenize::{SpecialTokens, Tokenizer},
};
use perennial_types::{Content, Message, Role};
use serde_json::{Value, json};

pub(crate) type Failure = Box<dyn Error + Send + Sync>;

/// What every program takes: where the model lies, and how it computes.
const COMMON: [&str; 3] = ["model", "precision", "isa"];

/// What the model is asked to tell about. `tests/bench/common.py` asks the same.
const SUBJECTS: [&str; 8] = ["the moon", "a river", "bread", "glass", "a clock", "rain", "a bridge", "salt"];

/// `--name value …`
pub(crate) struct Arguments(BTreeMap<String, String>);

impl Arguments {
    fn parse(names: &[&str]) -> Result<Self, Failure> {
        let mut values = BTreeMap::new();
        let mut words = std::env::args().skip(1);
        while let Some(word) = words.next() {
            let name = word.strip_prefix("--").filter(|name| COMMON.contains(name) || names.contains(name));
            let name = name.ok_or_else(|| format!("there is no option {word}, only {COMMON:?} and {names:?}"))?;
            let value = words.next().ok_or_else(|| format!("{word} needs a value"))?;
            values.insert(name.to_owned(), value);
        }
        Ok(Self(values))
    }

    pub(crate) fn number(&self, name: &str, default: usize) -> Result<usize, Failure> {
        let value = self.text(name).map(|text| text.parse().map_err(|error| format!("--{name} {text}: {error}")));
        Ok(value.transpose()?.unwrap_or(default))
    }

    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    pub(crate) fn path(&self, name: &str) -> Option<PathBuf> {
        self.text(name).map(PathBuf::from)
    }

    /// The model as `--model`, `--precision` and `--isa` ask for it.
    pub(crate) fn model(&self) -> Result<Model, Failure> {
        let precision = match self.text("precision") {
            None | Some("f32") => Precision::F32,
            Some("bf16") => Precision::Bf16,
            Some(other) => return Err(format!("the precisions are f32 and bf16, not {other}").into()),
        };
        if let Some(isa) = self.text("isa").filter(|isa| *isa != "auto") {
            choose_isa(isa.parse()?)?;
        }
        Ok(Model::load(&self.path("model").ok_or("--model is missing")?, precision)?)
    }
}

/// Measures, and prints the result with the process's peak memory as one line of JSON.
pub(crate) fn run(names: &[&str], measure: fn(&Arguments) -> Result<Value, Failure>) -> Result<(), Failure> {
    let mut result = measure(&Arguments::parse(names)?)?;
    result["peak_memory_bytes"] = json!(peak_memory_bytes()?);
    print(&result);
    Ok(())
}

#[expect(clippy::print_stdout, reason = "this program's output")]
pub(crate) fn print(line: &Value) {
    println!("{line}");
}

pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Prompts of about 40 tokens.
pub(crate) fn prompts(model: &Model, count: usize) -> Result<Vec<Vec<u32>>, Failure> {
    let prompt = |subject: &str| {
        let question = format!("Write a long story about {subject}.");
        Ok(model.encode_prompt(&Content::Messages(vec![Message::new(Role::User, question)]).into())?)
    };
    SUBJECTS.iter().cycle().take(count).map(|subject| prompt(subject)).collect()
}

/// The model without the tokens that end a completion, so that all completions are equally long.
pub(crate) fn endless(mut model: Model) -> Result<Model, Failure> {
    let inner = tokenizers::Tokenizer::from_bytes(model.tokenizer.to_json()?)?;
    model.tokenizer = Tokenizer::new(inner, SpecialTokens::default(), &[])?;
    Ok(model)
}

fn peak_memory_bytes() -> Result<u64, Failure> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("no VmHWM in /proc/self/status")?;
    let kib: u64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kib << 10)
}
