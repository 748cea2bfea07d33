use perennial_types::{Body, Content, Message, Prompt, Role, Sample, TemplateInputs};
use serde_json::{Map, Value};

use crate::{Item, Metric, Suite, SuiteError, SuiteOptions};

/// The suite of a domain's held-out samples. Samples without one right answer (preferences, and bare prompts unless a
/// reward plugin judges) are left out.
/// Where there are more than [`SuiteOptions::items_max`], the first are kept: whoever draws brings them in the order of the draw.
///
/// Without a configured metric, it is chosen from the references: plain text → perplexity; JSON objects →
/// `json_field_f1`; a median over 32 words → perplexity; single words → `exact_match`; else `token_f1`.
///
/// # Errors
/// As [`Suite::new`]; [`SuiteError::Empty`] where no sample has a right answer.
pub fn auto_suite(options: SuiteOptions, samples: &[Sample]) -> Result<Suite, SuiteError> {
    let items = samples
        .iter()
        .filter_map(|sample| {
            let Sample { id, body, reference, metadata, .. } = sample;
            item(id.to_string(), body, reference.as_deref(), metadata.clone(), options.metric)
        })
        .collect();
    Suite::new(options, items)
}

/// What a body asks, where it has one right answer or a plugin judges; a reference beside the body overrides the answer in
/// it.
pub(crate) fn item(
    id: String,
    body: &Body,
    reference: Option<&str>,
    metadata: Map<String, Value>,
    metric: Option<Metric>,
) -> Option<Item> {
    let (question, reference, body) = match (body, reference) {
        (Body::Text { text }, _) => (Content::Text(String::new()).into(), text.clone(), body.clone()),
        (Body::PromptOnly { prompt, inputs }, Some(reference)) => {
            (asked(prompt, inputs), reference.to_owned(), answered(prompt, inputs, reference))
        }
        (Body::PromptOnly { prompt, inputs }, None) if metric == Some(Metric::Reward) => {
            (asked(prompt, inputs), String::new(), body.clone())
        }
        _ => {
            let (question, answer) = body.question_and_answer()?;
            (question, reference.map_or(answer, str::to_owned), body.clone())
        }
    };
    Some(Item { id, question, reference, body, metadata })
}

fn asked(prompt: &Content, inputs: &TemplateInputs) -> Prompt {
    Prompt { content: prompt.clone(), inputs: inputs.clone() }
}

fn answered(prompt: &Content, inputs: &TemplateInputs, reference: &str) -> Body {
    let completion = match prompt {
        Content::Text(_) => Content::Text(reference.to_owned()),
        Content::Messages(_) => Content::Messages(vec![Message::new(Role::Assistant, reference)]),
    };
    Body::PromptCompletion { prompt: prompt.clone(), completion, inputs: inputs.clone() }
}

#[cfg(test)]
mod tests {
    use perennial_types::{Domain, Row};
    use rstest::rstest;

    use super::*;

    fn samples(rows: &[String]) -> Vec<Sample> {
        rows.iter().map(|row| Sample::from_row(Row::parse(row).unwrap(), &Domain::default(), "test", 0)).collect()
    }

    fn answers(references: &[&str]) -> Vec<Sample> {
        let row = |(at, answer)| serde_json::json!({"prompt": format!("q{at}"), "completion": answer}).to_string();
        samples(&references.iter().enumerate().map(row).collect::<Vec<_>>())
    }

    #[rstest]
    #[case(&["{\"a\": 1}", "{}"], Metric::JsonFieldF1)]
    #[case(&["{\"a\": 1}", "none"], Metric::TokenF1)]
    #[case(&["yes", "no"], Metric::ExactMatch)]
    #[case(&["yes", "not at all"], Metric::TokenF1)]
    fn metric_follows_the_references(#[case] references: &[&str], #[case] expected: Metric) {
        assert_eq!(auto_suite(SuiteOptions::new("s"), &answers(references)).unwrap().metric, expected);
    }

    #[test]
    fn long_answers_and_plain_text_are_judged_by_likelihood() {
        let long = "word ".repeat(33);
        let suite = auto_suite(SuiteOptions::new("s"), &answers(&[&long, &long, "short"])).unwrap();
        assert_eq!(suite.metric, Metric::Perplexity);
        let text = samples(&[r#"{"text": "t"}"#.to_owned()]);
        assert_eq!(auto_suite(SuiteOptions::new("s"), &text).unwrap().metric, Metric::Perplexity);
        let options = SuiteOptions { metric: Some(Metric::TokenF1), ..SuiteOptions::new("s") };
        let suite = auto_suite(options, &text).unwrap();
        assert_eq!((suite.items.len(), suite.left_out.len()), (0, 1));
        assert_eq!(
            suite.left_out[0].reason,
            "it is plain text without a question, which only perplexity can score, not token_f1"
        );
    }

    #[test]
    fn the_first_that_can_be_asked_are_kept() {
        let options = SuiteOptions { items_max: 2, ..SuiteOptions::new("s") };
        let mut samples = answers(&["a", "b", "c"]);
        samples.reverse();
        let suite = auto_suite(options, &samples).unwrap();
        let kept: Vec<&str> = suite.items.iter().map(|item| item.reference.as_str()).collect();
        assert_eq!(kept, ["c", "b"]);
    }

    #[test]
    fn reference_overrides_the_answer_and_makes_a_prompt_an_item() {
        let rows = [
            r#"{"prompt": "2+2", "completion": "Two and two is 4", "reference": 4}"#,
            r#"{"messages": [{"role": "user", "content": "3+3"}], "reference": "6"}"#,
            r#"{"prompt": "p", "chosen": "c", "rejected": "r"}"#,
            r#"{"prompt": "no answer"}"#,
        ];
        let suite = auto_suite(SuiteOptions::new("s"), &samples(&rows.map(str::to_owned))).unwrap();
        let mut asked: Vec<_> =
            suite.items.iter().map(|item| (item.question.text(), item.reference.as_str())).collect();
        asked.sort();
        assert_eq!(asked, [("2+2".to_owned(), "4"), ("3+3".to_owned(), "6")]);
        assert!(suite.items.iter().all(|item| item.body.kind().is_supervised()));
    }
}
