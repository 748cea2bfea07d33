use std::sync::Arc;

use perennial_kernels::{KvCache, SKINNY_ROWS_MAX, Span};
use rayon::prelude::*;

use super::{GenerateError, GenerateOptions, sequence::Sequence};
use crate::{
    adapter::Adapter,
    model::{Attention, Model, Rows},
    rollout::Rollout,
};

/// Prompt tokens that are taken in between two steps, so that neither those running nor a stop wait for a crowd of long
/// prompts; a longer prompt goes alone.
const PREFILL_TOKENS_MAX: usize = 2048;
/// Tokens to come that a sequence's cache has room for at once; beyond that it grows.
const RESERVED_NEW_TOKENS_MAX: usize = 512;

/// Completions under generation, several for each prompt: one that finishes leaves, and the next one joins.
///
/// Each prompt runs through the model once and alone, and its completions share its keys and values. Each step then takes
/// the last token of every running sequence. A pass of few rows computes each row as if it were alone, so what comes of a
/// sequence depends on its own prompt, seed and options, to the bit, and not on what happens to run beside it.
pub(crate) struct Batch<'a> {
    model: &'a Model,
    adapter: Option<&'a Adapter>,
    options: &'a GenerateOptions,
    prompts: &'a [Vec<u32>],
    /// Completions per prompt.
    generations: usize,
    /// The prompt and the generation of the sequence to join next.
    next: (usize, usize),
    /// The prompt of `next`, where the cache holds it already.
    prefilled: Option<Prefilled>,
    cache: KvCache,
    running: Vec<Sequence<'a>>,
}

/// A prompt in the cache, from which its sequences are forked, and the logits of their first tokens.
struct Prefilled {
    slot: usize,
    logits: Vec<f32>,
}

impl<'a> Batch<'a> {
    pub(crate) fn new(
        model: &'a Model,
        adapter: Option<&'a Adapter>,
        prompts: &'a [Vec<u32>],
        generations: usize,
        options: &'a GenerateOptions,
    ) -> Self {
        let cache = model.decoder.cache();
        Self {
            model,
            adapter,
            options,
            prompts,
            generations,
            next: (0, 0),
            prefilled: None,
            cache,
            running: Vec::new(),
        }
    }

    /// Draws one token for every running sequence, and lets waiting ones join with their first. Whether there are any.
    pub(crate) fn advance(&mut self) -> Result<bool, GenerateError> {
        self.decode()?;
        self.admit()?;
        Ok(!self.running.is_empty())
    }

    /// The sequences that have drawn a token in the last step, in the order in which they joined.
    pub(crate) fn running(&mut self) -> &mut [Sequence<'a>] {
        &mut self.running
    }

    /// Lets those go that have come to their end.
    pub(crate) fn take_finished(&mut self) -> Vec<Rollout> {
        let finished = self.running.extract_if(.., |sequence| sequence.is_finished());
        let leave = |sequence: Sequence<'_>| {
            self.cache.remove(sequence.slot);
            sequence.into_rollout()
        };
        finished.map(leave).collect()
    }

    /// What there is of those that have not.
    pub(crate) fn into_unfinished(self) -> impl Iterator<Item = Rollout> {
        self.running.into_iter().map(Sequence::into_rollout)
    }

    fn decode(&mut self) -> Result<(), GenerateError> {
        let Self { model, adapter, cache, running, .. } = self;
        for sequences in running.chunks_mut(SKINNY_ROWS_MAX) {
            let position = |sequence: &Sequence<'_>| Ok(cache.len(sequence.slot)? as u32);
            let positions = sequences.iter().map(position).collect::<candle_core::Result<Arc<[u32]>>>()?;
            let rows = Rows { tokens: sequences.iter().map(|sequence| sequence.last).collect(), positions };
            let spans: Vec<Span> = sequences.iter().map(|sequence| Span { slot: sequence.slot, rows: 1 }).collect();
            let hidden = model.decoder.hidden_detached(&rows, Attention::Cached { cache, spans: &spans }, *adapter)?;
            let mut logits = model.decoder.logits(&hidden)?.flatten_all()?.to_vec1::<f32>()?;
            let vocab = logits.len() / sequences.len();
            let each = sequences.par_iter_mut().zip(logits.par_chunks_exact_mut(vocab));
            each.try_for_each(|(sequence, logits)| sequence.advance(logits, model))?;
        }
        Ok(())
    }

    /// Lets waiting sequences in while there is room.
    fn admit(&mut self) -> Result<(), GenerateError> {
        let mut tokens = 0;
        while self.running.len() < self.options.batch_max {
            let (prompt, generation) = self.next;
            let Some(prompt_tokens) = self.prompts.get(prompt) else { return Ok(()) };
            let prefilled = match self.prefilled.take() {
                Some(prefilled) => prefilled,
                None if tokens > 0 && tokens + prompt_tokens.len() > PREFILL_TOKENS_MAX => return Ok(()),
                None => {
                    tokens += prompt_tokens.len();
                    self.prefill(prompt_tokens)?
                }
            };
            let room = self.model.config.positions_max - prompt_tokens.len();
            let new_tokens_max = self.options.max_new_tokens.min(room);
            let slot = self.cache.fork(prefilled.slot, new_tokens_max.min(RESERVED_NEW_TOKENS_MAX))?;
            let mut sequence = Sequence::new(self.next, slot, new_tokens_max, self.model, self.options);
            sequence.advance(&mut prefilled.logits.clone(), self.model)?;
            self.running.push(sequence);
            if generation + 1 < self.generations {
                self.next = (prompt, generation + 1);
                self.prefilled = Some(prefilled);
            } else {
                self.next = (prompt + 1, 0);
                self.cache.remove(prefilled.slot);
            }
        }
        Ok(())
    }

    fn prefill(&mut self, prompt: &[u32]) -> Result<Prefilled, GenerateError> {
        let slot = self.cache.insert(prompt.len());
        let rows = Rows { tokens: prompt.into(), positions: (0..prompt.len() as u32).collect() };
        let spans = [Span { slot, rows: prompt.len() }];
        let decoder = &self.model.decoder;
        let attention = Attention::Cached { cache: &mut self.cache, spans: &spans };
        let hidden = decoder.hidden_detached(&rows, attention, self.adapter)?;
        let last = hidden.narrow(0, prompt.len() - 1, 1)?;
        Ok(Prefilled { slot, logits: decoder.logits(&last)?.flatten_all()?.to_vec1()? })
    }
}
