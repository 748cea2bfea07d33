//! One way to build plugins, whatever they are written in.

mod cache;
mod js;
mod program;
mod python;
mod rust;
mod wasm32;

use std::{path::PathBuf, time::Instant};

use anyhow::Context as _;
use perennial_durable::write_durably;
use perennial_reward::Wasi;

pub(super) use self::cache::Cache;
use super::{
    super::output,
    project::{Lang, Project},
};
use crate::{config, rewards::Sandbox};

/// `perennial plugin build`
#[derive(Debug, clap::Args)]
pub(in super::super) struct Build {
    /// The project's folder
    #[arg(default_value = ".")]
    dir: PathBuf,
    /// What it is written in [default: told by its files]
    #[arg(long)]
    lang: Option<Lang>,
    /// The component's file [default: in the project's folder, with the folder's name]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

impl Build {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let project = Project::open(&self.dir, self.lang)?;
        let started = Instant::now();
        let cache = Cache::open()?;
        let component = match project.lang {
            Lang::Rust => rust::build(&project, &cache)?,
            Lang::Python => python::build(&project, &cache)?,
            Lang::Js => js::build(&project, &cache)?,
        };
        let sandbox = Sandbox::open(&config::Reward::default(), None)?;
        let inspection = sandbox.inspect(&component, &project.name())?;
        inspection.judge(Wasi::Denied).context("it was built, and the sandbox does not take it")?;
        let out = self.out.unwrap_or_else(|| project.component());
        write_durably(&out, &component).with_context(|| out.display().to_string())?;
        let (kib, hash, seconds) = (component.len() >> 10, inspection.hash.short(12), started.elapsed().as_secs_f64());
        output::note(format_args!("{kib} KiB, {hash}, in {seconds:.1} s"));
        output::line(out.display());
        Ok(())
    }
}
