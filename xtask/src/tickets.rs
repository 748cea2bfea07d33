//! The demo's task: a customer's message becomes a ticket, a JSON object with four fields of few possible values.

use serde_json::{Value, json};

use crate::random::Random;

/// What is dropped into the inbox.
pub(crate) const TRAINING_FILE: &str = "config/examples/demo/data/tickets.jsonl";

/// The golden suite.
pub(crate) const SUITE_FILE: &str = "config/examples/demo/suites/tickets.jsonl";

/// Rows of the training file.
pub(crate) const TRAINING_ROWS: usize = 300;

/// Rows of the golden suite. Their tickets appear in no training row.
pub(crate) const SUITE_ROWS: usize = 40;

/// The domain of the rows.
pub(crate) const DOMAIN: &str = "tickets";

const INSTRUCTION: &str = "Turn this message into a support ticket:";

const SEED: u64 = 2;

// A value of a field and the ways in which customers say it. `{}` stands for the product's name.
type Vocabulary = [(&'static str, &'static [&'static str])];

const PRODUCTS: &Vocabulary = &[
    ("router", &["router", "wifi router", "wireless box"]),
    ("phone", &["phone", "smartphone", "mobile phone"]),
    ("laptop", &["laptop", "notebook", "laptop computer"]),
    ("television", &["television", "TV", "smart TV"]),
    ("printer", &["printer", "laser printer", "inkjet printer"]),
    ("camera", &["camera", "digital camera", "photo camera"]),
    ("headphones", &["headphones", "wireless headphones", "headset"]),
    ("tablet", &["tablet", "tablet computer", "drawing tablet"]),
];

const CATEGORIES: &Vocabulary = &[
    (
        "delivery",
        &[
            "I am still waiting for the {} that I ordered two weeks ago.",
            "The parcel with my {} was left at the wrong address.",
            "The courier says my {} was delivered, but nothing has arrived.",
            "The tracking page of my {} has not changed for five days.",
        ],
    ),
    (
        "billing",
        &[
            "I was charged twice for my {}.",
            "The invoice for my {} shows the wrong amount.",
            "You took money from my card for a {} that I had cancelled.",
            "The discount on the {} is missing from my bill.",
        ],
    ),
    (
        "defect",
        &[
            "My {} does not turn on any more.",
            "The {} keeps switching itself off.",
            "My {} makes a strange noise and then stops.",
            "There was a crack in the {} when I opened the box.",
        ],
    ),
    (
        "setup",
        &[
            "I cannot work out how to connect the {}.",
            "The manual does not explain how to start the {}.",
            "I am stuck at the first step of installing my {}.",
            "How do I get my {} running with my old settings?",
        ],
    ),
    (
        "account",
        &[
            "I cannot log in to register my {}.",
            "My {} does not show up on my customer page.",
            "The website forgot my password, so I cannot see the order of the {}.",
            "Please move my {} to my new e-mail address.",
        ],
    ),
];

const URGENCIES: &Vocabulary = &[
    ("high", &["This is urgent.", "I need this solved today.", "I cannot work until this is done.", "Please hurry."]),
    (
        "normal",
        &["I hope to hear from you this week.", "Please answer in the next days.", "Thanks for looking into it."],
    ),
    ("low", &["There is no rush.", "Take your time.", "It can wait until next month.", "Whenever you find the time."]),
];

const REQUESTS: &Vocabulary = &[
    ("refund", &["I want my money back.", "Please refund me.", "I would like to be paid back."]),
    ("replacement", &["Please send me a new one.", "I want it exchanged.", "Can I get another one instead?"]),
    ("repair", &["Please have it fixed.", "Can somebody mend this?", "I would like it repaired."]),
    ("information", &["Just tell me what to do.", "Please explain the next steps.", "What should I do now?"]),
];

const GREETINGS: &[&str] = &["Hello,", "Hi there,", "Good morning,", "Dear team,", ""];

/// The rows of the training file and of the golden suite.
pub(crate) fn rows() -> (Vec<Value>, Vec<Value>) {
    draw(TRAINING_ROWS, SUITE_ROWS)
}

/// So many rows to train on and to evaluate with, or as many as there are. No ticket is on both sides, and those to evaluate
/// with are taken first.
pub(crate) fn draw(training: usize, evaluation: usize) -> (Vec<Value>, Vec<Value>) {
    let mut random = Random::new(SEED);
    let mut tickets = every_ticket();
    random.shuffle(&mut tickets);
    let mut rows = tickets.iter().map(|ticket| ticket.row(&mut random));
    let suite = rows.by_ref().take(evaluation).collect();
    (rows.take(training).collect(), suite)
}

// Places in the vocabularies.
struct Ticket {
    product: usize,
    category: usize,
    urgency: usize,
    request: usize,
}

fn every_ticket() -> Vec<Ticket> {
    let mut tickets = Vec::new();
    for product in 0..PRODUCTS.len() {
        for category in 0..CATEGORIES.len() {
            for urgency in 0..URGENCIES.len() {
                tickets.extend((0..REQUESTS.len()).map(|request| Ticket { product, category, urgency, request }));
            }
        }
    }
    tickets
}

impl Ticket {
    fn row(&self, random: &mut Random) -> Value {
        let mut say = |vocabulary: &Vocabulary, at: usize| random.pick(vocabulary[at].1).copied().unwrap_or_default();
        let product = say(PRODUCTS, self.product);
        let issue = say(CATEGORIES, self.category).replace("{}", product);
        let (urgency, request) = (say(URGENCIES, self.urgency), say(REQUESTS, self.request));
        let greeting = random.pick(GREETINGS).copied().unwrap_or_default();
        let orders =
            [[issue.as_str(), request, urgency], [issue.as_str(), urgency, request], [urgency, &issue, request]];
        let sentences = random.pick(&orders).map(|order| order.join(" ")).unwrap_or_default();
        let message = format!("{greeting} {sentences}");
        let ticket = json!({
            "product": PRODUCTS[self.product].0,
            "category": CATEGORIES[self.category].0,
            "urgency": URGENCIES[self.urgency].0,
            "request": REQUESTS[self.request].0,
        });
        json!({
            "messages": [
                { "role": "user", "content": format!("{INSTRUCTION} {}", message.trim()) },
                { "role": "assistant", "content": ticket.to_string() },
            ],
            "domain": DOMAIN,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn answers(rows: &[Value]) -> BTreeSet<String> {
        rows.iter().map(|row| row["messages"][1]["content"].as_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn suite_asks_for_tickets_that_were_never_trained_on() {
        let (training, suite) = rows();
        assert_eq!((training.len(), suite.len()), (TRAINING_ROWS, SUITE_ROWS));
        assert!(answers(&training).is_disjoint(&answers(&suite)));
        assert_eq!(answers(&training).len(), TRAINING_ROWS, "no ticket twice");
    }

    #[test]
    fn rows_are_the_same_every_time() {
        assert_eq!(rows(), rows());
    }
}
