use std::{collections::BTreeMap, ops::ControlFlow};

use anyhow::Context as _;
use perennial_families::{Decoder, SourceError, TensorSource};
use perennial_learn::{
    adapter::Adapter,
    generate::{Completion, EngineError, GenerateOptions, NextLogits, generate, generate_with},
    model::{HfFolder, HfTensors, Model},
    tokenize::{ChatTemplate, Tokenizer, encode_prompt},
};
use perennial_types::Prompt;

use super::output;
use crate::{config, engine::Engine, models};

/// `--engine`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum EngineKind {
    /// The program's own decoder, for the families that it trains
    #[default]
    Native,
    /// candle's, for other families: they are asked, and never trained
    Candle,
}

/// A model ready to answer.
pub(super) enum Voice {
    Native(Box<Own>),
    Candle(Box<OfCandle>),
}

/// A model of the program's own decoder.
pub(super) struct Own {
    model: Model,
    pub(super) adapter: Option<Adapter>,
}

/// A model of a family that the program's own decoder does not know.
pub(super) struct OfCandle {
    decoder: Decoder,
    tokenizer: Tokenizer,
    template: ChatTemplate,
}

impl Voice {
    /// Loads a model, reading a prompt that is a string as a user's turn or as it stands.
    pub(super) fn load(kind: EngineKind, model: &config::Model, prompt_as_chat: bool) -> anyhow::Result<Self> {
        match kind {
            EngineKind::Native => {
                let model = Engine::default().model(model)?.with_prompt_as_chat(prompt_as_chat);
                Ok(Self::Native(Box::new(Own { model, adapter: None })))
            }
            EngineKind::Candle => Ok(Self::Candle(Box::new(OfCandle::load(model, prompt_as_chat)?))),
        }
    }

    /// The tokens that the model reads of a prompt.
    pub(super) fn encode(&self, prompt: &Prompt) -> anyhow::Result<Vec<u32>> {
        match self {
            Self::Native(own) => Ok(own.model.encode_prompt(prompt)?),
            Self::Candle(of_candle) => Ok(encode_prompt(prompt, &of_candle.tokenizer, &of_candle.template)?),
        }
    }

    /// The most tokens of a prompt and its answer.
    pub(super) fn positions_max(&self) -> usize {
        match self {
            Self::Native(own) => own.model.config.positions_max,
            Self::Candle(of_candle) => of_candle.decoder.positions_max(),
        }
    }

    /// Goes on from each prompt; `on_text` is told as `generate` tells it.
    pub(super) fn complete(
        &mut self,
        prompts: &[Vec<u32>],
        options: &GenerateOptions,
        on_text: &mut dyn FnMut(usize, &str) -> ControlFlow<()>,
    ) -> anyhow::Result<Vec<Completion>> {
        match self {
            Self::Native(own) => Ok(generate(&own.model, own.adapter.as_ref(), prompts, options, on_text)?),
            Self::Candle(of_candle) => {
                let OfCandle { decoder, tokenizer, .. } = &mut **of_candle;
                Ok(generate_with(&mut Logits(decoder), tokenizer, prompts, options, on_text)?)
            }
        }
    }

    /// Prints the answer as it comes, and returns it.
    pub(super) fn answer(&mut self, prompt: &Prompt, options: &GenerateOptions) -> anyhow::Result<String> {
        let mut print = |_: usize, piece: &str| {
            output::piece(piece);
            ControlFlow::Continue(())
        };
        let completions = self.complete(&[self.encode(prompt)?], options, &mut print)?;
        Ok(completions.into_iter().next().map(|completion| completion.text).unwrap_or_default())
    }
}

impl OfCandle {
    fn load(model: &config::Model, prompt_as_chat: bool) -> anyhow::Result<Self> {
        let path = models::locate(model)?;
        let read = || -> anyhow::Result<Self> {
            let HfFolder { config, config_path, tokenizer, template, tensors } = HfFolder::open(&path)?;
            let decoder = Decoder::load(&config, &config_path, Box::new(Tensors(tensors)))?;
            Ok(Self { decoder, tokenizer, template: template.with_prompt_as_chat(prompt_as_chat) })
        };
        read().with_context(|| format!("the engine candle cannot load {}", path.display()))
    }
}

/// The learner's files as the families read them.
struct Tensors(HfTensors);

impl TensorSource for Tensors {
    fn shapes(&self) -> &BTreeMap<String, Vec<usize>> {
        self.0.shapes()
    }

    fn read(&self, name: &str) -> Result<candle_core::Tensor, SourceError> {
        Ok(self.0.read(name)?)
    }
}

/// A family's decoder as the learner draws from it.
struct Logits<'a>(&'a mut Decoder);

impl NextLogits for Logits<'_> {
    fn positions_max(&self) -> usize {
        self.0.positions_max()
    }

    fn restart(&mut self) {
        self.0.restart();
    }

    fn logits(&mut self, tokens: &[u32]) -> Result<Vec<f32>, EngineError> {
        Ok(self.0.logits(tokens)?)
    }
}
