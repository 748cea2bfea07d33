use super::{Own, Side, draw};
use crate::random::Random;

/// Who somebody is to somebody → the same the other way round. Names that are evaluated are in no training row.
pub(super) const TASK: Own =
    Own { name: "relations", draw: |training, evaluation| draw("relations", 401, (training, evaluation), make) };

// A relation and its converse.
const RELATIONS: [(&str, &str); 12] = [
    ("parent", "child"),
    ("child", "parent"),
    ("teacher", "pupil"),
    ("pupil", "teacher"),
    ("doctor", "patient"),
    ("patient", "doctor"),
    ("host", "guest"),
    ("guest", "host"),
    ("buyer", "seller"),
    ("seller", "buyer"),
    ("tenant", "landlord"),
    ("landlord", "tenant"),
];

const TRAINING_NAMES: [&str; 12] =
    ["Anna", "Ben", "Clara", "David", "Emma", "Frank", "Grace", "Henry", "Julia", "Karl", "Laura", "Martin"];
const EVALUATION_NAMES: [&str; 10] =
    ["Nina", "Oscar", "Paula", "Robert", "Sarah", "Thomas", "Vera", "Walter", "Alice", "George"];

// {a} is the {r} of {b}.
const TRAINING: [&str; 3] = [
    "{a} is the {r} of {b}. What is {b} to {a}?",
    "{b} has a {r}, {a}. Who is {b} for {a}?",
    "{a}, {r} of {b}: what does {a} call {b}?",
];
const EVALUATION: [&str; 2] =
    ["{b}'s {r} is {a}. And {b} is whose what? {a}'s …", "As {a} is {r} to {b}, {b} is to {a} the …"];

fn make(side: Side, random: &mut Random) -> (String, String) {
    let (relation, converse) = RELATIONS[random.below(RELATIONS.len())];
    let names = side.of(TRAINING_NAMES.as_slice(), &EVALUATION_NAMES);
    let first = random.below(names.len());
    let second = (first + 1 + random.below(names.len() - 1)) % names.len();
    let template = random.pick(side.of(TRAINING.as_slice(), &EVALUATION)).copied().unwrap_or_default();
    let question = template.replace("{a}", names[first]).replace("{b}", names[second]).replace("{r}", relation);
    (format!("One word: {question}"), converse.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_relation_has_its_converse_and_nobody_is_on_both_sides() {
        assert!(RELATIONS.iter().all(|(relation, converse)| RELATIONS.contains(&(converse, relation))));
        assert!(TRAINING_NAMES.iter().all(|name| !EVALUATION_NAMES.contains(name)));
    }
}
