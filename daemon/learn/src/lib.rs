//! The learner: one decoder for the Llama family, LoRA adapters, training, generation, scoring and embedding.
//!
//! A batch is *rows*: the tokens of several sequences one after another, without padding. Adapters are arguments, never
//! baked into the weights, so that champion, candidate and reference share one base.
//!
//! - [`model`]: reading a base model (Hugging Face folder or GGUF file) and its decoder.
//! - [`tokenize`]: tokenizer, chat template, and samples as tokens.
//! - [`adapter`]: LoRA adapters in PEFT's files.
//! - [`export`]: adapters in the forms that others load, alone or merged into their base model.
//! - [`train`]: supervised fine-tuning, and learning from rewards, with checkpoints.
//! - [`generate`]: batched generation and scoring.
//! - [`rollout`]: groups of completions per prompt, with their log-probabilities, to learn from.
//! - [`compute`]: what products are computed with.
//! - [`embed`]: sentence vectors for the replay buffer.

pub mod adapter;
pub mod compute;
pub mod embed;
pub mod export;
pub mod generate;
pub mod model;
pub mod rollout;
pub mod tokenize;
pub mod train;

mod decode;
mod guarded;
mod metadata;
mod stop;
