//! The tasks of the project's own making, a file each. The next one is a file with its [`Own`] and a line in [`OWN`]. What is
//! evaluated is said in other words than what is trained on: a task has its templates for each side.

mod codes;
mod dates;
mod forms;
mod relations;
mod tickets;
mod units;

use std::collections::BTreeSet;

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use crate::random::Random;

/// All of them, in the order of the first stream.
pub(super) const OWN: [&Own; 5] = [&tickets::TASK, &dates::TASK, &codes::TASK, &units::TASK, &relations::TASK];

/// A task that the tiny test model can learn, beside those that it has in its files.
pub(super) const FORMS: &Own = &forms::TASK;

/// Rows that are drawn, for each one that is wanted, before a task is found to have too few.
const TRIES_PER_ROW: usize = 1000;

/// A task that is drawn from a generator.
pub(super) struct Own {
    /// Its name, and the domain of its rows.
    pub(super) name: &'static str,
    /// Draws the rows to train on and to evaluate with, as many as are asked for or as there are.
    pub(super) draw: fn(training: usize, evaluation: usize) -> (Vec<Value>, Vec<Value>),
}

impl Own {
    /// So many rows to train on and to evaluate with; always the same.
    ///
    /// # Errors
    /// Where the task does not have so many.
    pub(super) fn rows(&self, training: usize, evaluation: usize) -> Result<(Vec<Value>, Vec<Value>)> {
        let (train, eval) = (self.draw)(training, evaluation);
        ensure!(
            train.len() == training && eval.len() == evaluation,
            "the task {} has no more than {} rows to train on and {} to evaluate with: lower --rows or --items",
            self.name,
            train.len(),
            eval.len()
        );
        Ok((train, eval))
    }
}

/// Which side a row is of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Training,
    Evaluation,
}

impl Side {
    /// What belongs to it.
    fn of<'a, T: ?Sized>(self, training: &'a T, evaluation: &'a T) -> &'a T {
        match self {
            Self::Training => training,
            Self::Evaluation => evaluation,
        }
    }
}

/// Draws rows for both sides, no question twice. Each side has a sequence of its own, so that more rows on one side change
/// nothing on the other, and fewer rows are the first of more.
fn draw(
    name: &str,
    seed: u64,
    (training, evaluation): (usize, usize),
    make: impl Fn(Side, &mut Random) -> (String, String),
) -> (Vec<Value>, Vec<Value>) {
    let mut asked = BTreeSet::new();
    let mut side = |side: Side, count: usize, seed: u64| {
        let mut random = Random::new(seed);
        let mut rows = Vec::with_capacity(count);
        for _ in 0..count.saturating_mul(TRIES_PER_ROW) {
            if rows.len() == count {
                break;
            }
            let (question, answer) = make(side, &mut random);
            if asked.insert(question.clone()) {
                rows.push(row(name, &question, &answer));
            }
        }
        rows
    };
    let evaluation = side(Side::Evaluation, evaluation, seed);
    (side(Side::Training, training, seed + 1), evaluation)
}

fn row(domain: &str, question: &str, answer: &str) -> Value {
    let messages = [("user", question), ("assistant", answer)];
    let messages = messages.map(|(role, content)| json!({ "role": role, "content": content }));
    json!({ "messages": messages, "domain": domain })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn questions(rows: &[Value]) -> BTreeSet<String> {
        rows.iter().map(|row| row["messages"][0]["content"].as_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn every_task_asks_each_question_once_on_one_side_and_always_the_same() {
        for task in OWN.into_iter().chain([FORMS]) {
            let (train, eval) = task.rows(200, 40).unwrap();
            let (asked, evaluated) = (questions(&train), questions(&eval));
            assert_eq!((asked.len(), evaluated.len()), (200, 40), "{}", task.name);
            assert!(asked.is_disjoint(&evaluated), "{}", task.name);
            assert_eq!(task.rows(200, 40).unwrap(), (train.clone(), eval.clone()), "{}", task.name);
            assert!(train.iter().chain(&eval).all(|row| row["domain"] == task.name));
            let few = task.rows(20, 40).unwrap();
            assert_eq!(few, (train[..20].to_vec(), eval), "{}: fewer rows are the first of more", task.name);
        }
    }

    #[test]
    fn a_task_that_has_too_few_rows_says_so() {
        let few = Own {
            name: "few",
            draw: |training, evaluation| draw("few", 1, (training, evaluation), |_, _| ("?".into(), "!".into())),
        };
        let error = few.rows(2, 1).unwrap_err().to_string();
        assert_eq!(
            error,
            "the task few has no more than 0 rows to train on and 1 to evaluate with: lower --rows or --items"
        );
    }
}
