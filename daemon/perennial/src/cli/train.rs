use std::path::PathBuf;

use anyhow::bail;

use super::{cycle::interruptible, output, session::Session};
use crate::{
    cycle_folder::CycleFolder,
    engine::Engine,
    ports::Stop,
    service::on_thread,
    stage::{self, Idle, StageEnd},
    telemetry::{ProgressBar, Telemetry},
    told::sentence,
};

/// `perennial train`
#[derive(Debug, clap::Args)]
pub(super) struct Train {
    /// The folder: `mix.parquet` and `manifest.json` go in, `candidate/` and `checkpoints/` come out
    #[arg(long, value_name = "DIR")]
    cycle: PathBuf,
}

impl Train {
    /// Trains on what the folder says, whatever state directory it is from.
    pub(super) fn run(self, session: &Session) -> anyhow::Result<()> {
        let progress = ProgressBar::on_terminal();
        session.log(&progress)?;
        let runtime = session.runtime()?;
        let telemetry = Telemetry::new(progress)?;
        let folder = CycleFolder::new(self.cycle);
        let model = Engine::default().model_in(&session.config().model, stage::precision_of(&folder)?)?;
        let candidate = folder.candidate();
        let stop = Stop::default();
        let told = stop.clone();
        let work = on_thread("train", move || stage::run(&folder, &model, &told, &telemetry, None));
        match runtime.block_on(interruptible(&stop, work))??? {
            StageEnd::Stopped => bail!("stopped at a checkpoint: the same command goes on from there"),
            StageEnd::Idle(Idle { why, .. }) => bail!("{}", sentence(&why.reason, &why.remedy)),
            StageEnd::Trained(trained) => {
                output::line(format_args!("{} steps, the candidate is in {}", trained.steps(), candidate.display()));
            }
        }
        Ok(())
    }
}
