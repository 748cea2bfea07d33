use crate::decode::{ActivationMemory, GenerateError, GenerateOptions};

/// How rollouts are drawn. Names and defaults are those of TRL's `GRPOConfig`, where it has them.
#[derive(Clone, Debug)]
pub struct RolloutOptions {
    /// Completions per prompt: the size of a group.
    pub num_generations: usize,
    /// Tokens after which a completion is truncated.
    pub max_completion_tokens: usize,
    /// Divides the logits; above 0.
    pub temperature: f32,
    /// Draws from the most likely tokens that make up this probability; 1 draws from all.
    pub top_p: f32,
    /// Draws from this many of the most likely tokens; 0 draws from all.
    pub top_k: usize,
    /// Draws from the tokens that are at least this many times as likely as the likeliest; 0 draws from all.
    pub min_p: f32,
    /// Texts that end a completion: its tokens go up to the one that completes such a text, its text to before it.
    pub stop: Vec<String>,
    /// With the indices of prompt and generation, the seed of a completion.
    pub seed: u64,
    /// Completions that run at the same time: more of them are faster, until the processor is busy, and take more memory.
    pub batch_max: usize,
    /// Memory for what training need not compute again ([`Rollout::activations`](super::Rollout::activations)). It goes to the
    /// first rollouts, in the order of prompts and generations, for as many as it lasts. Default: none. Without an adapter,
    /// nothing is kept.
    pub activation_memory: ActivationMemory,
}

impl Default for RolloutOptions {
    fn default() -> Self {
        Self {
            num_generations: 8,
            max_completion_tokens: 512,
            temperature: 1.0,
            top_p: 1.0,
            top_k: 0,
            min_p: 0.0,
            stop: Vec::new(),
            seed: 0,
            batch_max: 32,
            activation_memory: ActivationMemory::default(),
        }
    }
}

impl RolloutOptions {
    /// Checks every value.
    ///
    /// # Errors
    /// [`GenerateError::Option`], which names the first that makes no sense.
    pub fn check(&self) -> Result<(), GenerateError> {
        let problem = |option, problem| Err(GenerateError::Option { option, problem });
        if self.num_generations == 0 {
            return problem("num_generations", "must be at least 1");
        }
        if self.max_completion_tokens == 0 {
            return problem("max_completion_tokens", "must be at least 1");
        }
        if self.temperature == 0.0 {
            return problem("temperature", "must be above 0: without chance, all completions of a prompt are the same");
        }
        self.generate_options().check()
    }

    pub(super) fn generate_options(&self) -> GenerateOptions {
        GenerateOptions {
            max_new_tokens: self.max_completion_tokens,
            temperature: self.temperature,
            top_p: self.top_p,
            top_k: self.top_k,
            min_p: self.min_p,
            seed: self.seed,
            stop: self.stop.clone(),
            batch_max: self.batch_max,
        }
    }
}
