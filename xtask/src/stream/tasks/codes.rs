use super::{Own, Side, draw};
use crate::random::Random;

/// A note about a house → the code of the desk that it goes to. The codes say nothing by themselves: they are learned by heart.
pub(super) const TASK: Own =
    Own { name: "codes", draw: |training, evaluation| draw("codes", 201, (training, evaluation), make) };

// A code, and how its notes are said: to train on, and to evaluate with.
const DESKS: [(&str, [&str; 3], [&str; 2]); 8] = [
    (
        "K4",
        ["water drips in {}", "the tap in {} leaks", "{} is flooded"],
        ["a pipe burst in {}", "water runs down the wall of {}"],
    ),
    (
        "R7",
        ["the lamp in {} is dark", "there is no power in {}", "the switch in {} sparks"],
        ["the lights in {} went out", "a socket in {} smells burnt"],
    ),
    (
        "B2",
        ["{} is cold", "the radiator in {} stays cold", "no heat comes into {}"],
        ["we freeze in {}", "the heating in {} does not start"],
    ),
    (
        "M9",
        ["the lock of {} is stuck", "the key of {} is lost", "the door of {} does not close"],
        ["we are shut out of {}", "the key broke in the door of {}"],
    ),
    (
        "T1",
        ["mice run through {}", "there are ants in {}", "moths fly about {}"],
        ["a rat was seen in {}", "beetles crawl over {}"],
    ),
    (
        "D5",
        ["a window of {} is broken", "the glass in {} has a crack", "a pane of {} fell out"],
        ["somebody broke the window of {}", "there is a hole in the glass of {}"],
    ),
    (
        "P3",
        ["it is loud above {}", "music keeps us awake in {}", "they shout beside {}"],
        ["a dog barks all night near {}", "the noise in {} does not end"],
    ),
    (
        "G8",
        ["paint comes off in {}", "the wall of {} is dirty", "{} needs a new coat"],
        ["the ceiling of {} has stains", "the colour in {} is fading"],
    ),
];

const PLACES: [&str; 12] = [
    "the kitchen",
    "the hall",
    "the cellar",
    "the attic",
    "the bathroom",
    "the office",
    "the garage",
    "room one",
    "room two",
    "room three",
    "the workshop",
    "the stairwell",
];
const OPENINGS: [&str; 5] = ["Note", "Message", "From a tenant", "By telephone", "Reported today"];

fn make(side: Side, random: &mut Random) -> (String, String) {
    let (code, training, evaluation) = &DESKS[random.below(DESKS.len())];
    let said = random.pick(side.of(training.as_slice(), evaluation)).copied().unwrap_or_default();
    let note = said.replace("{}", PLACES[random.below(PLACES.len())]);
    let opening = OPENINGS[random.below(OPENINGS.len())];
    (format!("Which desk? {opening}: {note}."), (*code).to_owned())
}
