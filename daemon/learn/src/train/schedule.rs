use super::{Schedule, TrainConfig};

/// Optimiser steps of a run that a warm-up which yields is for, at least: of fewer, it would cost too many.
const WARMUP_STEPS_MIN: u64 = 10;

/// The learning rate of optimiser step `step`, from 0, of `steps`. As in transformers, the first step of a warm-up has
/// the rate zero.
pub(super) fn learning_rate(config: &TrainConfig, step: u64, steps: u64) -> f64 {
    let warmup = match steps {
        ..WARMUP_STEPS_MIN if config.warmup_yields => 0,
        _ => (steps as f64 * config.warmup_ratio).ceil() as u64,
    };
    config.learning_rate * factor(config.schedule, step, warmup, steps)
}

/// Whether the rate is 0 in every step: then a run changes nothing. That is so where there is one step and it begins a
/// warm-up.
pub(super) fn never_learns(config: &TrainConfig, steps: u64) -> bool {
    steps > 0 && (0..steps).all(|step| learning_rate(config, step, steps) == 0.0)
}

fn factor(schedule: Schedule, step: u64, warmup: u64, steps: u64) -> f64 {
    if step < warmup {
        return step as f64 / warmup.max(1) as f64;
    }
    let progress = (step - warmup) as f64 / steps.saturating_sub(warmup).max(1) as f64;
    schedule.way().factor(progress)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_transformers() {
        // transformers.get_*_schedule_with_warmup(num_warmup_steps=2, num_training_steps=10), steps 0 to 9.
        let cases = [
            (Schedule::Linear, [0.0, 0.5, 1.0, 0.875, 0.75, 0.625, 0.5, 0.375, 0.25, 0.125]),
            (Schedule::Cosine, [0.0, 0.5, 1.0, 0.961_940, 0.853_553, 0.691_342, 0.5, 0.308_658, 0.146_447, 0.038_060]),
            (Schedule::Constant, [0.0, 0.5, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]),
        ];
        for (schedule, expected) in cases {
            for (step, expected) in expected.into_iter().enumerate() {
                assert!((factor(schedule, step as u64, 2, 10) - expected).abs() < 1e-6, "{schedule:?} at {step}");
            }
        }
    }

    #[test]
    fn the_warm_up_is_a_share_of_the_steps() {
        let config = TrainConfig { warmup_ratio: 0.11, learning_rate: 1.0, ..TrainConfig::default() };
        assert_eq!(learning_rate(&config, 1, 10), 0.5);
        assert_eq!(learning_rate(&TrainConfig { warmup_ratio: 0.0, ..config }, 0, 10), 1.0);
    }

    #[test]
    fn only_a_single_step_of_warm_up_never_learns() {
        for schedule in Schedule::ALL.iter().copied() {
            let config = TrainConfig { warmup_ratio: 0.05, schedule, ..TrainConfig::default() };
            assert!(never_learns(&config, 1), "{schedule:?}");
            assert!(!never_learns(&config, 2), "{schedule:?}");
            assert!(!never_learns(&TrainConfig { warmup_ratio: 0.99, ..config.clone() }, 2), "{schedule:?}");
            assert!(!never_learns(&TrainConfig { warmup_yields: true, ..config.clone() }, 1), "{schedule:?}");
            assert!(!never_learns(&TrainConfig { warmup_ratio: 0.0, ..config }, 1), "{schedule:?}");
        }
    }
}
