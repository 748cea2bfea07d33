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
}
