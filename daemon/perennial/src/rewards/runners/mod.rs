//! What draws completions: *runners*, one file each. The next one is a file with its [`Runner`] and a line in [`CONFIGURED`]; the
//! keys that ask for it stand in `config/rewards.rs`. Copy from `own.rs`, and from `server/` where it is another program.

mod own;
mod server;

use std::path::Path;

use perennial_learn::{
    adapter::Adapter,
    model::Model,
    rollout::ActivationMemory,
    train::grpo::{Completion, GrpoConfig},
};

use crate::{config::Rollout, ports::Stop};

/// Draws completions with the adapter under training.
pub(crate) trait Runner {
    /// A group for each prompt, in their order; `None` where the work is to stop.
    ///
    /// # Errors
    /// Whatever must end the run.
    fn draw(&self, request: &Request<'_>, on_group: &OnGroup<'_>) -> anyhow::Result<Option<Vec<Vec<Drawn>>>>;
}

/// What is drawn, and how.
pub(crate) struct Request<'a> {
    /// How long completions are, and how many of each prompt.
    pub(super) config: &'a GrpoConfig,
    pub(super) rollout: &'a Rollout,
    pub(super) adapter: &'a Adapter,
    /// The base model's name, for whoever is handed the adapter as a folder.
    pub(super) base_name: &'a str,
    /// The model that learns from what comes.
    pub(super) learner: &'a Model,
    pub(super) prompts: &'a [Vec<u32>],
    /// No two generations have the same.
    pub(super) seed: u64,
    /// For a runner whose passes training need not compute again.
    pub(super) activation_memory: &'a ActivationMemory,
    pub(super) stop: &'a Stop,
}

/// A completion, whoever drew it.
pub(crate) struct Drawn {
    pub(super) text: String,
    pub(super) completion: Completion,
}

/// Told of each group as it comes, from any thread.
pub(super) type OnGroup<'a> = dyn Fn(usize, &[Drawn]) + Sync + 'a;

/// A runner, where its keys ask for it. It may lay adapters into the folder, and tidies there what a killed run left.
type Open = fn(&Rollout, &Path) -> anyhow::Result<Option<Box<dyn Runner>>>;

/// Every runner that has keys, those before others.
const CONFIGURED: [Open; 1] = [server::open];

/// What draws the completions of a run: the runner that the configuration asks for, or else this program.
///
/// # Errors
/// Where it cannot be reached or made ready.
pub(crate) fn open(rollout: &Rollout, folder: &Path) -> anyhow::Result<Box<dyn Runner>> {
    for open in CONFIGURED {
        if let Some(runner) = open(rollout, folder)? {
            return Ok(runner);
        }
    }
    Ok(Box::new(own::Own))
}
