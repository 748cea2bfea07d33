use std::{
    env,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use perennial_tests::{Program, repository};

use super::figure::Contender;
use crate::shell::Shell;

/// The plugin in Python whose cases are asked.
pub(super) const PYTHON_PLUGIN: &str = "plugins/python-ticket-fields";

/// What a contender is run by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Tool {
    /// An example of the learner: ours.
    Learn(&'static str),
    /// An example of the kernels: ours.
    Kernels(&'static str),
    /// The built program: ours.
    Perennial,
    /// A script of tests/bench, in the environment with torch, transformers, PEFT and TRL.
    Torch(&'static str),
    /// A script there, in the environment with vLLM.
    Vllm(&'static str),
    /// A script there, for llama.cpp's server.
    Llama(&'static str),
    /// A script there, in the system's Python.
    Python(&'static str),
}

impl Tool {
    /// Whether it belongs to what a quick measurement takes part in.
    pub(super) fn is_quick(self) -> bool {
        !matches!(self, Self::Vllm(_) | Self::Llama(_))
    }

    /// The command of a contender.
    pub(super) fn shell(self, contender: &Contender) -> Result<Shell> {
        let arguments = contender.arguments.split_whitespace();
        let script = |python: &str, script: &str| Shell::new(python).args([format!("tests/bench/{script}")]);
        let shell = match self {
            Self::Learn(example) | Self::Kernels(example) => Shell::new(built(&format!("release/examples/{example}"))?),
            Self::Perennial => Shell::program(&program()?, &[]),
            Self::Torch(name) | Self::Llama(name) => script("target/bench/torch/bin/python", name),
            Self::Vllm(name) => script("target/bench/vllm/bin/python", name),
            Self::Python(name) => script("python3", name),
        };
        Ok(shell.args(arguments).envs(contender.environment))
    }

    /// The same as one types it in the repository's root.
    pub(super) fn line(self, contender: &Contender) -> String {
        let program = match self {
            Self::Learn(example) => format!("cargo run --release -p perennial-learn --example {example} --"),
            Self::Kernels(example) => format!("cargo run --release -p perennial-kernels --example {example} --"),
            Self::Perennial => "perennial".to_owned(),
            Self::Torch(name) | Self::Llama(name) => format!("target/bench/torch/bin/python tests/bench/{name}"),
            Self::Vllm(name) => format!("target/bench/vllm/bin/python tests/bench/{name}"),
            Self::Python(name) => format!("python3 tests/bench/{name}"),
        };
        let environment = contender.environment.iter().map(|(name, value)| format!("{name}={value} "));
        format!("{}{program} {}", environment.collect::<String>(), contender.arguments)
    }
}

/// The built program on a state directory of its own.
pub(super) fn program() -> Result<Program> {
    Program::new(&repository().join("config/perennial.toml"), &repository().join("target/bench/state"))
}

/// A path in the folder that cargo builds to.
fn built(path: &str) -> Result<PathBuf> {
    let own = env::current_exe().context("finding the running executable")?;
    let target = own.ancestors().nth(2).context("the executable lies in no target folder")?;
    Ok(target.join(Path::new(path)))
}
