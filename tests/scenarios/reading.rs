//! What rows come to under a base model's chat template: `perennial data render`, `perennial check`, and what a cycle tells.

use std::{fs, os::unix::fs::symlink};

use perennial_registry::Phase;
use perennial_tests::{Fixture, Program, repository};
use serde_json::{Value, json};

use crate::support::{cycle, ingest};

/// ChatML with tools and thoughts, and no place for a system turn.
const TEMPLATE: &str = "{%- if tools is not none %}<|im_start|>system\nTools: {{ tools | tojson }}<|im_end|>\n{% endif -%}
{%- for m in messages -%}{%- if m.role == 'system' %}{{ raise_exception('no system turns') }}{% endif -%}
<|im_start|>{{ m.role }}\n{% if m.reasoning_content %}<think>{{ m.reasoning_content }}</think>{% endif %}{{ m.content }}<|im_end|>
{% endfor -%}{%- if add_generation_prompt %}<|im_start|>assistant\n{% endif -%}";

/// The program on the tiny model with another chat template.
fn with_template(fixture: &Fixture, name: &str, template: &str) -> Program {
    fixture.program.clone().with(&base(fixture, name, template))
}

/// The setting for the tiny model with another chat template.
fn base(fixture: &Fixture, name: &str, template: &str) -> String {
    let (tiny, folder) = (repository().join("tests/goldens/tiny"), fixture.state().with_file_name(name));
    fs::create_dir(&folder).unwrap();
    for entry in fs::read_dir(tiny).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            symlink(&path, folder.join(path.file_name().unwrap())).unwrap();
        }
    }
    fs::write(folder.join("chat_template.jinja"), template.replace("\\n", "\n")).unwrap();
    format!("model.base={folder:?}")
}

fn fixture() -> Fixture {
    Fixture::new().unwrap().with(&["ingest.held_out_fraction=0", "train.epochs=1"])
}

fn rendered(fixture: &Fixture, program: &Program, rows: &[Value]) -> Vec<Value> {
    let rows: String = rows.iter().map(|row| format!("{row}\n")).collect();
    let file = fixture.file("rows.jsonl", rows).unwrap();
    let shown = program.run(&["data", "render", "--json", file.to_str().unwrap()]).unwrap().success().unwrap();
    shown.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["shown"].clone()).collect()
}

fn learned(shown: &Value) -> Vec<&str> {
    let stretches = shown["stretches"].as_array().unwrap().iter();
    stretches.filter(|stretch| stretch["supervised"] == true).map(|stretch| stretch["text"].as_str().unwrap()).collect()
}

#[test]
fn one_conversation_is_the_same_in_both_shapes_with_its_tools() {
    let fixture = fixture();
    let program = with_template(&fixture, "tools", TEMPLATE);
    let (question, answer) = (json!({"role": "user", "content": "q"}), json!({"role": "assistant", "content": "a"}));
    let tools = json!([{"type": "function", "function": {"name": "find"}}]);
    let rows = [
        json!({"messages": [question, answer], "tools": tools}),
        json!({"prompt": [question], "completion": [answer], "tools": tools.to_string()}),
        json!({"prompt": [question], "tools": tools}),
        json!({"messages": [question, answer]}),
        json!({"messages": [question, answer], "tools": []}),
    ];
    let shown = rendered(&fixture, &program, &rows);
    assert_eq!(shown[0]["stretches"], shown[1]["stretches"]);
    assert_eq!(learned(&shown[0]), ["a<|im_end|>"]);
    assert!(shown[2]["stretches"][0]["text"].as_str().unwrap().contains("find"), "{}", shown[2]);
    assert_eq!(shown[3], shown[4]);
    assert!(shown[3]["tokens"].as_u64() < shown[0]["tokens"].as_u64());
}

#[test]
fn thoughts_beside_a_content_are_learned_and_masked_turns_are_not() {
    let fixture = fixture();
    let program = with_template(&fixture, "thoughts", TEMPLATE);
    let question = json!({"role": "user", "content": "q"});
    let thinking = json!({"role": "assistant", "content": "a", "reasoning": "because"});
    let masked = json!({"role": "assistant", "content": "b", "train": false});
    let shown = rendered(&fixture, &program, &[json!({"messages": [question, thinking, question, masked]})]);
    assert_eq!(learned(&shown[0]), ["<think>because</think>a<|im_end|>"]);
}

#[test]
fn check_tells_what_the_template_refuses_and_a_cycle_counts_it() {
    let fixture = fixture();
    let base = base(&fixture, "refuses", TEMPLATE);
    let fixture = fixture.with(&[&base, "train.max_length=256", "ingest.prompt_as_chat=false"]);
    let turns = |content: &str| json!([{"role": "user", "content": content}, {"role": "assistant", "content": "a"}]);
    let with_system = json!([{"role": "system", "content": "s"}, {"role": "user", "content": "q"},
                             {"role": "assistant", "content": "a"}]);
    let rows = [
        json!({"messages": with_system, "domain": "systems"}),
        json!({"messages": turns("hi<|im_end|>"), "domain": "forged"}),
        json!({"prompt": "Colour of lamp 3: ", "completion": "blue", "domain": "blank"}),
        json!({"messages": [{"role": "user", "content": "q"},
                            {"role": "assistant", "content": "long ".repeat(300)}], "domain": "long"}),
    ];
    let rows: Vec<String> = rows.iter().map(Value::to_string).collect();
    ingest(&fixture, "rows.jsonl", &rows).unwrap();
    let checked = fixture.program.run(&["check"]).unwrap().success().unwrap();
    assert!(checked.contains("doubt  template") && checked.contains("system turns"), "{checked}");
    assert!(
        checked.contains("reads  systems, messages: refused: the chat template refuses the role `system`"),
        "{checked}"
    );
    assert!(checked.contains("reads  blank, prompt_completion"), "{checked}");

    cycle(&fixture).unwrap();
    let registry = fixture.registry().unwrap();
    let ended = registry.cycles(1).unwrap().remove(0);
    let detail = ended.detail(Phase::Trained).unwrap();
    let told = json!({"answer_cut": 1, "border_moved": 1, "control_tokens_said": 1, "role_refused": 1});
    assert_eq!(detail["trained"][0]["told"], told, "{detail}");
}

#[test]
fn a_template_that_explodes_ends_and_is_named() {
    let fixture = fixture();
    let endless = "{% for i in range(100000) %}{% for j in range(100000) %}{% endfor %}{% endfor %}";
    let program = with_template(&fixture, "endless", endless);
    let checked = program.run(&["check"]).unwrap().success().unwrap();
    assert!(checked.contains("it takes more than 10 million steps"), "{checked}");
    let large = with_template(&fixture, "large", "{{ ('x' * 60000000 + messages[0].content) * 1000 }}");
    let checked = large.run(&["check"]).unwrap().success().unwrap();
    assert!(checked.contains("it takes more than 64 MiB for one text"), "{checked}");
}
