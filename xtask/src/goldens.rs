use std::path::PathBuf;

use anyhow::Result;
use perennial_tests::repository;

use crate::{output, shell::Shell};

const REQUIREMENTS: &str = "tests/goldens/requirements.txt";

/// Computes the reference values with PEFT and transformers.
pub(crate) fn references() -> Result<()> {
    let python = python()?;
    Shell::new(&python).args(["tests/goldens/make.py"]).run()?;
    Shell::new(&python).args(["tests/goldens/dora_reference.py"]).run()?;
    Shell::new(&python).args(["tests/goldens/model_folders.py"]).run()?;
    Shell::new(&python).args(["tests/goldens/families_reference.py"]).run()?;
    Shell::new(&python).args(["tests/goldens/templates.py"]).run()
}

/// Trains the tiny test model.
pub(crate) fn tiny_model() -> Result<()> {
    let python = python()?;
    Shell::new(&python).args(["tests/goldens/make_tiny.py"]).run()
}

// The virtual environment's Python, with what the scripts need.
fn python() -> Result<PathBuf> {
    let environment = repository().join(".venv");
    let python = environment.join("bin/python");
    output::note(format!("Installs the packages of {REQUIREMENTS} (torch among them, some GB) into .venv/ by pip."));
    if !python.is_file() {
        Shell::new("python3").args(["-m", "venv", ".venv"]).run()?;
    }
    Shell::new(&python).args(["-m", "pip", "install", "--quiet", "--requirement", REQUIREMENTS]).run()?;
    Ok(python)
}
