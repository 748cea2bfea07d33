use perennial_learn::{compute::Precision, model::Model};
use serde_json::json;

use crate::{
    bounds::bounded,
    tiny::{change, tiny},
};

#[test]
fn word_patterns_without_end_cost_the_text_and_not_the_process() {
    let folder = tiny();
    change(&folder.path().join("tokenizer.json"), |tokenizer| {
        let split =
            json!({ "type": "Split", "pattern": { "Regex": "^(a|aa|a*)+$" }, "behavior": "Isolated", "invert": false });
        let bytes = tokenizer["pre_tokenizer"].clone();
        tokenizer["pre_tokenizer"] = json!({ "type": "Sequence", "pretokenizers": [split, bytes] });
    });
    let model = Model::load(folder.path(), Precision::F32).unwrap();
    assert!(model.tokenizer.encode("aaa").is_ok());
    let error =
        bounded("a pattern without end", || model.tokenizer.encode(&format!("{}b", "a".repeat(60)))).unwrap_err();
    assert!(error.to_string().contains("limit"), "{error}");

    change(&folder.path().join("tokenizer.json"), |tokenizer| {
        tokenizer["pre_tokenizer"] =
            json!({ "type": "Split", "pattern": { "Regex": "(" }, "behavior": "Isolated", "invert": false })
    });
    let error = Model::load(folder.path(), Precision::F32).err().unwrap().to_string();
    assert!(error.contains("tokenizer.json") && error.contains("cannot be read"), "{error}");
}

#[test]
fn tokenizers_that_would_not_give_the_same_tokens_twice_are_refused() {
    let folder = tiny();
    change(&folder.path().join("tokenizer.json"), |tokenizer| tokenizer["model"]["dropout"] = json!(0.1));
    let error = Model::load(folder.path(), Precision::F32).err().unwrap().to_string();
    assert!(error.contains("`dropout`"), "{error}");
}
