use std::{
    fmt,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use perennial_types::{AdapterId, CycleId};
use serde_json::Value;

use super::{ChangeError, PublishError, link, verify_adapter};
use crate::{NewDecision, Product, Registry, RegistryError};

/// The one owner of what production reads. Whoever changes the champion does so here, and the link is switched here alone,
/// under one lock that is held from the first look at the registry to the last step on disk: so the link always ends at the
/// champion, whatever runs beside. Cheap to clone; there is one for a state directory, whose lock the process holds.
#[derive(Clone, Debug)]
pub struct Publisher {
    registry: Registry,
    adapters: PathBuf,
    export: PathBuf,
    turn: Arc<Mutex<()>>,
    unpublished: Arc<Mutex<Option<Unpublished>>>,
}

/// Production reads something else than the champion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unpublished {
    /// Since when, as far as this process knows.
    pub since_ms: i64,
    /// Why the link could not be switched.
    pub reason: String,
}

impl fmt::Display for Unpublished {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "production does not read the champion: {}", self.reason)
    }
}

impl Publisher {
    /// For the adapters and the link in these folders.
    pub fn new(registry: Registry, adapters: PathBuf, export: PathBuf) -> Self {
        Self { registry, adapters, export, turn: Arc::default(), unpublished: Arc::default() }
    }

    /// Makes the link lead to the champion, whose files are verified before it moves. Where it leads there already, nothing
    /// is written: meant to be called at start and now and then, and after a failure. Returns the champion.
    ///
    /// # Errors
    /// Where the champion's files are not what its lineage says, or the link cannot be switched; [`unpublished`](Self::unpublished)
    /// says so until it could.
    pub fn publish(&self, at_ms: i64) -> Result<Option<AdapterId>, PublishError> {
        let _turn = self.turn();
        self.switch(at_ms)
    }

    /// Makes an adapter the champion by hand, as [`Registry::force_promote`], and switches the link.
    ///
    /// # Errors
    /// [`ChangeError`]
    pub fn promote(&self, adapter: &AdapterId, note: &str, at_ms: i64) -> Result<(), ChangeError> {
        let _turn = self.turn();
        self.verify(adapter)?;
        self.registry.force_promote(adapter, note, at_ms)?;
        self.switch(at_ms).map_err(ChangeError::NotSwitched)?;
        Ok(())
    }

    /// Goes back to an earlier champion, as [`Registry::roll_back`], and switches the link. Returns who is in service now.
    ///
    /// # Errors
    /// [`ChangeError`]
    pub fn roll_back(&self, to: Option<&AdapterId>, at_ms: i64) -> Result<Option<AdapterId>, ChangeError> {
        let _turn = self.turn();
        // Nobody else changes the champion meanwhile, so this is where the registry will go back to.
        if let Some(target) = self.registry.roll_back_target(to)? {
            self.verify(&target)?;
        }
        self.registry.roll_back(to, at_ms)?;
        self.switch(at_ms).map_err(ChangeError::NotSwitched)
    }

    /// Records the gate's word on a cycle. Where it promotes, the candidate's files are verified first; the link is switched
    /// when the cycle publishes.
    ///
    /// # Errors
    /// [`ChangeError`], but for `NotSwitched`.
    pub fn decide(
        &self,
        cycle: CycleId,
        decision: &NewDecision,
        detail: &Value,
        at_ms: i64,
    ) -> Result<(), ChangeError> {
        let _turn = self.turn();
        if decision.passed {
            self.verify(&AdapterId::of(&decision.files))?;
        }
        Ok(self.registry.record_phase(cycle, Product::Decided(decision), detail, at_ms)?)
    }

    /// Whether production reads something else than the champion, because the link could not be switched.
    pub fn unpublished(&self) -> Option<Unpublished> {
        self.unpublished.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn switch(&self, at_ms: i64) -> Result<Option<AdapterId>, PublishError> {
        let switched = self.try_switch();
        let mut unpublished = self.unpublished.lock().unwrap_or_else(PoisonError::into_inner);
        *unpublished = switched.as_ref().err().map(|error| Unpublished {
            since_ms: unpublished.as_ref().map_or(at_ms, |before| before.since_ms),
            reason: error.to_string(),
        });
        switched
    }

    fn try_switch(&self) -> Result<Option<AdapterId>, PublishError> {
        let champion = self.registry.champion()?;
        if link::current(&self.export)? == champion {
            return Ok(champion);
        }
        if let Some(champion) = &champion {
            self.verify_files(champion)?;
        }
        link::switch(&self.export, champion.as_ref())?;
        Ok(champion)
    }

    fn verify(&self, adapter: &AdapterId) -> Result<(), ChangeError> {
        self.verify_files(adapter).map_err(|error| match error {
            PublishError::Registry(error) => ChangeError::Registry(error),
            source => ChangeError::Unfit { adapter: adapter.clone(), source },
        })
    }

    fn verify_files(&self, adapter: &AdapterId) -> Result<(), PublishError> {
        let known = self.registry.adapter(adapter)?.ok_or_else(|| RegistryError::UnknownAdapter(adapter.clone()))?;
        verify_adapter(&self.adapters, &known.files)
    }

    fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
