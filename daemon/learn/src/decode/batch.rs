use std::{collections::VecDeque, sync::Arc};

use perennial_kernels::{KvCache, Span, in_wakeful_pool};
use rayon::prelude::*;

use super::{
    ActivationMemory, GenerateError, GenerateOptions, Rollout, RolloutActivations, activation_store::ActivationStore,
    activations::StoredRow, sequence::Sequence,
};
use crate::{
    adapter::Adapter,
    model::{AdapterWeights, Attention, Decoder, Model, Rows, Workspace},
};

/// Prompt tokens that are taken in between two steps, so that neither those running nor a stop wait for a crowd of long
/// prompts; a longer prompt goes alone.
const PREFILL_TOKENS_MAX: usize = 2048;
/// Tokens to come that a sequence's cache has room for at once; beyond that it grows.
const RESERVED_NEW_TOKENS_MAX: usize = 512;

/// Steps that are worth packing the weights for; results are the same.
const STEPS_TO_PACK_FOR: usize = 64;

/// Completions under generation, several for each prompt: one that finishes leaves, and the next one joins.
///
/// Each prompt runs through the model once, and its completions share its keys and values. Each step then takes the last
/// token of every running sequence. Products compute each row as if it were alone, so what comes of a sequence depends on its
/// own prompt, seed and options, to the bit, and not on what runs beside it.
pub(crate) struct Batch<'a> {
    model: &'a Model,
    /// The model's, packed where that pays.
    decoder: &'a Decoder,
    adapter: Option<AdapterWeights>,
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
    activations: ActivationStore,
    workspace: Workspace,
}

/// A prompt in the cache, from which its sequences are forked, and the logits of their first tokens.
struct Prefilled {
    slot: usize,
    logits: Vec<f32>,
    /// Where activations are kept.
    activations: Option<Arc<[StoredRow]>>,
}

impl<'a> Batch<'a> {
    /// # Errors
    /// Where the adapter cannot be read.
    pub(crate) fn new(
        model: &'a Model,
        adapter: Option<&'a Adapter>,
        prompts: &'a [Vec<u32>],
        generations: usize,
        options: &'a GenerateOptions,
    ) -> Result<Self, GenerateError> {
        let turns = prompts.len().saturating_mul(generations).div_ceil(options.batch_max.max(1));
        let steps = turns.saturating_mul(options.max_new_tokens);
        let packs = steps >= STEPS_TO_PACK_FOR;
        let decoder = if packs { model.decoder.for_few_rows() } else { &model.decoder };
        let adapter = adapter.map(|adapter| adapter.to_weights(decoder)).transpose()?;
        let adapter = if packs { adapter.map(AdapterWeights::for_few_rows) } else { adapter };
        let cache = decoder.cache();
        Ok(Self {
            model,
            decoder,
            adapter,
            options,
            prompts,
            generations,
            next: (0, 0),
            prefilled: VecDeque::new(),
            cache,
            running: Vec::new(),
            activations: ActivationStore::default(),
            workspace: Workspace::default(),
        })
    }

    /// Keeps what a backward pass through the adapter needs of the completions, as far as the memory goes.
    pub(crate) fn keep_activations(&mut self, memory: &ActivationMemory) {
        if let Some(adapter) = &self.adapter {
            self.activations = ActivationStore::new(memory, self.decoder, adapter);
        }
    }

    /// What was kept of a completion, which has ended.
    pub(crate) fn take_activations(&mut self, rollout: &Rollout) -> Option<RolloutActivations> {
        self.activations.take((rollout.prompt, rollout.generation))
    }

    /// Draws one token for every running sequence, and lets waiting ones join with their first. Whether there are any.
    pub(crate) fn advance(&mut self) -> Result<bool, GenerateError> {
        in_wakeful_pool(|| {
            self.decode()?;
            self.admit()?;
            Ok(!self.running.is_empty())
        })
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
        let Self { decoder, adapter, cache, running, activations, workspace, .. } = self;
        if running.is_empty() {
            return Ok(());
        }
        let position = |sequence: &Sequence<'_>| Ok(cache.len(sequence.slot)? as u32);
        let positions = running.iter().map(position).collect::<candle_core::Result<Arc<[u32]>>>()?;
        let rows = Rows { tokens: running.iter().map(|sequence| sequence.last).collect(), positions };
        let spans: Vec<Span> = running.iter().map(|sequence| Span { slot: sequence.slot, rows: 1 }).collect();
        let names = || running.iter().map(|sequence| (sequence.prompt, sequence.generation));
        let is_kept = names().enumerate().filter(|(_, name)| activations.has(*name));
        let mut kept: Vec<_> = is_kept.map(|(row, _)| (row, activations.row(decoder, adapter.as_ref()))).collect();
        let attention = Attention::Cached { cache, spans: &spans };
        let hidden = decoder.hidden_keeping(&rows, attention, adapter.as_ref(), &mut kept, workspace)?;
        let names: Vec<_> = names().collect();
        activations.append(kept.into_iter().map(|(row, kept)| (names[row], kept)));
        let mut logits = decoder.logits(&hidden, workspace);
        let vocab = logits.cols();
        let each = running.par_iter_mut().zip(logits.values_mut().par_chunks_exact_mut(vocab));
        each.try_for_each(|(sequence, logits)| sequence.advance(logits))?;
        workspace.give_matrix(logits);
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
            let Some(Prefilled { slot, logits, activations }) = self.prefilled.front() else { return Ok(()) };
            let room = self.model.config.positions_max - self.prompts[prompt].len();
            let new_tokens_max = self.options.max_new_tokens.min(room);
            let fork = self.cache.fork(*slot, new_tokens_max.min(RESERVED_NEW_TOKENS_MAX))?;
            let mut sequence = Sequence::new(self.next, fork, new_tokens_max, &self.model.tokenizer, self.options);
            sequence.advance(&mut logits.clone())?;
            if let Some(of_prompt) = activations {
                self.activations.join(self.next, of_prompt);
            }
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
        let count = ends.take_while(|rows| *rows <= PREFILL_TOKENS_MAX).count();
        &waiting[..count.max(1).min(waiting.len())]
    }

    fn prefill(&mut self, prompts: &[Vec<u32>]) -> Result<(), GenerateError> {
        let (rows, cu_seqlens) = Rows::packed(prompts);
        let span = |prompt: &Vec<u32>| Span { slot: self.cache.insert(prompt.len()), rows: prompt.len() };
        let spans: Vec<Span> = prompts.iter().map(span).collect();
        let starts = cu_seqlens.iter().map(|start| *start as usize);
        let (first, activations) = (self.next.0, &mut self.activations);
        let has_room = |(at, (start, prompt)): &(usize, (usize, &Vec<u32>))| {
            activations.has_room(first + at, *start, prompt.len())
        };
        let kept_prompts = starts.zip(prompts).enumerate().take_while(has_room).count();
        let kept_rows = 0..cu_seqlens[kept_prompts] as usize;
        let adapter = self.adapter.as_ref();
        let mut kept: Vec<_> = kept_rows.map(|row| (row, self.activations.row(self.decoder, adapter))).collect();
        let attention = Attention::Cached { cache: &mut self.cache, spans: &spans };
        let hidden = self.decoder.hidden_keeping(&rows, attention, adapter, &mut kept, &mut self.workspace)?;
        let last: Vec<u32> = cu_seqlens.iter().skip(1).map(|end| end - 1).collect();
        let logits = self.decoder.logits(&hidden.select(&last), &mut self.workspace);
        let mut kept = kept.into_iter().map(|(_, row)| row);
        for (at, (span, logits)) in spans.iter().zip(logits.rows()).enumerate() {
            let activations = (at < kept_prompts).then(|| self.activations.prompt(kept.by_ref().take(span.rows)));
            self.prefilled.push_back(Prefilled { slot: span.slot, logits: logits.to_vec(), activations });
        }
        Ok(())
    }
}
