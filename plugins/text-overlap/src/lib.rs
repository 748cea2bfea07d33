//! Reward plugin: how much of the reference's wording the answer shares. See the README.

mod bleu;
mod rouge;
mod tokens;

use perennial_reward_sdk::{
    export,
    prelude::*,
    text::{Extract, counts, f1, overlap, squad_tokens},
};

/// What of the overlap is rewarded.
#[derive(Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum Metric {
    /// The words that both share, in any order, as SQuAD counts them: for short answers.
    #[default]
    TokenF1,
    /// The longest sequence of words that both share: for summaries.
    RougeL,
    /// The runs of up to four words that both share: for translations.
    Bleu,
}

/// The keys of the configuration.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where in the completion the answer is.
    extract: Extract,
    /// What of the overlap is rewarded; all three are told as parts.
    metric: Metric,
    /// The field of the row's metadata that lists further right answers: a text or an array of texts. The one that the
    /// completion comes closest to counts.
    alternatives: Option<String>,
}

/// Rewards the overlap with the reference.
pub struct TextOverlap(Config);

/// How much a completion shares with one reference.
#[derive(Clone, Copy, Debug, Default)]
struct Overlap {
    token_f1: f64,
    rouge_l: f64,
    bleu: f64,
}

impl Reward for TextOverlap {
    type Config = Config;

    fn describe() -> Descriptor {
        let help = "How much of the reference's wording the answer shares.";
        Descriptor::new("text-overlap", env!("CARGO_PKG_VERSION"), help)
            .part("token_f1", 0.0..=1.0, "F1 over words, as SQuAD counts them")
            .part("rouge_l", 0.0..=1.0, "ROUGE-L, F-measure")
            .part("bleu", 0.0..=1.0, "BLEU of the sentence, as sacrebleu computes it")
    }

    fn new(config: Config) -> Result<Self, Fault> {
        Ok(Self(config))
    }

    fn score(&self, task: &Task, completion: &str) -> Result<Verdict, Fault> {
        let references = task.right_answers(self.0.alternatives.as_deref())?;
        let references = references.iter().filter(|reference| !reference.trim().is_empty());
        let answer = self.0.extract.find(completion).unwrap_or_default();
        let overlaps = references.map(|reference| Overlap::of(answer, reference));
        let best = overlaps.max_by(|a, b| self.rewarded(a).total_cmp(&self.rewarded(b)));
        let Some(best) = best else { return Ok(Verdict::abstain("the row has no reference")) };
        let verdict = Verdict::scored(self.rewarded(&best))
            .part("token_f1", best.token_f1)
            .part("rouge_l", best.rouge_l)
            .part("bleu", best.bleu);
        Ok(if answer.is_empty() { verdict.reason(self.0.extract.missing()) } else { verdict })
    }
}

impl TextOverlap {
    fn rewarded(&self, overlap: &Overlap) -> f64 {
        match self.0.metric {
            Metric::TokenF1 => overlap.token_f1,
            Metric::RougeL => overlap.rouge_l,
            Metric::Bleu => overlap.bleu,
        }
    }
}

impl Overlap {
    fn of(answer: &str, reference: &str) -> Self {
        Self {
            token_f1: token_f1(answer, reference),
            rouge_l: rouge::rouge_l(answer, reference),
            bleu: bleu::bleu(answer, reference),
        }
    }
}

fn token_f1(answer: &str, reference: &str) -> f64 {
    let (answer, reference) = (squad_tokens(answer), squad_tokens(reference));
    if answer.is_empty() || reference.is_empty() {
        return f64::from(u8::from(answer == reference));
    }
    f1(overlap(&counts(&answer, 1), &counts(&reference, 1)), answer.len(), reference.len())
}

export!(TextOverlap);

#[cfg(test)]
mod tests {
    use perennial_reward_sdk::testing::{self, CaseError};
    use proptest::prelude::*;

    use super::*;

    #[derive(Deserialize)]
    struct Golden {
        completion: String,
        reference: String,
        token_f1: f64,
        rouge_l: f64,
        bleu: f64,
    }

    #[test]
    fn agrees_with_the_reference_implementations() {
        let goldens: Vec<Golden> =
            perennial_reward_sdk::serde_json::from_str(include_str!("../goldens/goldens.json")).unwrap();
        assert!(goldens.len() > 50);
        for Golden { completion, reference, token_f1, rouge_l, bleu } in goldens {
            let found = Overlap::of(&completion, &reference);
            let pair = format!("{completion:?} against {reference:?}: {found:?}");
            // torchmetrics computes in f32.
            assert!((found.token_f1 - token_f1).abs() < 1e-5, "token_f1 {token_f1}, {pair}");
            assert!((found.rouge_l - rouge_l).abs() < 1e-12, "rouge_l {rouge_l}, {pair}");
            assert!((found.bleu - bleu).abs() < 1e-12, "bleu {bleu}, {pair}");
        }
    }

    #[test]
    fn cases() -> Result<(), CaseError> {
        testing::run_cases::<TextOverlap>("cases").map(drop)
    }

    proptest! {
        #[test]
        fn the_same_text_overlaps_wholly(text in "[a-z,. ]{0,40}[b-z]") {
            let overlap = Overlap::of(&text, &text);
            prop_assert_eq!((overlap.token_f1, overlap.rouge_l), (1.0, 1.0));
            prop_assert!((overlap.bleu - 1.0).abs() < 1e-12);
        }

        #[test]
        fn all_overlaps_are_shares(answer in ".{0,30}", reference in ".{0,30}") {
            let Overlap { token_f1, rouge_l, bleu } = Overlap::of(&answer, &reference);
            prop_assert!([token_f1, rouge_l, bleu].iter().all(|share| (0.0..=1.0).contains(share)));
        }
    }
}
