//! What the objectives of a stage come to, one after the other, up to the candidate.

use std::collections::BTreeSet;

use perennial_learn::{adapter::Adapter, train::OptimizerState};
use perennial_types::SampleId;

use super::{
    Idle, Interpolation, ObjectiveEnd, Orthogonal, Reasons, SlowStep, Stage, StageEnd, Trained, TrainedStage,
    consolidate, fisher, interpolate, optimizer, orthogonal, spectrum,
};
use crate::{
    config::{Objective, TrainStage},
    failure::Final,
    telemetry::{NothingLearned, Telemetry},
};

/// What the objectives came to so far.
#[derive(Default)]
pub(super) struct StageRun {
    pub(super) adapter: Option<Adapter>,
    trained: Vec<Trained>,
    /// What AdamW knew after each objective that learned; `None` where the adapter was not what its last step left.
    optimizers: Vec<(Objective, Option<Box<OptimizerState>>)>,
    learned_from: BTreeSet<SampleId>,
    skipped: Reasons,
    unseen: BTreeSet<SampleId>,
    idle: Vec<(Objective, Final)>,
    orthogonal: Option<Orthogonal>,
    consolidation: Option<SlowStep>,
    interpolation: Option<Interpolation>,
    notes: Vec<String>,
}

#[derive(PartialEq, Eq)]
pub(super) enum Progress {
    GoesOn,
    Stopped,
}

impl StageRun {
    /// Before the first objective.
    pub(super) fn new(adapter: Option<Adapter>, notes: Vec<String>) -> Self {
        Self { adapter, notes, ..Self::default() }
    }

    pub(super) fn take(&mut self, objective: Objective, end: ObjectiveEnd, telemetry: &Telemetry) -> Progress {
        let (lessons, idle) = match end {
            ObjectiveEnd::Stopped => return Progress::Stopped,
            ObjectiveEnd::Trained { adapter, trained, optimizer, lessons, idle } => {
                self.adapter = Some(adapter);
                if trained.learned {
                    self.optimizers.push((objective, optimizer));
                }
                self.trained.push(*trained);
                (lessons, idle)
            }
            ObjectiveEnd::NothingToLearn { why, lessons } => (lessons, Some(why)),
        };
        self.learned_from.extend(lessons.learned_from);
        self.skipped.extend(lessons.skipped);
        self.unseen.extend(lessons.unseen);
        if let Some(why) = idle {
            telemetry.emit(NothingLearned { objective, why: &why });
            self.idle.push((objective, why));
        }
        Progress::GoesOn
    }

    /// The stages that had something to learn from.
    fn learned(&self, stages: &[TrainStage]) -> Vec<TrainStage> {
        let has_learned =
            |own: &&TrainStage| self.trained.iter().any(|run| run.learned && run.objective == own.objective);
        stages.iter().filter(has_learned).cloned().collect()
    }

    /// Brings what was trained beside the champion into the configured rank.
    pub(super) fn bring_back(&mut self, stage: &Stage<'_>) -> anyhow::Result<()> {
        let Some(trained) = self.adapter.as_ref().filter(|_| self.has_learned()) else { return Ok(()) };
        if let Some((adapter, orthogonal)) = orthogonal::bring_back(stage, trained)? {
            self.notes.push(orthogonal.told(adapter.config().r));
            (self.adapter, self.orthogonal) = (Some(adapter), Some(orthogonal));
        }
        Ok(())
    }

    /// Places the candidate between what was known and what was learned, where it is not all of the latter.
    pub(super) fn place(
        &mut self,
        stage: &Stage<'_>,
        stages: &[TrainStage],
        champion: Option<&Adapter>,
    ) -> anyhow::Result<Progress> {
        let Some(consolidation) = &stage.manifest.consolidation else {
            return self.interpolate(stage, stages, champion);
        };
        let Some(trained) = self.adapter.as_ref().filter(|_| self.has_learned()) else { return Ok(Progress::GoesOn) };
        let (adapter, step) = consolidate::run(stage, consolidation, trained)?;
        self.notes.push(step.told());
        if !stage.validation.is_empty() && !stage.manifest.train.interpolate.is_empty() {
            self.notes.push(
                "Interpolation is off: in a cycle that consolidates train.slow.alpha says how far to go.".to_owned(),
            );
        }
        (self.adapter, self.consolidation) = (Some(adapter), Some(step));
        Ok(Progress::GoesOn)
    }

    fn has_learned(&self) -> bool {
        self.trained.iter().any(|trained| trained.learned)
    }

    /// Goes as far from the champion towards what was learned as validates best.
    fn interpolate(
        &mut self,
        stage: &Stage<'_>,
        stages: &[TrainStage],
        champion: Option<&Adapter>,
    ) -> anyhow::Result<Progress> {
        let learned = self.learned(stages);
        let Some(trained) = self.adapter.as_ref().filter(|_| !learned.is_empty()) else { return Ok(Progress::GoesOn) };
        match interpolate::run(stage, &learned, champion, trained)? {
            interpolate::End::Stopped => return Ok(Progress::Stopped),
            interpolate::End::Off(why) => self.notes.extend(why),
            interpolate::End::Chosen { adapter, interpolation } => {
                self.notes.push(interpolation.told(champion.is_some()));
                (self.adapter, self.interpolation) = (Some(adapter), Some(interpolation));
            }
        }
        Ok(Progress::GoesOn)
    }

    pub(super) fn finish(
        mut self,
        stage: &Stage<'_>,
        stages: &[TrainStage],
        champion: Option<&Adapter>,
    ) -> anyhow::Result<StageEnd> {
        let learned = self.learned(stages);
        let (learned_from, unseen) = (&self.learned_from, &mut self.unseen);
        unseen.retain(|id| !learned_from.contains(id));
        self.skipped.retain(|id, _| !learned_from.contains(id) && !unseen.contains(id));
        let learned_nothing = self.idle.iter().map(|(objective, why)| format!("{}: {why}", objective.as_str()));
        let told = self.trained.iter().flat_map(|trained| {
            let objective = trained.objective.as_str();
            let counted = trained.told.iter();
            let counted =
                counted.map(move |(_, samples, meaning)| format!("{objective}: {samples} samples: {meaning}"));
            counted.chain(trained.notes.iter().map(move |note| format!("{objective}: {note}")))
        });
        let mut notes: Vec<String> = self.notes.iter().cloned().chain(learned_nothing).chain(told).collect();
        let candidate = match self.adapter {
            Some(adapter) if self.trained.iter().any(|trained| trained.learned) => adapter,
            _ => return Ok(StageEnd::Idle(idle(self.idle, self.skipped, stage))),
        };
        let unchanged = match stage.past.champion {
            Some(first) => first.fingerprint()? == candidate.fingerprint()?,
            None => candidate.has_no_effect(stage.model)?,
        };
        if unchanged {
            let why = Final::new(
                "training ended where it began: not one number of the adapter changed",
                "raise train.learning_rate, or take more steps",
            );
            return Ok(StageEnd::Idle(Idle { why, skipped: self.skipped }));
        }
        let spectrum::Told { record: spectrum, notes: of_spectrum } = spectrum::tell(&candidate, stage.telemetry)?;
        notes.extend(of_spectrum);
        if !fisher::measure(stage, &learned, champion, &candidate)? {
            return Ok(StageEnd::Stopped);
        }
        notes.extend(optimizer::keep(stage, self.optimizers, &candidate)?);
        candidate.save_peft(&stage.folder.candidate(), &stage.manifest.base_name)?;
        let (manifest, skipped, unseen) = (stage.manifest.clone(), self.skipped, self.unseen);
        let (trained, orthogonal) = (self.trained, self.orthogonal);
        let (consolidation, interpolation) = (self.consolidation, self.interpolation);
        Ok(StageEnd::Trained(Box::new(TrainedStage {
            manifest,
            trained,
            skipped,
            unseen,
            orthogonal,
            consolidation,
            interpolation,
            spectrum,
            notes,
        })))
    }
}

/// Why none of the objectives learned anything.
fn idle(idle: Vec<(Objective, Final)>, skipped: Reasons, stage: &Stage<'_>) -> Idle {
    let reasons: Vec<String> = idle.iter().map(|(objective, why)| format!("{}: {why}", objective.as_str())).collect();
    let mut remedies: Vec<&str> = idle.iter().map(|(_, why)| why.remedy.as_str()).collect();
    remedies.dedup();
    let reason =
        format!("nothing was learned from the {} samples of the mix: {}", stage.rows.len(), reasons.join("; "));
    Idle { why: Final::new(reason, remedies.join("; ")), skipped }
}
