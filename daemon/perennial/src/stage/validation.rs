//! Which rows of the mix are validated on instead of trained on.

use std::collections::{BTreeMap, BTreeSet};

use perennial_data::mix::{MixRow, Origin};
use perennial_learn::{
    tokenize::Encoded,
    train::{Validated, ValidationLoss, ValidationUnit},
};
use perennial_types::{Domain, Fingerprint, Fingerprinter, Kind};
use serde_json::{Value, json};

/// Questions that a domain has at least, of one origin, to give one to validation.
const DOMAIN_QUESTIONS_MIN: usize = 10;
/// Rows that make a validation: fewer tell nothing, and all rows are trained on.
const ROWS_MIN: usize = 8;

/// The rows of a mix, each in one of two parts, in their order.
pub(super) struct Divided {
    pub(super) training: Vec<MixRow>,
    pub(super) validation: Vec<MixRow>,
    /// Why there is no validation though one is configured.
    pub(super) note: Option<String>,
}

/// Gives a share of the rows to validation: of each origin and domain those questions whose hash is lowest, which depends
/// neither on the order nor on what else is in the mix, so that a row which is validated on in one cycle is hardly trained on in
/// another. Rows that ask the same stay together. Only rows that are learned from as they are count, not bare prompts.
pub(super) fn divide(rows: Vec<MixRow>, fraction: f64, learned_from: &[Kind]) -> Divided {
    let mut questions: BTreeMap<(Origin, &Domain), BTreeMap<Fingerprint, Fingerprint>> = BTreeMap::new();
    for row in rows.iter().filter(|row| fraction > 0.0 && learned_from.contains(&row.sample.body.kind())) {
        let question = row.sample.body.question_fingerprint();
        questions.entry((row.origin, &row.sample.domain)).or_default().insert(lot(question), question);
    }
    let mut chosen = BTreeSet::new();
    for of_domain in questions.into_values().filter(|questions| questions.len() >= DOMAIN_QUESTIONS_MIN) {
        let share = (fraction * of_domain.len() as f64).round() as usize;
        chosen.extend(of_domain.into_values().take(share.max(1)));
    }
    let is_chosen = |row: &MixRow| chosen.contains(&row.sample.body.question_fingerprint());
    let (validation, training): (Vec<MixRow>, Vec<MixRow>) = rows.into_iter().partition(is_chosen);
    if fraction == 0.0 || validation.len() >= ROWS_MIN {
        return Divided { training, validation, note: None };
    }
    let note = format!(
        "The mix of {} samples is too small for a validation: {} would have been set apart, {ROWS_MIN} is the least. All were \
         trained on.",
        training.len() + validation.len(),
        validation.len()
    );
    // In the order of the mix again.
    Divided { note: Some(note), validation: Vec::new(), training: [training, validation].concat() }
}

/// A lot that has nothing to do with the one by which samples are held out.
fn lot(question: Fingerprint) -> Fingerprint {
    Fingerprinter::new().part(b"perennial validation 1").part(question.as_bytes()).finish()
}

/// A row as the learner validates on it.
pub(super) fn unit(row: &MixRow, sequences: Vec<Encoded>) -> ValidationUnit {
    let (origin, domain) = (row.origin.as_str().to_owned(), row.sample.domain.to_string());
    ValidationUnit { sequences, origin, domain }
}

/// What validation said, as the cycle's record keeps it.
pub(super) fn record(validated: &Validated) -> Value {
    json!({
        "first": validated.first,
        "last": validated.last,
        "best_step": validated.best.0,
        "best": validated.best.1,
        "returned_step": validated.returned_step,
        "stopped_early": validated.stopped_early,
    })
}

/// What validation said, for the report.
pub(super) fn told(rows: usize, steps: u64, validated: &Validated) -> String {
    let Validated { first, last, best, returned_step, stopped_early } = validated;
    let before = first.as_ref().map(|first| format!("{} before, ", losses(first))).unwrap_or_default();
    let mut told =
        format!("validation loss on {rows} samples that were not trained on: {before}{} after", losses(last));
    if *returned_step != steps {
        told += &format!(" step {steps}; the adapter is that of step {returned_step}, with {}", losses(&best.1));
    } else if best.0 != steps {
        told += &format!("; it was least at step {} of {steps}, with {}", best.0, losses(&best.1));
    }
    if *stopped_early {
        told += "; training ended there, for it no longer fell";
    }
    told + "."
}

/// A loss with its parts.
pub(super) fn losses(loss: &ValidationLoss) -> String {
    let parts: Vec<String> = loss.origins.iter().map(|(origin, loss)| format!("{origin} {loss:.3}")).collect();
    format!("{:.3} ({})", loss.balanced, parts.join(", "))
}

#[cfg(test)]
mod tests {
    use perennial_types::{Row, Sample};

    use super::*;

    fn row(question: &str, domain: &str, origin: Origin) -> MixRow {
        let line = json!({"prompt": question, "completion": "c", "domain": domain});
        let sample = Sample::from_row(Row::from_value(line).unwrap(), &Domain::default(), "a.jsonl", 0);
        MixRow { sample, origin }
    }

    fn rows(count: usize, domain: &str, origin: Origin) -> Vec<MixRow> {
        (0..count).map(|n| row(&format!("{domain} {n}"), domain, origin)).collect()
    }

    fn validated(rows: Vec<MixRow>, fraction: f64) -> Vec<String> {
        let mut asked: Vec<String> = divide(rows, fraction, &[Kind::PromptCompletion])
            .validation
            .iter()
            .map(|row| format!("{} {}", row.origin.as_str(), row.sample.body.text()))
            .collect();
        asked.sort();
        asked
    }

    #[test]
    fn every_domain_that_is_large_enough_gives_its_share() {
        let mix = [
            rows(100, "large", Origin::New),
            rows(12, "small", Origin::New),
            rows(9, "tiny", Origin::New),
            rows(40, "old", Origin::Replay),
        ]
        .concat();
        let Divided { training, validation, note } = divide(mix.clone(), 0.1, &[Kind::PromptCompletion]);
        let count = |domain: &str| validation.iter().filter(|row| row.sample.domain.as_str() == domain).count();
        assert_eq!([count("large"), count("small"), count("tiny"), count("old")], [10, 1, 0, 4]);
        assert_eq!((training.len() + validation.len(), note), (mix.len(), None));
        let reversed: Vec<MixRow> = mix.iter().rev().cloned().collect();
        assert_eq!(validated(mix.clone(), 0.1), validated(reversed, 0.1));
        // What else is in the mix makes no difference, and a smaller share is a part of a larger one.
        let alone = validated(rows(100, "large", Origin::New), 0.2);
        assert!(validated(mix, 0.1).iter().filter(|row| row.contains("large")).all(|row| alone.contains(row)));
    }

    #[test]
    fn rows_that_ask_the_same_stay_together() {
        let twins = rows(30, "d", Origin::New).into_iter().flat_map(|row| {
            let asked = row.sample.body.text().to_uppercase().replace('C', "");
            let twin = self::row(&asked, "other", Origin::Replay);
            [row, twin]
        });
        let mix: Vec<MixRow> = twins.collect();
        let Divided { training, validation, .. } = divide(mix, 0.2, &[Kind::PromptCompletion]);
        let questions = |rows: &[MixRow]| -> BTreeSet<Fingerprint> {
            rows.iter().map(|row| row.sample.body.question_fingerprint()).collect()
        };
        assert!(questions(&training).is_disjoint(&questions(&validation)) && validation.len() >= 12);
    }

    #[test]
    fn small_mixes_and_other_kinds_go_without() {
        let Divided { training, validation, note } = divide(rows(60, "d", Origin::New), 0.1, &[Kind::PromptCompletion]);
        assert_eq!((training.len(), validation.len()), (60, 0));
        assert!(note.unwrap().contains("too small for a validation: 6 would"));
        let none = divide(rows(60, "d", Origin::New), 0.0, &[Kind::PromptCompletion]);
        assert_eq!((none.training.len(), none.note), (60, None));
        assert_eq!(divide(rows(600, "d", Origin::New), 0.1, &[Kind::Preference]).validation, []);
    }

    #[test]
    fn what_is_told_names_what_was_before_and_which_step_it_is() {
        let loss = |balanced: f64| ValidationLoss { loss: 1.0, balanced, origins: [("new".to_owned(), 2.0)].into() };
        let validated = Validated {
            first: Some(loss(3.0)),
            last: loss(2.5),
            best: (8, loss(2.0)),
            returned_step: 8,
            stopped_early: true,
        };
        assert_eq!(
            told(12, 10, &validated),
            "validation loss on 12 samples that were not trained on: 3.000 (new 2.000) before, 2.500 (new 2.000) after step \
             10; the adapter is that of step 8, with 2.000 (new 2.000); training ended there, for it no longer fell."
        );
    }
}
