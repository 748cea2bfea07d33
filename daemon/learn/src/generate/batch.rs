use std::{collections::VecDeque, sync::Arc};

use candle_core::{Device, Tensor};
use perennial_kernels::{KvCache, Span, independent_rows_max};
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
/// Each prompt runs through the model once, and its completions share its keys and values. Each step then takes the last
/// token of every running sequence. Passes of several sequences have no more rows than are computed as if each were alone,
/// so what comes of a sequence depends on its own prompt, seed and options, to the bit, and not on what runs beside it.
pub(crate) struct Batch<'a> {
    model: &'a Model,
    adapter: Option<&'a Adapter>,
    options: &'a GenerateOptions,
    prompts: &'a [Vec<u32>],
    /// Completions per prompt.
    generations: usize,
    /// The prompt and the generation of the sequence to join next.
    next: (usize, usize),
    /// The prompts from that of `next` on that the cache holds already.
    prefilled: VecDeque<Prefilled>,
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
            prefilled: VecDeque::new(),
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
        for sequences in running.chunks_mut(independent_rows_max()) {
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
            if self.prefilled.is_empty() {
                let prompts = self.next_prompts();
                let more: usize = prompts.iter().map(Vec::len).sum();
                if more == 0 || (tokens > 0 && tokens + more > PREFILL_TOKENS_MAX) {
                    return Ok(());
                }
                tokens += more;
                self.prefill(prompts)?;
            }
            let Some(Prefilled { slot, logits }) = self.prefilled.front() else { return Ok(()) };
            let room = self.model.config.positions_max - self.prompts[prompt].len();
            let new_tokens_max = self.options.max_new_tokens.min(room);
            let fork = self.cache.fork(*slot, new_tokens_max.min(RESERVED_NEW_TOKENS_MAX))?;
            let mut sequence = Sequence::new(self.next, fork, new_tokens_max, self.model, self.options);
            sequence.advance(&mut logits.clone(), self.model)?;
            self.running.push(sequence);
            self.next = (prompt, generation + 1);
            if generation + 1 == self.generations {
                self.next = (prompt + 1, 0);
                self.cache.remove(*slot);
                self.prefilled.pop_front();
            }
        }
        Ok(())
    }

    /// The prompts that there is room for and that go through one pass together, or a single longer one.
    fn next_prompts(&self) -> &'a [Vec<u32>] {
        let waiting = &self.prompts[self.next.0..];
        let room = (self.options.batch_max - self.running.len()).div_ceil(self.generations);
        let ends = waiting.iter().take(room).scan(0, |rows, prompt| {
            *rows += prompt.len();
            Some(*rows)
        });
        let count = ends.take_while(|rows| *rows <= independent_rows_max()).count();
        &waiting[..count.max(1).min(waiting.len())]
    }

    fn prefill(&mut self, prompts: &[Vec<u32>]) -> Result<(), GenerateError> {
        let (rows, cu_seqlens) = Rows::packed(prompts);
        let span = |prompt: &Vec<u32>| Span { slot: self.cache.insert(prompt.len()), rows: prompt.len() };
        let spans: Vec<Span> = prompts.iter().map(span).collect();
        let attention = Attention::Cached { cache: &mut self.cache, spans: &spans };
        let hidden = self.model.decoder.hidden_detached(&rows, attention, self.adapter)?;
        let last: Vec<u32> = cu_seqlens.iter().skip(1).map(|end| end - 1).collect();
        let hidden = hidden.index_select(&Tensor::from_vec(last, prompts.len(), &Device::Cpu)?, 0)?;
        let logits = self.model.decoder.logits(&hidden)?.to_vec2()?;
        self.prefilled.extend(spans.iter().zip(logits).map(|(span, logits)| Prefilled { slot: span.slot, logits }));
        Ok(())
    }
}
