//! `cargo xtask …`: every chore of the project. Each says what it installs and what it runs.

mod bench;
mod crash;
mod cuda;
mod demo;
mod dist;
mod drift_sim;
mod fuzz;
mod gate_sim;
mod goldens;
mod hostile;
mod install;
mod output;
mod plugins;
mod progress;
mod random;
mod running;
mod shell;
mod stream;
mod test;
mod tickets;

use anyhow::Result;
use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", about = "Every chore of the project")]
struct Arguments {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Measure ours beside the peers, in turn, and make PERFORMANCE.md from what was measured
    Bench(bench::Options),
    /// Kill daemons, cut their power or let their disk fail, and see that nothing is lost or doubled
    Crash(crash::Options),
    /// Compile candle's CUDA kernels and check the feature `cuda`; takes no GPU
    CudaCheck,
    /// Build, pull a model, teach it a new task through the running daemon, and show what it learned
    Demo(demo::Options),
    /// Write the demo's data set and golden suite anew, from its generator
    DemoData,
    /// Build what is shipped: a Debian package, an archive, what it is made of, and checksums
    Dist(dist::Options),
    /// Say how often the drift detectors cry wolf and how soon they see what is planted, by simulation of their own code
    DriftSim(drift_sim::Options),
    /// Feed what reads from outside with bytes until it breaks
    Fuzz(fuzz::Options),
    /// Say what the gate catches and what it refuses, by simulation of its own code; writes the table and pictures of docs/gate.md
    GateSim(gate_sim::Options),
    /// Throw hostile inputs at the built program
    Hostile(hostile::Options),
    /// Build the program for use, and put it on the PATH
    Install(install::Options),
    /// Teach a sequence of tasks through the running daemon, arm by arm, and measure what each forgets
    Stream(stream::Options),
    /// Build once and run every test
    Test(test::Options),
    /// Compute the reference values of tests/goldens anew, with PEFT and transformers
    Goldens,
    /// Build the reward plugins that ship, or check that the committed ones match their sources
    Plugins(plugins::Options),
    /// Train the tiny test model anew, by its recipe in tests/goldens
    Tiny,
}

fn main() -> Result<()> {
    match Arguments::parse().chore {
        Chore::Bench(options) => bench::run(&options),
        Chore::Crash(options) => crash::run(&options),
        Chore::CudaCheck => cuda::check(),
        Chore::Demo(options) => demo::run(&options),
        Chore::DemoData => demo::write_data(),
        Chore::Dist(options) => dist::run(&options),
        Chore::DriftSim(options) => drift_sim::run(&options),
        Chore::Fuzz(options) => fuzz::run(&options),
        Chore::GateSim(options) => gate_sim::run(&options),
        Chore::Hostile(options) => hostile::run(&options),
        Chore::Install(options) => install::run(&options),
        Chore::Stream(options) => stream::run(&options),
        Chore::Test(options) => test::run(&options),
        Chore::Goldens => goldens::references(),
        Chore::Plugins(options) => plugins::run(&options),
        Chore::Tiny => goldens::tiny_model(),
    }
}
