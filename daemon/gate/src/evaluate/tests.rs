use super::*;
use crate::{Metric, RewardScale, SuiteOptions, parse_golden};

/// Answers every question with its own text, and knows each body at 2 nats a token.
struct Echo {
    lost: usize,
}

impl Judge for Echo {
    fn answer(&mut self, items: &[&Item], tokens_max: usize) -> Result<Vec<Judged<Answer>>, JudgeError> {
        let answer = |item: &&Item| match item.question.text() {
            text if text == "secret" => Err(Unjudged::lasting("the template refuses it")),
            text => Ok(Answer { cut: text.len() > tokens_max, text }),
        };
        Ok(items.iter().skip(self.lost).map(answer).collect())
    }

    fn negative_log_likelihood(&mut self, items: &[&Item]) -> Result<Vec<Judged<Likelihood>>, JudgeError> {
        let tokens = |item: &&Item| item.body.text().len().saturating_sub(3);
        Ok(items.iter().map(|b| Ok(Likelihood { nll_sum: 2.0 * tokens(b) as f64, tokens: tokens(b) })).collect())
    }

    /// Rewards length, and knows nothing of short answers.
    fn rewards(&mut self, plugin: &str, answered: &[(&Item, &str)]) -> Result<Vec<Judged<f64>>, JudgeError> {
        assert_eq!(plugin, "length");
        let verdict = |(_, answer): &(&Item, &str)| match answer.len() {
            1 => Err(Unjudged { reason: "too slow".to_owned(), passing: true }),
            len => Ok(len as f64),
        };
        Ok(answered.iter().map(verdict).collect())
    }
}

fn evaluate(suite: &Suite, judge: &mut dyn Judge) -> Result<SuiteScores, EvaluateError> {
    let items = evaluate_items(suite, &suite.items.iter().collect::<Vec<_>>(), judge)?;
    Ok(SuiteScores { suite: suite.name.clone(), fingerprint: suite.fingerprint(), items })
}

fn suite(metric: Metric) -> Suite {
    let text = r#"{"prompt": "a", "completion": "a"}
        {"prompt": "long", "completion": "b"}"#;
    let options = SuiteOptions { metric: Some(metric), ..SuiteOptions::new("s") };
    parse_golden(text, "test", options).unwrap()
}

#[test]
fn answers_are_scored_against_their_own_reference() {
    let scores = evaluate(&suite(Metric::ExactMatch), &mut Echo { lost: 0 }).unwrap();
    assert_eq!(scores.items.iter().map(|item| item.score).collect::<Vec<_>>(), [Some(1.0), Some(0.0)]);
    assert_eq!(scores.items[1].answer.as_deref(), Some("long"));
}

#[test]
fn likelihoods_are_per_token_and_bodies_without_tokens_are_not_scored() {
    let scores = evaluate(&suite(Metric::Perplexity), &mut Echo { lost: 0 }).unwrap();
    assert_eq!(scores.items.iter().map(|item| item.score).collect::<Vec<_>>(), [None, Some(-2.0)]);
    assert_eq!(scores.items.iter().map(|item| item.tokens).collect::<Vec<_>>(), [None, Some(3)]);
}

#[test]
fn plugins_score_answers_or_abstain() {
    let fingerprint = Fingerprint::of(b"length");
    let reward = RewardScale { plugin: "length".into(), fingerprint, min: 0.0, max: 9.0 };
    let options = SuiteOptions { metric: Some(Metric::Reward), reward: Some(reward), ..SuiteOptions::new("s") };
    let rows = ["a", "secret", "long"].map(|prompt| format!("{{\"prompt\": \"{prompt}\"}}")).join("\n");
    let suite = parse_golden(&rows, "test", options).unwrap();
    let scores = evaluate(&suite, &mut Echo { lost: 0 }).unwrap();
    assert_eq!(scores.items.iter().map(|item| item.score).collect::<Vec<_>>(), [None, None, Some(4.0)]);
    let passing = |at: usize| scores.items[at].unjudged.as_ref().map(|unjudged| unjudged.passing);
    assert_eq!([passing(0), passing(1), passing(2)], [Some(true), Some(false), None]);
    assert_eq!(scores.items[1].answer, None);
}

#[test]
fn an_item_that_cannot_be_asked_is_left_out_alone_and_cut_answers_are_marked() {
    let rows = ["secret", "seven", "six"].map(|q| format!("{{\"prompt\": \"{q}\", \"completion\": \"{q}\"}}"));
    let options = SuiteOptions { max_new_tokens: 4, ..SuiteOptions::new("s") };
    let suite = parse_golden(&rows.join("\n"), "test", options).unwrap();
    let scores = evaluate(&suite, &mut Echo { lost: 0 }).unwrap();
    assert_eq!(scores.items.iter().map(|item| item.score).collect::<Vec<_>>(), [None, Some(1.0), Some(1.0)]);
    assert_eq!(scores.items.iter().map(|item| item.cut).collect::<Vec<_>>(), [false, true, false]);
    let some = evaluate_items(&suite, &[&suite.items[2]], &mut Echo { lost: 0 }).unwrap();
    assert_eq!(some, [scores.items[2].clone()]);
}

#[test]
fn a_lost_answer_is_an_error() {
    let error = evaluate(&suite(Metric::ExactMatch), &mut Echo { lost: 1 }).unwrap_err();
    assert_eq!(error.to_string(), "suite s: 2 items went in, 1 answers came back");
}
