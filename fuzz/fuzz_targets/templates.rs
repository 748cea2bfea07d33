//! A chat template and a row that it renders: the template up to the first 0 byte, then the row.
#![no_main]

use libfuzzer_sys::fuzz_target;
use perennial_learn::tokenize::{ChatTemplate, SpecialTokens};
use perennial_types::{Body, Message, Role, Row};

fuzz_target!(|text: &str| {
    let (template, row) = text.split_once('\0').unwrap_or((text, ""));
    let template = ChatTemplate::new(Some(template), &SpecialTokens::default());
    let messages = match Row::parse(row).map(|row| row.body) {
        Ok(Body::Messages { messages, .. }) => messages,
        _ => vec![Message::new(Role::System, "s"), Message::new(Role::User, "u"), Message::new(Role::Assistant, "a")],
    };
    let _ = template.render(&messages, None, true);
});
