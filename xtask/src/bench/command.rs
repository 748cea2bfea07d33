use std::path::PathBuf;

use anyhow::Result;
use perennial_tests::{Program, repository};

use super::{figure::Contender, tool::Tool};
use crate::shell::{Shell, target_folder};

impl Contender {
    /// The command of a self.
    pub(super) fn shell(&self) -> Result<Shell> {
        let arguments = self.arguments.split_whitespace();
        let script = |python: &str, script: &str| Shell::new(python).args([format!("tests/bench/{script}")]);
        let shell = match self.tool {
            Tool::Learn(example) | Tool::Kernels(example) => Shell::new(built(&format!("release/examples/{example}"))?),
            Tool::Perennial => Shell::program(&program()?, &[]),
            Tool::Torch(name) | Tool::Llama(name) => script("target/bench/torch/bin/python", name),
            Tool::Vllm(name) => script("target/bench/vllm/bin/python", name),
            Tool::Python(name) => script("python3", name),
        };
        Ok(shell.args(arguments).envs(self.environment))
    }

    /// The same as one types it in the repository's root.
    pub(super) fn line(&self) -> String {
        let program = match self.tool {
            Tool::Learn(example) => format!("cargo run --release -p perennial-learn --example {example} --"),
            Tool::Kernels(example) => format!("cargo run --release -p perennial-kernels --example {example} --"),
            Tool::Perennial => "perennial".to_owned(),
            Tool::Torch(name) | Tool::Llama(name) => format!("target/bench/torch/bin/python tests/bench/{name}"),
            Tool::Vllm(name) => format!("target/bench/vllm/bin/python tests/bench/{name}"),
            Tool::Python(name) => format!("python3 tests/bench/{name}"),
        };
        let environment = self.environment.iter().map(|(name, value)| format!("{name}={value} "));
        format!("{}{program} {}", environment.collect::<String>(), self.arguments)
    }
}

/// The built program on a state directory of its own.
pub(super) fn program() -> Result<Program> {
    Program::new(&repository().join("config/perennial.toml"), &repository().join("target/bench/state"))
}

/// A path in the folder that cargo builds to.
fn built(path: &str) -> Result<PathBuf> {
    Ok(target_folder()?.join(path))
}
