//! Everyday questions with short answers, as an assistant in service goes on hearing them beside the new task. A model that
//! sees nothing but tickets soon answers everything with a ticket; later cycles have the replay buffer against that, the
//! first has nothing to replay.

use serde_json::{Value, json};

/// What is dropped into the inbox.
pub(crate) const TRAINING_FILE: &str = "config/examples/demo/data/general.jsonl";

/// The domain of the rows.
const DOMAIN: &str = "general";

// A question and its answer, with places for a thing and what is said of it, and the things. None of the questions is in
// the golden suite.
struct Family {
    question: &'static str,
    answer: &'static str,
    pairs: &'static [(&'static str, &'static str)],
}

const FAMILIES: &[Family] = &[
    Family {
        question: "What is the capital of {thing}?",
        answer: "The capital of {thing} is {said}.",
        pairs: &[
            ("Norway", "Oslo"),
            ("Sweden", "Stockholm"),
            ("Finland", "Helsinki"),
            ("Denmark", "Copenhagen"),
            ("Portugal", "Lisbon"),
            ("Ireland", "Dublin"),
            ("Hungary", "Budapest"),
            ("Canada", "Ottawa"),
            ("Cuba", "Havana"),
            ("Peru", "Lima"),
            ("Kenya", "Nairobi"),
            ("Argentina", "Buenos Aires"),
        ],
    },
    Family {
        question: "What is the opposite of {thing}?",
        answer: "The opposite of {thing} is {said}.",
        pairs: &[
            ("wet", "dry"),
            ("early", "late"),
            ("open", "closed"),
            ("full", "empty"),
            ("loud", "quiet"),
            ("hard", "soft"),
            ("strong", "weak"),
            ("rich", "poor"),
            ("near", "far"),
            ("high", "low"),
        ],
    },
    Family {
        question: "What is {thing}?",
        answer: "{thing} is {said}.",
        pairs: &[
            ("1 + 2", "3"),
            ("2 + 3", "5"),
            ("4 + 4", "8"),
            ("5 + 1", "6"),
            ("6 + 3", "9"),
            ("9 - 4", "5"),
            ("8 - 6", "2"),
        ],
    },
    Family {
        question: "What is the chemical symbol for {thing}?",
        answer: "The chemical symbol for {thing} is {said}.",
        pairs: &[
            ("silver", "Ag"),
            ("iron", "Fe"),
            ("oxygen", "O"),
            ("carbon", "C"),
            ("helium", "He"),
            ("sodium", "Na"),
        ],
    },
    Family {
        question: "On which continent is {thing}?",
        answer: "{thing} is in {said}.",
        pairs: &[
            ("Nigeria", "Africa"),
            ("India", "Asia"),
            ("Chile", "South America"),
            ("Italy", "Europe"),
            ("Mexico", "North America"),
            ("Vietnam", "Asia"),
        ],
    },
    Family {
        question: "Who wrote {thing}?",
        answer: "{thing} was written by {said}.",
        pairs: &[
            ("War and Peace", "Leo Tolstoy"),
            ("Don Quixote", "Miguel de Cervantes"),
            ("Pride and Prejudice", "Jane Austen"),
            ("The Odyssey", "Homer"),
            ("Oliver Twist", "Charles Dickens"),
        ],
    },
    Family {
        question: "In which country is {thing}?",
        answer: "{thing} is in {said}.",
        pairs: &[
            ("the Colosseum", "Italy"),
            ("the Taj Mahal", "India"),
            ("Big Ben", "England"),
            ("Mount Fuji", "Japan"),
            ("the Acropolis", "Greece"),
            ("the Statue of Liberty", "the United States"),
        ],
    },
    Family {
        question: "What language is spoken in {thing}?",
        answer: "The language spoken in {thing} is {said}.",
        pairs: &[
            ("Spain", "Spanish"),
            ("Germany", "German"),
            ("Japan", "Japanese"),
            ("Russia", "Russian"),
            ("Greece", "Greek"),
        ],
    },
    Family {
        question: "What is the color of {thing}?",
        answer: "The color of {thing} is {said}.",
        pairs: &[("grass", "green"), ("snow", "white"), ("coal", "black"), ("a lemon", "yellow"), ("blood", "red")],
    },
    Family {
        question: "What do you call {thing}?",
        answer: "You call {thing} {said}.",
        pairs: &[
            ("a young dog", "a puppy"),
            ("a young cow", "a calf"),
            ("a person who bakes bread", "a baker"),
            ("a person who paints pictures", "a painter"),
            ("a person who flies an airplane", "a pilot"),
        ],
    },
    Family {
        question: "Repeat this sentence: {thing}",
        answer: "{thing}",
        pairs: &[
            ("The sun is warm today.", ""),
            ("We walk along the river.", ""),
            ("My sister reads a book.", ""),
            ("The train leaves at noon.", ""),
        ],
    },
    Family {
        question: "{thing}",
        answer: "{said}",
        pairs: &[
            ("Hello, how are you?", "Hello! I am well, thank you. How can I help you today?"),
            ("Thank you for your help.", "You are welcome! Let me know if there is anything else."),
            ("Good evening!", "Good evening! What can I do for you?"),
            ("Which season comes after winter?", "After winter comes spring."),
            ("Which month comes before July?", "The month before July is June."),
            ("How many sides does a triangle have?", "A triangle has three sides."),
            ("How many legs does a spider have?", "A spider has eight legs."),
            ("What do bees make?", "Bees make honey."),
            ("What is frozen water called?", "Frozen water is called ice."),
            ("What is the largest planet in our solar system?", "The largest planet in our solar system is Jupiter."),
            (
                "Why do leaves fall in autumn?",
                "Trees drop their leaves in autumn to save water and energy for the winter.",
            ),
            ("What is a library?", "A library is a place where people can read and borrow books."),
            ("Write a sentence about the sea.", "The sea was calm, and small waves rolled onto the sand."),
            ("Write a sentence about a cat.", "The cat slept on the warm windowsill all afternoon."),
            (
                "Give me a tip for better sleep.",
                "Go to bed at the same time each day and keep your room dark and quiet.",
            ),
            ("Name three fruits.", "Three fruits are apples, bananas and oranges."),
            ("Name two animals that live in the sea.", "Two animals that live in the sea are dolphins and sharks."),
            ("What does a doctor do?", "A doctor examines people who are ill and helps them to get well."),
            (
                "How do I boil an egg?",
                "Put the egg into boiling water for about eight minutes, then cool it in cold water.",
            ),
        ],
    },
];

/// The rows of the training file.
pub(crate) fn rows() -> Vec<Value> {
    FAMILIES.iter().flat_map(|family| family.pairs.iter().map(|pair| family.row(*pair))).collect()
}

impl Family {
    fn row(&self, (thing, said): (&str, &str)) -> Value {
        let fill = |template: &str| capitalized(&template.replace("{thing}", thing).replace("{said}", said));
        json!({
            "messages": [
                { "role": "user", "content": fill(self.question) },
                { "role": "assistant", "content": fill(self.answer) },
            ],
            "domain": DOMAIN,
        })
    }
}

fn capitalized(sentence: &str) -> String {
    let mut letters = sentence.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs};

    use perennial_tests::repository;

    use super::*;

    #[test]
    fn no_question_comes_twice_or_is_in_the_golden_suite() {
        let suite = fs::read_to_string(repository().join("config/examples/demo/suites/general.jsonl")).unwrap();
        let suite = suite.lines().map(|line| serde_json::from_str(line).unwrap());
        let questions: Vec<String> =
            rows().into_iter().chain(suite).map(|row| row["messages"][0].to_string()).collect();
        assert_eq!(questions.iter().collect::<BTreeSet<_>>().len(), questions.len());
    }
}
