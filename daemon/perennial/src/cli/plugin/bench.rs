use std::time::{Duration, Instant};

use anyhow::ensure;
use serde::Serialize;

use super::{
    super::{output, session::Session},
    trial::Subject,
};

/// `perennial plugin bench`
#[derive(Debug, clap::Args)]
pub(in super::super) struct Bench {
    #[command(flatten)]
    subject: Subject,
    /// How long to measure
    #[arg(long, default_value_t = 3.0, value_name = "SECONDS")]
    seconds: f64,
    /// As JSON
    #[arg(long)]
    json: bool,
}

/// Calls before the measurement: the first ones touch memory that later ones find ready.
const WARM_UP_CALLS: usize = 3;

/// What calls cost, one after another on one thread.
#[derive(Debug, Serialize)]
struct Measured {
    calls: usize,
    samples: usize,
    seconds: f64,
    calls_per_second: f64,
    samples_per_second: f64,
    /// Of one call.
    p50_microseconds: f64,
    p99_microseconds: f64,
    fuel_per_sample: f64,
    memory_bytes_peak: u64,
}

struct Call {
    took: Duration,
    samples: usize,
    fuel: u64,
    memory_bytes: u64,
}

impl Bench {
    /// Asks the cases in turn for as long as it takes.
    pub(super) fn run(&self, session: &Session) -> anyhow::Result<()> {
        ensure!(self.seconds > 0.0 && self.seconds.is_finite(), "--seconds must be more than 0");
        let trial = self.subject.open(session)?;
        let plugins = trial.load()?;
        let asked = trial.cases.iter().zip(plugins).filter_map(|((_, case), plugin)| Some((plugin.ok()?, case.task())));
        let asked: Vec<_> = asked.collect();
        ensure!(!asked.is_empty(), "no case has a configuration that the plugin accepts");
        let mut rounds = asked.iter().cycle();
        let mut call = || {
            let (plugin, task) = rounds.next()?;
            let cost = plugin.score(task).cost;
            let samples = task.samples.len();
            Some(Call { took: cost.took, samples, fuel: cost.fuel, memory_bytes: cost.memory_bytes_peak })
        };
        for _ in 0..WARM_UP_CALLS {
            call();
        }
        let started = Instant::now();
        let mut calls = Vec::new();
        while started.elapsed().as_secs_f64() < self.seconds || calls.len() < asked.len() {
            calls.extend(call());
        }
        let measured = measure(&calls, started.elapsed());
        if self.json {
            return output::json(&measured);
        }
        output::line(text(&measured));
        Ok(())
    }
}

fn measure(calls: &[Call], took: Duration) -> Measured {
    let mut microseconds: Vec<f64> = calls.iter().map(|call| call.took.as_secs_f64() * 1e6).collect();
    microseconds.sort_by(f64::total_cmp);
    let samples = calls.iter().map(|call| call.samples).sum();
    let fuel: u64 = calls.iter().map(|call| call.fuel).sum();
    let seconds = took.as_secs_f64();
    Measured {
        calls: calls.len(),
        samples,
        seconds,
        calls_per_second: calls.len() as f64 / seconds,
        samples_per_second: samples as f64 / seconds,
        p50_microseconds: percentile(&microseconds, 50),
        p99_microseconds: percentile(&microseconds, 99),
        fuel_per_sample: fuel as f64 / samples.max(1) as f64,
        memory_bytes_peak: calls.iter().map(|call| call.memory_bytes).max().unwrap_or(0),
    }
}

/// The smallest value that this share of all is not above.
fn percentile(sorted: &[f64], percent: usize) -> f64 {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied().unwrap_or(0.0)
}

fn text(measured: &Measured) -> String {
    let Measured { calls, samples, seconds, calls_per_second, samples_per_second, .. } = measured;
    format!(
        "calls            {calls} with {samples} samples in {seconds:.1} s, one after another\n\
         calls/s          {calls_per_second:.0}\n\
         samples/s        {samples_per_second:.0}\n\
         p50 of a call    {:.0} µs\n\
         p99 of a call    {:.0} µs\n\
         fuel per sample  {:.0}\n\
         peak memory      {} KiB",
        measured.p50_microseconds,
        measured.p99_microseconds,
        measured.fuel_per_sample,
        measured.memory_bytes_peak >> 10,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_what_was_measured() {
        let values: Vec<f64> = (1..=200).map(f64::from).collect();
        assert_eq!((percentile(&values, 50), percentile(&values, 99)), (100.0, 198.0));
        assert_eq!((percentile(&[7.0], 50), percentile(&[7.0], 99), percentile(&[], 50)), (7.0, 7.0, 0.0));
    }

    #[test]
    fn measurement_reads_well() {
        let call = |micros, samples| Call {
            took: Duration::from_micros(micros),
            samples,
            fuel: 1000 * samples as u64,
            memory_bytes: (micros << 10) + 5,
        };
        let calls = [call(20, 4), call(10, 4), call(900, 2)];
        insta::assert_snapshot!(text(&measure(&calls, Duration::from_millis(100))));
    }
}
