//! Our renderings beside those of transformers (`tests/goldens/templates.py`).

use std::{collections::BTreeMap, path::PathBuf};

use perennial_types::{Content, Message, Prompt, TemplateInputs};
use serde::Deserialize;

use super::*;
use crate::{
    model::Model,
    tokenize::{Tokenizer, encode_prompt},
};

#[derive(Deserialize)]
struct Goldens {
    #[serde(default)]
    sources: BTreeMap<String, String>,
    results: Vec<Golden>,
}

#[derive(Deserialize)]
struct Golden {
    template: String,
    case: String,
    text: Option<String>,
    prompt: Option<String>,
    marks: Option<Marks>,
    sanitized: Option<Sanitized>,
}

#[derive(Deserialize)]
struct Marks {
    tokens: Vec<u32>,
    marked: Vec<u8>,
}

#[derive(Deserialize)]
struct Sanitized {
    tokens: Vec<u32>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    messages: Vec<Message>,
    inputs: TemplateInputs,
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/goldens")
}

fn read<T: for<'de> Deserialize<'de>>(path: PathBuf) -> T {
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap()
}

fn special() -> SpecialTokens {
    let [bos, eos, unk, pad] = ["<s>", "</s>", "<unk>", "<pad>"].map(|token| Some(token.to_owned()));
    SpecialTokens { bos, eos, unk, pad, ..SpecialTokens::default() }
}

fn tokenizer() -> Tokenizer {
    Model::load(&folder().join("tiny"), crate::compute::Precision::F32).unwrap().tokenizer
}

/// Compares all results; `differ` are the cases that we know to be rendered otherwise, and why.
fn differences(goldens: &Goldens, is_meant: impl Fn(&Golden) -> bool) -> Vec<String> {
    let cases: Vec<Case> = read(folder().join("templates/conversations.json"));
    let tokenizer = tokenizer();
    let mut differences = Vec::new();
    let mut templates = BTreeMap::new();
    for golden in &goldens.results {
        let source = goldens.sources.get(&golden.template).cloned().unwrap_or_else(|| {
            let path = folder().join(format!("templates/{}.jinja", golden.template));
            std::fs::read_to_string(path).unwrap()
        });
        let template =
            templates.entry(&golden.template).or_insert_with(|| ChatTemplate::new(Some(&source), &special()));
        let case = cases.iter().find(|case| case.name == golden.case).unwrap();
        let conversation = template.conversation(&case.messages, &case.inputs, None);
        let render = |prompt| conversation.as_ref().map_err(Clone::clone)?.render(case.messages.len(), prompt);
        let place = format!("{}/{}", golden.template, golden.case);
        for (prompt, expected) in [(false, &golden.text), (true, &golden.prompt)] {
            let ours = render(prompt);
            let same = match (&ours, expected) {
                (Ok(ours), Some(expected)) => ours.text == *expected,
                (Err(_), None) => true,
                _ => false,
            };
            if !same && !is_meant(golden) {
                differences.push(format!("{place}\n  ours   {ours:?}\n  theirs {expected:?}"));
            }
        }
        // Another text has other tokens.
        if is_meant(golden) {
            continue;
        }
        if let (Some(marks), Ok(ours)) = (&golden.marks, render(false)) {
            let spans = tokenizer.spans_of(&ours, &[]).unwrap().0;
            let mut marked = vec![0; spans.tokens.len()];
            for mark in ours.generation.iter().filter(|mark| !mark.is_empty()) {
                let first = spans.tokens_of(mark.clone()).start;
                marked[first..spans.token_after(mark.end)].fill(1);
            }
            if spans.tokens != marks.tokens || marked != marks.marked {
                differences.push(format!("{place}: marks\n  ours   {marked:?}\n  theirs {:?}", marks.marked));
            }
        }
        if let Some(sanitized) = &golden.sanitized {
            let conversation =
                template.conversation(&case.messages, &case.inputs, Some(tokenizer.control_tokens())).unwrap();
            let rendered = conversation.render(case.messages.len(), false).unwrap();
            let ours = tokenizer.spans_of(&rendered, &[]).unwrap().0.tokens;
            if ours != sanitized.tokens {
                differences.push(format!("{place}: sanitized\n  ours   {ours:?}\n  theirs {:?}", sanitized.tokens));
            }
        }
    }
    differences
}

#[test]
fn our_templates_render_as_transformers_renders_them() {
    let goldens: Goldens = read(folder().join("templates/expected.json"));
    assert!(goldens.results.len() > 100);
    let differences = differences(&goldens, |golden| is_meant(golden, |_| false));
    assert!(differences.is_empty(), "{} differ:\n{}", differences.len(), differences.join("\n"));
}

/// Lists of text parts are one text where a template cannot read the list (see [`ChatTemplate`]).
fn is_meant(golden: &Golden, of_template: impl Fn(&Golden) -> bool) -> bool {
    golden.case == "text_parts" || of_template(golden)
}

#[test]
#[ignore = "needs target/goldens/published.json, by tests/goldens/templates.py published"]
fn published_templates_render_as_transformers_renders_them() {
    let goldens: Goldens = read(folder().join("../../target/goldens/published.json"));
    let differences = differences(&goldens, |golden| is_meant(golden, |_| false));
    let count = goldens.results.len();
    assert!(differences.is_empty(), "{} of {count} differ:\n{}", differences.len(), differences.join("\n"));
}

#[test]
fn what_a_model_is_asked_is_the_prompt_of_the_goldens() {
    let cases: Vec<Case> = read(folder().join("templates/conversations.json"));
    let goldens: Goldens = read(folder().join("templates/expected.json"));
    let tokenizer = tokenizer();
    let source = std::fs::read_to_string(folder().join("templates/macros.jinja")).unwrap();
    let template = ChatTemplate::new(Some(&source), &special());
    let mut with_tools = 0;
    for case in cases.iter().filter(|case| !["text_parts", "control_tokens_said"].contains(&case.name.as_str())) {
        let golden =
            goldens.results.iter().find(|golden| golden.template == "macros" && golden.case == case.name).unwrap();
        let prompt = Prompt { content: Content::Messages(case.messages.clone()), inputs: case.inputs.clone() };
        let expected = tokenizer.encode_rendered(golden.prompt.as_ref().unwrap()).unwrap();
        assert_eq!(encode_prompt(&prompt, &tokenizer, &template).unwrap(), expected, "{}", case.name);
        with_tools += usize::from(case.inputs.tools.is_some());
    }
    assert!(with_tools > 3);
}
