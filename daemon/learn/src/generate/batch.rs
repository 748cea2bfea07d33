use std::ops::ControlFlow;

use candle_core::{Device, Tensor};
use perennial_kernels::{KvCache, Span};

use super::{Completion, Finish, GenerateError, GenerateOptions, sampler::Sampler, text_stream::TextStream};
use crate::{
    adapter::Adapter,
    model::{Attention, Model, Rows},
};

/// Prompt tokens that join one pass, so that a crowd of long prompts does not fill the memory; a longer prompt goes alone.
const PREFILL_ROWS_MAX: usize = 2048;
/// Tokens to come that a sequence's cache has room for at once; beyond that it grows.
const RESERVED_NEW_TOKENS_MAX: usize = 512;

/// Sequences under generation. Each pass takes the last token of every running sequence and the whole prompt of those that
/// join, so that the weights are read once for all of them.
pub(super) struct Batch<'a> {
    model: &'a Model,
    adapter: Option<&'a Adapter>,
    options: &'a GenerateOptions,
    prompts: &'a [Vec<u32>],
    /// The next prompt to join.
    next: usize,
    cache: KvCache,
    running: Vec<Sequence<'a>>,
    completions: Vec<Option<Completion>>,
}

struct Sequence<'a> {
    index: usize,
    slot: usize,
    /// Tokens that the cache does not hold yet: the prompt, then the last token.
    pending: Vec<u32>,
    sampler: Sampler,
    stream: TextStream<'a>,
    new_tokens_left: usize,
}

impl<'a> Batch<'a> {
    pub(super) fn new(
        model: &'a Model,
        adapter: Option<&'a Adapter>,
        prompts: &'a [Vec<u32>],
        options: &'a GenerateOptions,
    ) -> Self {
        let completions = prompts.iter().map(|_| None).collect();
        let cache = model.decoder.cache();
        Self { model, adapter, options, prompts, next: 0, cache, running: Vec::new(), completions }
    }

    pub(super) fn run(
        mut self,
        on_text: &mut dyn FnMut(usize, &str) -> ControlFlow<()>,
    ) -> Result<Vec<Completion>, GenerateError> {
        loop {
            self.admit();
            if self.running.is_empty() {
                return Ok(self.finish());
            }
            let logits = self.step()?;
            for (index, logits) in logits.chunks_exact(logits.len() / self.running.len()).enumerate().rev() {
                let sequence = &mut self.running[index];
                let finish = sequence.advance(logits, self.model)?;
                let flow = on_text_of(sequence, on_text);
                if let Some(finish) = finish {
                    let sequence = self.running.remove(index);
                    self.cache.remove(sequence.slot);
                    let index = sequence.index;
                    self.completions[index] = Some(sequence.complete(finish));
                }
                if flow.is_break() {
                    return Ok(self.finish());
                }
            }
        }
    }

    /// Lets waiting prompts in while there is room.
    fn admit(&mut self) {
        let mut rows = 0;
        while let Some(prompt) = self.prompts.get(self.next) {
            let fits = rows == 0 || rows + prompt.len() <= PREFILL_ROWS_MAX;
            if self.running.len() >= self.options.batch_max || !fits {
                return;
            }
            rows += prompt.len();
            let room = self.model.config.positions_max - prompt.len();
            let new_tokens_left = self.options.max_new_tokens.min(room);
            self.running.push(Sequence {
                index: self.next,
                slot: self.cache.insert(prompt.len() + new_tokens_left.min(RESERVED_NEW_TOKENS_MAX)),
                pending: prompt.clone(),
                sampler: Sampler::new(self.options, self.next),
                stream: TextStream::new(&self.model.tokenizer, &self.options.stop),
                new_tokens_left,
            });
            self.next += 1;
        }
    }

    /// Takes in what is pending, and gives the logits of each sequence's next token, one after another.
    fn step(&mut self) -> Result<Vec<f32>, GenerateError> {
        let (mut tokens, mut positions, mut spans, mut last_rows) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for sequence in &self.running {
            let start = self.cache.len(sequence.slot)? as u32;
            tokens.extend_from_slice(&sequence.pending);
            positions.extend(start..start + sequence.pending.len() as u32);
            spans.push(Span { slot: sequence.slot, rows: sequence.pending.len() });
            last_rows.push(tokens.len() as u32 - 1);
        }
        let rows = Rows { tokens: tokens.into(), positions: positions.into() };
        let attention = Attention::Cached { cache: &mut self.cache, spans: &spans };
        let decoder = &self.model.decoder;
        let hidden = decoder.hidden_detached(&rows, attention, self.adapter)?;
        let count = last_rows.len();
        let last = hidden.index_select(&Tensor::from_vec(last_rows, count, &Device::Cpu)?, 0)?;
        Ok(decoder.logits(&last)?.flatten_all()?.to_vec1()?)
    }

    /// All completions; those that have not come to an end were interrupted.
    fn finish(mut self) -> Vec<Completion> {
        for sequence in self.running {
            let index = sequence.index;
            self.completions[index] = Some(sequence.complete(Finish::Interrupted));
        }
        let interrupted = || Completion { tokens: Vec::new(), text: String::new(), finish: Finish::Interrupted };
        self.completions.into_iter().map(|completion| completion.unwrap_or_else(interrupted)).collect()
    }
}

impl Sequence<'_> {
    /// Draws the next token, and says whether the completion ends with it.
    fn advance(&mut self, logits: &[f32], model: &Model) -> Result<Option<Finish>, GenerateError> {
        let token = self.sampler.sample(logits)?;
        self.pending.clear();
        self.pending.push(token);
        self.new_tokens_left -= 1;
        let stopped = self.stream.push(token)?;
        let finish = if model.tokenizer.end_tokens().contains(&token) {
            Finish::EndToken
        } else if stopped {
            Finish::StopText
        } else if self.new_tokens_left == 0 {
            Finish::Length
        } else {
            return Ok(None);
        };
        self.stream.finish()?;
        Ok(Some(finish))
    }

    fn complete(self, finish: Finish) -> Completion {
        let (tokens, text) = self.stream.into_parts();
        Completion { tokens, text, finish }
    }
}

fn on_text_of(sequence: &mut Sequence<'_>, on_text: &mut dyn FnMut(usize, &str) -> ControlFlow<()>) -> ControlFlow<()> {
    let index = sequence.index;
    match sequence.stream.take_piece() {
        "" => ControlFlow::Continue(()),
        piece => on_text(index, piece),
    }
}
