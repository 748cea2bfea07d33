use perennial_learn::train::grpo::Completion;
use serde::Deserialize;

use crate::rewards::runners::Drawn;

/// What was asked for: what an answer is held to.
pub(super) struct Wanted {
    pub(super) completions: usize,
    pub(super) tokens_max: usize,
    pub(super) vocab_size: usize,
}

/// The bytes that a token takes in an answer at most, with its probability and its text.
const TOKEN_BYTES_MAX: u64 = 1024;
/// What an answer takes beside its tokens, in bytes.
const FRAME_BYTES_MAX: u64 = 1 << 20;

/// Rounding may put a log-probability so far above 0.
const LOGPROB_TOLERANCE: f32 = 1e-3;

impl Wanted {
    /// The longest answer, in bytes.
    pub(super) fn bytes_max(&self) -> u64 {
        (self.completions as u64).saturating_mul(self.tokens_max as u64).saturating_mul(TOKEN_BYTES_MAX)
            + FRAME_BYTES_MAX
    }

    /// The completions in an answer of vLLM's `/v1/completions`, or what is wrong with it.
    pub(super) fn read(&self, answer: &[u8]) -> Result<Vec<Drawn>, String> {
        let answer: Answer = serde_json::from_slice(answer).map_err(|error| error.to_string())?;
        let (choices, wanted) = (answer.choices.len(), self.completions);
        if choices != wanted {
            return Err(format!("it was asked for {wanted} completions and gave {choices}"));
        }
        answer.choices.into_iter().map(|choice| self.drawn(choice)).collect()
    }

    fn drawn(&self, choice: Choice) -> Result<Drawn, String> {
        let tokens = choice.token_ids.ok_or("it gives no token_ids: use vLLM 0.10.2 or newer")?;
        if tokens.len() > self.tokens_max {
            return Err(format!("it was asked for {} tokens at most and gave {}", self.tokens_max, tokens.len()));
        }
        if let Some(token) = tokens.iter().find(|token| **token as usize >= self.vocab_size) {
            let vocabulary = self.vocab_size;
            return Err(format!(
                "it gave token {token} of a vocabulary of {vocabulary}: does it run the same base model?"
            ));
        }
        let logprobs = choice.logprobs.map(|logprobs| logprobs.token_logprobs).unwrap_or_default();
        if logprobs.len() != tokens.len() {
            return Err(format!("it gave {} tokens and {} log-probabilities", tokens.len(), logprobs.len()));
        }
        if let Some(wild) =
            logprobs.iter().flatten().find(|logprob| !(logprob.is_finite() && **logprob <= LOGPROB_TOLERANCE))
        {
            return Err(format!("it gave the log-probability {wild}"));
        }
        let logprobs = logprobs.into_iter().map(|logprob| logprob.unwrap_or(f32::NAN)).collect();
        let truncated = choice.finish_reason.as_deref() == Some("length");
        let completion = Completion { tokens, logprobs, truncated, activations: None };
        Ok(Drawn { text: choice.text, completion })
    }
}

#[derive(Deserialize)]
struct Answer {
    choices: Vec<Choice>,
}

#[derive(Deserialize)]
struct Choice {
    text: String,
    token_ids: Option<Vec<u32>>,
    logprobs: Option<Logprobs>,
    finish_reason: Option<String>,
}

#[derive(Deserialize)]
struct Logprobs {
    token_logprobs: Vec<Option<f32>>,
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read(tokens: Value, logprobs: Value) -> Result<Vec<Drawn>, String> {
        let choice = json!({ "text": "a", "token_ids": tokens, "logprobs": { "token_logprobs": logprobs } });
        let wanted = Wanted { completions: 1, tokens_max: 2, vocab_size: 10 };
        wanted.read(json!({ "choices": [choice] }).to_string().as_bytes())
    }

    #[test]
    fn an_answer_is_held_to_what_was_asked() {
        let drawn = read(json!([1, 9]), json!([-0.5, null])).unwrap();
        assert!(drawn[0].completion.logprobs[1].is_nan());
        let refused = |tokens, logprobs| read(tokens, logprobs).err().unwrap();
        assert!(refused(json!([1, 10]), json!([-1, -1])).contains("token 10 of a vocabulary of 10"));
        assert!(refused(json!([1, 2, 3]), json!([-1, -1, -1])).contains("2 tokens at most and gave 3"));
        assert!(refused(json!([1, 2]), json!([-1])).contains("2 tokens and 1 log-probabilities"));
        assert!(refused(json!([1, 2]), json!([-1, 0.5])).contains("log-probability 0.5"));
        assert!(refused(json!([1, 2]), json!([-1, -1e39])).contains("out of range"));
        assert!(refused(json!(null), json!([])).contains("0.10.2"));
        let none = Wanted { completions: 2, tokens_max: 2, vocab_size: 10 }.read(br#"{"choices": []}"#);
        assert!(none.err().unwrap().contains("asked for 2 completions and gave 0"));
    }
}
