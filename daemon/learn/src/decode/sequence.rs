use super::{
    Finish, GenerateError, GenerateOptions, Rollout,
    sampler::{Draw, Sampler},
    text_stream::TextStream,
};
use crate::tokenize::Tokenizer;

/// A completion under generation.
pub(crate) struct Sequence<'a> {
    pub(crate) prompt: usize,
    pub(super) generation: usize,
    pub(super) slot: usize,
    /// The last token, which the cache does not hold yet.
    pub(crate) last: u32,
    tokenizer: &'a Tokenizer,
    sampler: Sampler,
    stream: TextStream<'a>,
    logprobs: Vec<f32>,
    new_tokens_left: usize,
    finish: Option<Finish>,
}

impl<'a> Sequence<'a> {
    /// One that is to go on from what is in `slot`, for at most `new_tokens_max` tokens.
    pub(crate) fn new(
        (prompt, generation): (usize, usize),
        slot: usize,
        new_tokens_max: usize,
        tokenizer: &'a Tokenizer,
        options: &'a GenerateOptions,
    ) -> Self {
        Self {
            prompt,
            generation,
            slot,
            last: 0,
            tokenizer,
            sampler: Sampler::new(options, prompt, generation),
            stream: TextStream::new(tokenizer, &options.stop),
            logprobs: Vec::new(),
            new_tokens_left: new_tokens_max,
            finish: None,
        }
    }

    /// Draws the next token from its logits, which are used up.
    pub(crate) fn advance(&mut self, logits: &mut [f32]) -> Result<(), GenerateError> {
        let Draw { token, logprob } = self.sampler.sample(logits)?;
        self.last = token;
        self.logprobs.push(logprob);
        self.new_tokens_left -= 1;
        let stopped = self.stream.push(token)?;
        self.finish = if self.tokenizer.end_tokens().contains(&token) {
            Some(Finish::EndToken)
        } else if stopped {
            Some(Finish::StopText)
        } else if self.new_tokens_left == 0 {
            Some(Finish::Length)
        } else {
            None
        };
        if self.finish.is_some() {
            self.stream.finish()?;
        }
        Ok(())
    }

    /// The text that has come since the last call.
    pub(crate) fn take_piece(&mut self) -> &str {
        self.stream.take_piece()
    }

    pub(crate) fn is_finished(&self) -> bool {
        self.finish.is_some()
    }

    /// What has been drawn; interrupted where it has not come to an end.
    pub(crate) fn into_rollout(self) -> Rollout {
        let (tokens, text) = self.stream.into_parts();
        let Self { prompt, generation, logprobs, finish, .. } = self;
        let finish = finish.unwrap_or(Finish::Interrupted);
        Rollout { prompt, generation, tokens, logprobs, text, finish, activations: None }
    }
}
