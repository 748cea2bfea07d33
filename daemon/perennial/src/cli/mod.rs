//! The command line. Commands ask the daemon where one runs on the state directory, and do the work themselves, under the
//! state directory's lock, where none does.

mod champion;
mod changed;
mod chat;
mod check;
mod client;
mod cycle;
mod data;
mod drift;
mod evaluate;
mod exit;
mod export;
mod gate;
mod generate;
mod hold;
mod ingest;
mod man;
mod model_tokens;
mod models;
mod output;
mod pin;
mod plugin;
mod plugin_loader;
mod quarantine;
mod readings;
mod run;
mod session;
mod show;
mod shown;
mod status;
mod table;
mod teach;
mod token;
mod train;
mod voice;

use std::{path::PathBuf, process::ExitCode};

use clap::{CommandFactory, Parser, Subcommand};
use clap_complete::Shell;
use perennial_types::CycleId;

use self::{exit::Exit, session::Session};
use crate::{
    config::{self, Sources},
    http,
    telemetry::Metrics,
};

/// Keeps a deployed language model learning from what production sees, without letting it slip back.
#[derive(Debug, Parser)]
#[command(name = "perennial", version, propagate_version = true, after_help = Exit::help())]
struct Arguments {
    /// The configuration file [default: /etc/perennial/perennial.toml, if it is there]
    #[arg(long, global = true, value_name = "FILE", env = "PERENNIAL_CONFIG", hide_env_values = true)]
    config: Option<PathBuf>,
    /// The state directory, in place of `state.dir`
    #[arg(long, global = true, value_name = "DIR")]
    state: Option<PathBuf>,
    /// Set a key of the configuration, such as train.epochs=2; may be given again
    #[arg(long, global = true, value_name = "SECTION.KEY=VALUE")]
    set: Vec<String>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the daemon
    Run,
    /// Take files of samples in: JSON Lines, plain, .gz or .zst
    Ingest(ingest::Ingest),
    /// Start a cycle now, or go on with an unfinished one
    Cycle(cycle::Cycle),
    /// Show how things stand
    Status(Json),
    /// Show what moved in what comes in, and how far the champion is from the models before it
    Drift(drift::DriftCommand),
    /// List the last cycles
    Cycles(Json),
    /// List all adapters
    Adapters(Json),
    /// Show all that is known of an adapter or a cycle, with the gate's report
    Show(show::Show),
    /// Let the gate decide on an ended cycle anew, under the configuration of now
    Gate(gate::Gate),
    /// Score adapters on suites, outside a cycle, and compare them item by item
    Evaluate(evaluate::Evaluate),
    /// Put the candidate in service that passed the gate and waits for a person's word
    Approve(hold::HoldCommand),
    /// Reject the candidate that passed the gate and waits for a person's word
    Decline(hold::HoldCommand),
    /// Write an adapter in the form of another program, alone or merged into its base model
    Export(export::Export),
    /// Put an adapter in service by hand
    Promote(champion::Promote),
    /// Pin the anchor: what a person accepted, and no candidate may fall behind; or show it
    Pin(pin::PinCommand),
    /// Put an earlier champion back in service
    Rollback(champion::Rollback),
    /// Give an ended cycle's new samples back, so that a later one trains on them
    Requeue {
        /// The cycle's number
        cycle: CycleId,
    },
    /// Rows and files that were refused: list them, show why, take them in again
    #[command(subcommand)]
    Quarantine(quarantine::Quarantine),
    /// Carry out the training stage of a cycle's folder, and nothing else
    Train(train::Train),
    /// Base models on this machine
    #[command(subcommand)]
    Model(models::Model),
    /// Reward plugins: begin, build, try and measure them
    #[command(subcommand)]
    Plugin(plugin::Plugin),
    /// What rows come to
    #[command(subcommand)]
    Data(data::Data),
    /// Load a plugin in this process: what the program asks of itself
    #[command(hide = true)]
    PluginLoader(plugin_loader::PluginLoader),
    /// Let the model go on from a prompt
    Generate(generate::Generate),
    /// Talk with the model
    Chat(chat::Chat),
    /// Check configuration, model, suites and state directory, and say what `run` would do
    Check,
    /// The configuration
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Print the reference of the HTTP interface, as OpenAPI
    Openapi,
    /// Print the reference of the metrics, as Markdown
    Metrics,
    /// Print completions for a shell
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Write the manual pages to a folder
    Man(man::Man),
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Print the values in force, as TOML, each with where it comes from
    Dump,
}

/// How a list is printed.
#[derive(Clone, Copy, Debug, clap::Args)]
struct Json {
    /// As JSON
    #[arg(long)]
    json: bool,
}

/// Runs the command that was typed.
pub(crate) fn main() -> ExitCode {
    let Arguments { config, state, set, command } = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        // Help and the version come this way too.
        Err(said) => {
            let _ = said.print();
            return if said.use_stderr() { Exit::Usage.into() } else { Exit::Done.into() };
        }
    };
    // Variables that are no Unicode cannot be one of ours.
    let environment =
        std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let sources = Sources { file: config, set, state, environment: environment.collect() };
    match carry_out(command, sources) {
        Ok(code) => code,
        Err(error) => {
            output::error(&error);
            Exit::Failed.into()
        }
    }
}

fn carry_out(command: Command, sources: Sources) -> anyhow::Result<ExitCode> {
    if let Command::Completions { shell } = command {
        let mut script = Vec::new();
        clap_complete::generate(shell, &mut Arguments::command(), "perennial", &mut script);
        output::piece(&String::from_utf8_lossy(&script));
        return Ok(ExitCode::SUCCESS);
    }
    if let Command::Man(man) = command {
        man.run(Arguments::command())?;
        return Ok(ExitCode::SUCCESS);
    }
    if let Command::Openapi = command {
        output::json(&http::document())?;
        return Ok(ExitCode::SUCCESS);
    }
    if let Command::Metrics = command {
        output::piece(&Metrics::new()?.reference());
        return Ok(ExitCode::SUCCESS);
    }
    if let Command::PluginLoader(loader) = command {
        loader.run()?;
        return Ok(ExitCode::SUCCESS);
    }
    if let Command::Plugin(plugin) = command {
        plugin.run(sources)?;
        return Ok(ExitCode::SUCCESS);
    }
    let session = Session::open(sources)?;
    match command {
        Command::Run => return run::run(session),
        Command::Ingest(ingest) => return Ok(ingest.run(&session)?.into()),
        Command::Cycle(cycle) => return Ok(cycle.run(&session)?.into()),
        Command::Status(Json { json }) => status::run(&session, json)?,
        Command::Drift(drift) => drift.run(&session)?,
        Command::Cycles(Json { json }) => show::cycles(&session, json)?,
        Command::Adapters(Json { json }) => show::adapters(&session, json)?,
        Command::Show(show) => show.run(&session)?,
        Command::Gate(gate) => return Ok(gate.run(&session)?.into()),
        Command::Evaluate(evaluate) => evaluate.run(&session)?,
        Command::Approve(hold) => return Ok(hold.run(&session, true)?.into()),
        Command::Decline(hold) => return Ok(hold.run(&session, false)?.into()),
        Command::Export(export) => export.run(&session)?,
        Command::Promote(promote) => promote.run(&session)?,
        Command::Pin(pin) => pin.run(&session)?,
        Command::Rollback(rollback) => rollback.run(&session)?,
        Command::Requeue { cycle } => champion::requeue(&session, cycle)?,
        Command::Quarantine(quarantine) => quarantine.run(&session)?,
        Command::Train(train) => train.run(&session)?,
        Command::Model(model) => model.run(&session)?,
        Command::Data(data) => data.run(&session)?,
        Command::Generate(generate) => generate.run(&session)?,
        Command::Chat(chat) => chat.run(&session)?,
        Command::Check => check::check(&session)?,
        Command::Config(ConfigCommand::Dump) => output::piece(&config::dump(session.loaded())?),
        Command::Completions { .. }
        | Command::Man(_)
        | Command::Openapi
        | Command::Metrics
        | Command::Plugin(_)
        | Command::PluginLoader(_) => {}
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn help_reads_well() {
        let mut command = Arguments::command().term_width(100);
        insta::assert_snapshot!(command.render_long_help());
    }

    #[test]
    fn every_command_has_help_and_no_argument_clashes() {
        Arguments::command().debug_assert();
    }
}
