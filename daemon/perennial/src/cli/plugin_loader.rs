use std::{
    io::{self, Read as _},
    process, thread,
};

use anyhow::Context as _;
use rlimit::{Resource, setrlimit};

use crate::rewards::loader::LoadLimits;

/// `perennial plugin-loader`: the other end of the loader of plugins. It is no command for people.
#[derive(Debug, clap::Args)]
pub(super) struct PluginLoader {
    #[command(flatten)]
    limits: LoadLimits,
}

/// What may be mapped without being touched, beyond what may be held: stacks of threads, and the pool of instances.
const UNTOUCHED_BYTES_MAX: u64 = 512 << 20;

impl PluginLoader {
    /// Carries out the job that stands in the input, under the limits.
    pub(super) fn run(&self) -> anyhow::Result<()> {
        self.limit();
        let job = perennial_reward::read_job(&mut io::stdin().lock()).context("there is no job in the input")?;
        thread::Builder::new().name("end-of-input".to_owned()).spawn(end_with_the_input)?;
        job.carry_out(&mut io::stdout().lock())?;
        Ok(())
    }

    /// What the system refuses comes at once, and the watch that the other end keeps comes a moment later. Where a service may
    /// set no limits, the watch is alone.
    fn limit(&self) {
        let LoadLimits { seconds_max, memory_bytes_max } = self.limits;
        let data = memory_bytes_max.saturating_add(UNTOUCHED_BYTES_MAX);
        // Several threads take more seconds of processors than the clock shows.
        let processor_seconds = seconds_max.ceil() as u64 * rayon::current_num_threads().max(1) as u64 + 1;
        let limits = [
            (Resource::DATA, data, data),
            (Resource::CPU, processor_seconds, processor_seconds + 1),
            (Resource::CORE, 0, 0),
        ];
        for (resource, soft, hard) in limits {
            let _ = setrlimit(resource, soft, hard);
        }
    }
}

/// The input stays open for as long as somebody waits for the answer.
#[expect(clippy::disallowed_methods, reason = "nothing is to be tidied up, and the thread that works cannot be told")]
fn end_with_the_input() {
    let _ = io::stdin().lock().read(&mut [0]);
    process::abort();
}
