use std::{collections::BTreeMap, path::Path, time::Instant};

use super::{
    Outcome, TrainConfig, TrainError,
    canonical::Names,
    frozen::Frozen,
    gradients::Batch,
    lesson::{Lesson, Objective, Round, Taken},
    passes::Passes,
    penalty::{Past, Penalty, penalties},
    run::{Run, check_shape, start_of},
    validation::Validation,
};
use crate::{
    adapter::{Adapter, Kind},
    model::Model,
    stop::StopFlag,
};

/// Where a run happens, and from what it starts.
pub(super) struct Begin<'a> {
    pub(super) model: &'a Model,
    pub(super) parent: Option<Adapter>,
    pub(super) past: Past<'a>,
    pub(super) names: Names,
    /// With the length and the rate of the objective.
    pub(super) config: &'a TrainConfig,
    pub(super) checkpoint_dir: &'a Path,
    pub(super) stop: &'a StopFlag,
    /// Hears of every validation.
    pub(super) on_validation: &'a mut dyn FnMut(&Validation),
}

/// Trains an adapter by an objective: every run of every objective is this loop. It goes on from the newest checkpoint, and ends
/// with the bytes of a run that was never interrupted, where the objective makes the same rounds again.
pub(super) fn run<O: Objective>(
    begin: Begin<'_>,
    objective: &mut O,
    on_step: &mut dyn FnMut(&O::Line),
) -> Result<Outcome, TrainError> {
    let Begin { model, parent, past, names, config, checkpoint_dir, stop, on_validation } = begin;
    let (start, steps) = (start_of(model, parent, past.optimizer, config)?, objective.steps());
    let frozen = frozen_of(past, config)?;
    let mut run = Run::<O::Line>::open(start, names, steps, frozen, config, checkpoint_dir)?;
    let mut passes = Passes::new(model, config)?;
    if let Some(champion) = past.champion.filter(|_| config.penalty.holds_to_parameters()) {
        check_shape(champion.config(), &config.lora)?;
    }
    let penalties = penalties(&config.penalty, past)?;
    let awaits_validation = objective.validator().is_some_and(|validator| run.awaits_validation(validator));
    let more = awaits_validation || !run.is_through();
    if more && !objective.prepare(&mut passes, run.checkpoints(), stop)? {
        return run.stop();
    }
    loop {
        if !validate(&mut run, objective, &mut passes, stop, on_validation)? {
            return run.stop();
        }
        run.save_if_due()?;
        if run.is_through() {
            let seen = objective.seen(&run.state);
            return run.finish(seen);
        }
        let started = Instant::now();
        let Some(round) = objective.round(&mut passes, &run.state, stop)? else { return run.stop() };
        if !take(&mut run, objective, &mut passes, &round, started, config, &penalties, stop, on_step)? {
            return run.stop();
        }
        run.state.drawn = round.drawn;
    }
}

/// What the run leaves as it is.
fn frozen_of(past: Past<'_>, config: &TrainConfig) -> Result<Frozen, TrainError> {
    let rank = past.frozen_rank;
    if rank > 0 && (rank >= config.lora.r || config.lora.kind != Kind::LORA) {
        let rule = "trains a pair beside the frozen one, and goes with plain LoRA alone";
        return Err(TrainError::Config { key: "penalty.orthogonal.weight", rule });
    }
    Ok(Frozen { rank })
}

/// Asks for the validation loss where it is due. False where it was asked to stop: it is then asked for again.
fn validate<O: Objective>(
    run: &mut Run<'_, O::Line>,
    objective: &O,
    passes: &mut Passes<'_>,
    stop: &StopFlag,
    on_validation: &mut dyn FnMut(&Validation),
) -> Result<bool, TrainError> {
    let Some(validator) = objective.validator().filter(|validator| run.awaits_validation(*validator)) else {
        return Ok(true);
    };
    let started = Instant::now();
    let Some(loss) = validator.loss(passes, &run.state.outcome(), stop)? else { return Ok(false) };
    let line = run.validated(loss, validator.epoch(run.step()), started.elapsed().as_secs_f64())?;
    on_validation(&line);
    Ok(true)
}

/// Takes the steps of a round. False where it was asked to stop: the run is then where it was before the round.
#[expect(clippy::too_many_arguments, reason = "all of them are what a step is made of")]
fn take<O: Objective>(
    run: &mut Run<'_, O::Line>,
    objective: &O,
    passes: &mut Passes<'_>,
    round: &Round,
    round_started: Instant,
    config: &TrainConfig,
    penalties: &[Box<dyn Penalty>],
    stop: &StopFlag,
    on_step: &mut dyn FnMut(&O::Line),
) -> Result<bool, TrainError> {
    // A round of one step changes nothing before that step is through.
    let border = (round.steps > 1).then(|| run.state.clone());
    let mut round_seconds = round_started.elapsed().as_secs_f64();
    for update in 0..round.steps {
        if run.is_through() {
            break;
        }
        let (step, started) = (run.step() + 1, Instant::now());
        let (Lesson { units, teachers, temperature }, mut loss) = objective.step(update);
        let tokens_per_micro_batch = config.tokens_per_micro_batch;
        let batch = Batch { units: &units, temperature, teachers: &teachers, tokens_per_micro_batch, step };
        let Some(mut result) = batch.run(passes, &run.state.parameters, &mut loss, stop)? else {
            if let Some(border) = border {
                run.state = border;
            }
            return Ok(false);
        };
        let mut told: BTreeMap<String, f64> = result.divergences.figures().collect();
        for penalty in penalties {
            let value = penalty.add(&run.state.parameters, &mut result.gradients);
            result.loss += value;
            told.insert(penalty.figure().to_owned(), value);
        }
        let names: Vec<usize> = units.iter().map(|unit| unit.name).collect();
        let taken = Taken {
            step,
            steps: objective.steps(),
            loss: result.loss,
            update: run.update(result.gradients, &names)?,
            tokens: result.tokens as u64,
            supervised_tokens: result.supervised_tokens as u64,
            seconds: started.elapsed().as_secs_f64(),
            penalties: told,
            round_seconds: std::mem::take(&mut round_seconds),
        };
        let line = objective.line(taken, loss);
        run.record(&line)?;
        on_step(&line);
    }
    Ok(true)
}
