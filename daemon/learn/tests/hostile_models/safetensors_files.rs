use std::fs;

use perennial_learn::{
    compute::Precision,
    model::{Model, check_safetensors},
};
use serde_json::json;

use crate::{bounds::bounded, tiny::tiny};

/// A safetensors file of this header and so many bytes of data.
pub(crate) fn safetensors(header: &str, data: usize) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes(), header.as_bytes(), &vec![0; data]].concat()
}

#[test]
fn safetensors_that_lie_about_themselves_are_refused_by_name() {
    let one = |shape: &str, from: u64, to: u64| {
        format!(r#"{{"a": {{"dtype": "F32", "shape": {shape}, "data_offsets": [{from}, {to}]}}}}"#)
    };
    check_safetensors(&safetensors(&one("[2, 3]", 0, 24), 24)).unwrap();
    let two = r#"{"a": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}, "b": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}}"#;
    let cases: Vec<(&str, Vec<u8>, &str)> = vec![
        ("a header of 2^64 bytes", u64::MAX.to_le_bytes().to_vec(), "its header does not fit"),
        (
            "a header that is longer than the file",
            [&99_u64.to_le_bytes()[..], b"{}"].concat(),
            "its header does not fit",
        ),
        ("no header", vec![1, 2, 3], "its header does not fit"),
        ("a header of brackets", safetensors(&"[".repeat(1 << 20), 0), "its header makes no sense"),
        ("a header of objects", safetensors(&r#"{"a":"#.repeat(1 << 18), 0), "its header makes no sense"),
        (
            "a type that is not known",
            safetensors(&one("[2]", 0, 8).replace("F32", "X9"), 8),
            "its header makes no sense",
        ),
        ("a type that cannot be read", safetensors(&one("[2]", 0, 8).replace("F32", "I32"), 8), "is stored as I32"),
        ("data beyond the file", safetensors(&one("[4]", 0, 16), 8), "cut short"),
        ("data that nobody has", safetensors(&one("[4]", 0, 16), 99), "cut short, or damaged"),
        ("2^62 values", safetensors(&one("[4611686018427387904]", 0, 16), 16), "its header makes no sense"),
        (
            "sides that multiply to 0",
            safetensors(&one("[4294967296, 4294967296]", 0, 0), 0),
            "its header makes no sense",
        ),
        ("an end before the start", safetensors(&one("[4]", 16, 0), 16), "its header makes no sense"),
        ("one over another", safetensors(two, 16), "its header makes no sense"),
        ("three sides", safetensors(&one("[1, 1, 1]", 0, 4), 4), "made of vectors and matrices"),
    ];
    for (what, file, expected) in cases {
        let error = bounded(what, || check_safetensors(&file)).unwrap_err().to_string();
        assert!(error.contains(expected), "{what}: {error}");
    }
    let folder = tiny();
    fs::remove_file(folder.path().join("model.safetensors")).unwrap();
    let index = json!({ "weight_map": { "model.norm.weight": "../elsewhere.safetensors" } });
    fs::write(folder.path().join("model.safetensors.index.json"), index.to_string()).unwrap();
    let error = Model::load(folder.path(), Precision::F32).err().unwrap().to_string();
    assert!(error.contains("no file of this folder"), "{error}");
}
