//! A model in one GGUF file.
#![no_main]

use std::{fs, path::PathBuf, sync::LazyLock};

use libfuzzer_sys::fuzz_target;
use perennial_learn::{compute::Precision, model::Model};

/// In memory where the system has such a folder.
static FILE: LazyLock<PathBuf> = LazyLock::new(|| {
    let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    folder.keep().join("model.gguf")
});

fuzz_target!(|bytes: &[u8]| {
    fs::write(&*FILE, bytes).unwrap();
    let _ = Model::load(&FILE, Precision::F32);
});
