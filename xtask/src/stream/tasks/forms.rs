use super::{Own, Side, draw};
use crate::random::Random;

/// What a ticket of the tiny model says → its code. The words are those of its task `tickets`, the answers are others: what was
/// learned there is overwritten unless it is trained on as well.
pub(super) const TASK: Own =
    Own { name: "forms", draw: |training, evaluation| draw("forms", 501, (training, evaluation), make) };

const ITEMS: [&str; 12] = [
    "screen", "keyboard", "mouse", "printer", "phone", "laptop", "cable", "battery", "router", "camera", "speaker",
    "charger",
];
// A fault, and what it becomes.
const FAULTS: [(&str, &str); 8] = [
    ("broken", "zor"),
    ("missing", "fal"),
    ("slow", "quix"),
    ("noisy", "gul"),
    ("stuck", "hesh"),
    ("hot", "yat"),
    ("dirty", "wup"),
    ("lost", "mip"),
];

// {i} item, {f} fault.
const TRAINING: [&str; 5] = [
    "My {i} is {f}, sir",
    "The {i} is {f} again, sir",
    "I have a {f} {i}, sir",
    "{i} {f}, sir",
    "We found the {i} {f}, sir",
];
const EVALUATION: [&str; 2] = ["Hello, my new {i} is {f}, sir", "Again the {i} is {f}, sir"];

fn make(side: Side, random: &mut Random) -> (String, String) {
    let item = ITEMS[random.below(ITEMS.len())];
    let (fault, code) = FAULTS[random.below(FAULTS.len())];
    let template = random.pick(side.of(TRAINING.as_slice(), &EVALUATION)).copied().unwrap_or_default();
    (template.replace("{i}", item).replace("{f}", fault), code.to_owned())
}
