//! Tokens per second of supervised fine-tuning: `sft_throughput MODEL [STEPS [SEQUENCES LENGTH [TOKENS_PER_MICRO_BATCH]]]`.
//!
//! Every token but the first of a sequence is a target, the hardest case for the head.

use std::{error::Error, path::Path};

use perennial_learn::{
    model::Model,
    tokenize::Encoded,
    train::{StopFlag, TRAINING_STACK_BYTES, TrainConfig, train},
};

fn main() -> Result<(), Box<dyn Error>> {
    let worker = std::thread::Builder::new().stack_size(TRAINING_STACK_BYTES).spawn(|| {
        if let Err(error) = measure() {
            report(&format!("error: {error}"));
        }
    })?;
    worker.join().map_err(|_| "the training thread panicked".into())
}

fn measure() -> Result<(), Box<dyn Error + Send + Sync>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let path =
        arguments.first().ok_or("usage: sft_throughput MODEL [STEPS [SEQUENCES LENGTH [TOKENS_PER_MICRO_BATCH]]]")?;
    let number = |at: usize, default: usize| arguments.get(at).map_or(Ok(default), |text| text.parse());
    let (steps, sequences, length) = (number(1, 5)?, number(2, 4)?, number(3, 256)?);
    let model = Model::load(Path::new(path))?;
    let vocabulary = model.config.vocab_size;
    let example = |i: usize| Encoded {
        tokens: (0..length).map(|place| ((i * 7919 + place * 104_729) % vocabulary) as u32).collect(),
        supervised: (0..length).map(|place| place > 0).collect(),
    };
    let config = TrainConfig {
        batch_size: sequences,
        tokens_per_micro_batch: number(4, 1024)?,
        checkpoint_interval_steps: u64::MAX,
        ..TrainConfig::default()
    };
    let dir = std::env::temp_dir().join(format!("sft-throughput-{}", std::process::id()));
    let examples = (0..steps * sequences).map(example).collect();
    let outcome = train(&model, None, examples, &config, &dir, &StopFlag::new(), &mut |progress| {
        report(&format!(
            "step {}: loss {:.4}, {:.2} s, {:.0} tokens/s",
            progress.step, progress.loss, progress.seconds, progress.tokens_per_second
        ));
    });
    std::fs::remove_dir_all(&dir)?;
    outcome?;
    if let Ok(status) = std::fs::read_to_string("/proc/self/status")
        && let Some(peak) = status.lines().find(|line| line.starts_with("VmHWM"))
    {
        report(peak);
    }
    Ok(())
}

#[expect(clippy::print_stdout, reason = "this program's output")]
fn report(line: &str) {
    println!("{line}");
}
