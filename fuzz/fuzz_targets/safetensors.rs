//! An adapter in PEFT's form: its configuration up to the first line break, then its safetensors.
#![no_main]

use std::{fs, path::PathBuf, sync::LazyLock};

use libfuzzer_sys::fuzz_target;
use perennial_learn::adapter::Adapter;

/// In memory where the system has such a folder.
static FOLDER: LazyLock<PathBuf> =
    LazyLock::new(|| tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap().keep());

const CONFIG: &[u8] = br#"{"peft_type": "LORA", "r": 2, "lora_alpha": 4, "target_modules": ["q_proj"]}"#;

fuzz_target!(|bytes: &[u8]| {
    let end = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(0);
    let (config, tensors) = bytes.split_at(end);
    fs::write(FOLDER.join("adapter_config.json"), if config.is_empty() { CONFIG } else { config }).unwrap();
    fs::write(FOLDER.join("adapter_model.safetensors"), tensors.strip_prefix(b"\n").unwrap_or(tensors)).unwrap();
    let _ = Adapter::load_peft(&FOLDER);
});
