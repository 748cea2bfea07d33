//! Where turns end in GGUF files, whose converters seldom write the key for it.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "clippy takes the helpers of a test file for no tests"
)]

mod common;

use common::gguf::{GgufFile, small, small_with, text, u32_value};
use perennial_learn::{compute::Precision, model::Model};
use perennial_types::{Message, Role};
use serde_json::json;

fn load(file: &GgufFile) -> Model {
    Model::read_gguf(&file.bytes(), Precision::F32).unwrap_or_else(|error| panic!("{error}"))
}

fn ends(file: &GgufFile) -> Vec<String> {
    load(file).tokenizer.ends().iter().map(ToString::to_string).collect()
}

#[test]
fn well_known_ends_of_turns_count_as_in_llama_cpp() {
    let (eos, turn) = ("the eos token, a well-known end of turns", "closes the chat template's assistant turns");
    let im_end = format!("<|im_end|> (a well-known end of turns, {turn})");
    assert_eq!(ends(&small()), [format!("<|endoftext|> ({eos})"), im_end]);
    let bare = small().with("tokenizer.chat_template", None);
    assert_eq!(ends(&bare)[1], "<|im_end|> (a well-known end of turns)");
    let named = bare.with("tokenizer.ggml.eot_token_id", Some(u32_value(258)));
    assert_eq!(ends(&named)[1], "<|im_start|> (eot_token_id)");

    // A special token that is no end of itself is one where the template closes turns with it.
    let own = small_with(["<|endoftext|>", "<|user|>", "<|over|>"]);
    assert_eq!(ends(&own).len(), 1);
    let template = "{% for m in messages %}{{ m.content }}<|over|>\n{% endfor %}";
    let own = own.with("tokenizer.chat_template", Some(text(template)));
    assert_eq!(ends(&own)[1], format!("<|over|> ({turn})"));
}

#[test]
fn what_ends_a_message_among_several_ends_no_turn() {
    let bare = |special| small_with(special).with("tokenizer.chat_template", None);
    assert_eq!(load(&bare(["<|endoftext|>", "<|end|>", "<|return|>"])).tokenizer.end_tokens(), [257, 258, 259]);
    let harmony = load(&bare(["<|return|>", "<|end|>", "<|call|>"]));
    assert_eq!(harmony.tokenizer.end_tokens(), [257, 259]);
}

#[test]
fn conversations_with_tools_have_a_template_of_their_own() {
    let source = "tools: {{ messages[0].content }}";
    let model = load(&small().with("tokenizer.chat_template.tool_use", Some(text(source))));
    let turns = [Message::new(Role::User, "q")];
    let tools = json!([{ "type": "function", "function": { "name": "f" } }]);
    assert_eq!(model.template.render(&turns, Some(&tools), false).unwrap(), "tools: q");
    assert!(model.template.render(&turns, None, false).unwrap().starts_with("<|im_start|>user"));

    let folder = tempfile::tempdir().unwrap();
    model.export_hf(folder.path()).unwrap();
    let back = Model::load(folder.path(), Precision::F32).unwrap();
    assert_eq!(back.template.render(&turns, Some(&tools), false).unwrap(), "tools: q");
    assert_eq!(back.template.source(), model.template.source());
}
