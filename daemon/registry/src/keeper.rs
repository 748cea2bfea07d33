use std::{
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use perennial_types::{AdapterId, CycleId};
use serde_json::Value;

use crate::{
    NewDecision, Product, Registry, RegistryError,
    store::{StoreError, verify_adapter},
};

/// The one who changes the champion: under one lock, and only for an adapter whose files are what its lineage says. Cheap to
/// clone; there is one for a state directory, whose lock the process holds.
#[derive(Clone, Debug)]
pub struct ChampionKeeper {
    registry: Registry,
    adapters: PathBuf,
    turn: Arc<Mutex<()>>,
}

/// Why the champion could not be changed. Nothing changed.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// The registry refused or failed.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The adapter that was to be put in service is not what its lineage says, or cannot be read.
    #[error("{adapter} cannot be put in service: {source}")]
    Unfit {
        /// Which.
        adapter: AdapterId,
        /// What is wrong with it.
        source: StoreError,
    },
}

impl ChampionKeeper {
    /// For the adapters in this folder.
    pub fn new(registry: Registry, adapters: PathBuf) -> Self {
        Self { registry, adapters, turn: Arc::default() }
    }

    /// Makes an adapter the champion by hand, as [`Registry::force_promote`].
    ///
    /// # Errors
    /// [`ChangeError`]
    pub fn promote(&self, adapter: &AdapterId, note: &str, at_ms: i64) -> Result<(), ChangeError> {
        let _turn = self.turn();
        self.verify(adapter)?;
        Ok(self.registry.force_promote(adapter, note, at_ms)?)
    }

    /// Goes back to an earlier champion, as [`Registry::roll_back`]. Returns who is in service now.
    ///
    /// # Errors
    /// [`ChangeError`]
    pub fn roll_back(&self, to: Option<&AdapterId>, at_ms: i64) -> Result<Option<AdapterId>, ChangeError> {
        let _turn = self.turn();
        // Nobody else changes the champion meanwhile, so this is where the registry will go back to.
        if let Some(target) = self.registry.roll_back_target(to)? {
            self.verify(&target)?;
        }
        Ok(self.registry.roll_back(to, at_ms)?)
    }

    /// Records the gate's word on a cycle. Where it promotes, the candidate's files are verified first.
    ///
    /// # Errors
    /// [`ChangeError`]
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

    fn verify(&self, adapter: &AdapterId) -> Result<(), ChangeError> {
        let known = self.registry.adapter(adapter)?.ok_or_else(|| RegistryError::UnknownAdapter(adapter.clone()))?;
        verify_adapter(&self.adapters, &known.files)
            .map_err(|source| ChangeError::Unfit { adapter: adapter.clone(), source })
    }

    fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
