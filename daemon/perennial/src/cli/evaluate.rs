use anyhow::bail;

use super::{cycle::interruptible, output, session::Session};
use crate::{
    engine::Engine,
    evaluation::{self, Request, check_room},
    models,
    ports::Stop,
    service::on_thread,
    telemetry::{LookEnded, LookStarted, ProgressBar},
};

/// `perennial evaluate`
#[derive(Debug, clap::Args)]
pub(super) struct Evaluate {
    /// Adapters: an id, a cycle's number for its candidate, "base", "champion", "anchor", or a PEFT folder [default: base anchor
    /// champion]
    #[arg(value_name = "ADAPTER")]
    adapters: Vec<String>,
    /// A suite: the name of a golden one, auto:DOMAIN, vault:DOMAIN, or a file; may be given again [default: all that decide]
    #[arg(long = "suite", value_name = "NAME|FILE")]
    suites: Vec<String>,
    /// So many items of each suite at most, drawn [default: as configured]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    items: Option<u32>,
    /// As JSON
    #[arg(long)]
    json: bool,
}

impl Evaluate {
    /// Asks here, beside a daemon too: nothing is changed but the answers that are kept.
    pub(super) fn run(self, session: &Session) -> anyhow::Result<()> {
        session.require_state()?;
        let progress = ProgressBar::on_terminal();
        session.log_beside(&progress)?;
        let parts = session.parts(None, progress)?;
        let config = &session.config().model;
        if parts.context.registry.open_cycle()?.is_some() {
            check_room(&models::locate(config)?)?;
        }
        let Self { adapters, suites, items, json } = self;
        let request = Request { adapters, suites, items_max: items.map(|items| items as usize) };
        let model = Engine::default().model(config)?;
        let (context, stop) = (parts.context.clone(), Stop::default());
        let told = stop.clone();
        context.telemetry.emit(LookStarted);
        let work = on_thread("evaluate", move || evaluation::run(&context, &model, &request, &told));
        let evaluated = parts.runtime.block_on(interruptible(&stop, work));
        parts.context.telemetry.emit(LookEnded);
        let Some(evaluated) = evaluated??? else {
            bail!("stopped: the same command goes on from the answers that are kept");
        };
        if json {
            return output::json(&evaluated);
        }
        output::line(evaluation::render(&evaluated));
        Ok(())
    }
}
