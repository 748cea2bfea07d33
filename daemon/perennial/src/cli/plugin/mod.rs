//! `perennial plugin`: what the author of a reward function works with, from an empty project to one that is measured.

mod bench;
mod build;
mod case;
mod expect;
mod inspect;
mod new;
mod profile;
mod project;
mod sources;
mod test;
mod trial;

use super::session::Session;
use crate::config::Sources;

/// `perennial plugin`
#[derive(Debug, clap::Subcommand)]
pub(super) enum Plugin {
    /// Begin a plugin: a project with an example, cases and a unit test, complete in itself
    New(new::New),
    /// Build a project to a WASM component
    Build(build::Build),
    /// Show what a plugin is, and whether the sandbox takes it
    Inspect(inspect::Inspect),
    /// Hold a plugin to its cases, in the sandbox
    Test(test::Test),
    /// Measure what a plugin costs
    Bench(bench::Bench),
    /// See where a plugin spends its time
    Profile(profile::Profile),
}

impl Plugin {
    /// Projects are made and built without any configuration; plugins run under the configured limits.
    pub(super) fn run(self, sources: Sources) -> anyhow::Result<()> {
        match self {
            Self::New(new) => new.run(),
            Self::Build(build) => build.run(),
            Self::Inspect(inspect) => inspect.run(&Session::open(sources)?),
            Self::Test(test) => test.run(&Session::open(sources)?),
            Self::Bench(bench) => bench.run(&Session::open(sources)?),
            Self::Profile(profile) => profile.run(&Session::open(sources)?),
        }
    }
}
