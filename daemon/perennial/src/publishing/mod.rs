//! Changes of the champion, and the targets that follow it: what stands on this machine at once, whatever is behind a network
//! on a thread of its own.

mod ledger;
#[cfg(test)]
mod tests;

use std::{fmt, os::unix::ffi::OsStrExt as _, sync::Arc, time::Duration};

use perennial_publish::{Look, Outcome, PublishError, Reach, Reconciler, Surroundings, When};
use perennial_registry::{ChampionKeeper, ChangeError, NewDecision, Registry};
use perennial_types::{AdapterId, CycleId, Fingerprint, Publication};
use serde_json::Value;
use tokio::sync::Notify;
use tracing::error;

use self::ledger::RegistryLedger;
use crate::{
    clock,
    config::Config,
    exports::ModelExporter,
    state::StateDir,
    telemetry::{TargetLooked, TargetsKnown, Telemetry},
};

/// How often it is looked whether a target that follows still does.
const LOOK_INTERVAL: Duration = Duration::from_secs(60);

/// The same where a look came to no end.
pub(crate) const LOOK_AGAIN: Duration = Duration::from_secs(10);

/// Changes the champion and makes the targets follow. Cheap to clone; there is one for a state directory.
#[derive(Clone)]
pub(crate) struct Publishing {
    registry: Registry,
    keeper: ChampionKeeper,
    reconciler: Arc<Reconciler>,
    changed: Arc<Notify>,
    telemetry: Telemetry,
}

/// Production reads something else than the champion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unpublished {
    /// Since when, in milliseconds since the Unix epoch.
    pub(crate) since_ms: i64,
    /// Why.
    pub(crate) reason: String,
}

impl fmt::Display for Unpublished {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "production does not read the champion: {}", self.reason)
    }
}

/// The champion is another one now, but production still reads the one before.
#[derive(Debug, thiserror::Error)]
#[error("the change is recorded, but production cannot read the champion yet: {0}; it is tried again until it does")]
pub(crate) struct NotFollowed(#[source] pub(crate) PublishError);

impl Publishing {
    /// For the targets of this configuration.
    pub(crate) fn new(
        config: &Config,
        state: &StateDir,
        registry: Registry,
        telemetry: Telemetry,
        runtime: tokio::runtime::Handle,
    ) -> Self {
        let (adapters, export) = (state.adapters(), state.export());
        let keeper = ChampionKeeper::new(registry.clone(), adapters.clone());
        let ledger = RegistryLedger { registry: registry.clone(), adapters: adapters.clone() };
        let exporter = Arc::new(ModelExporter(config.model.clone()));
        let surroundings = Surroundings { adapters, export, exporter, runtime };
        let publishers: Vec<_> = config.targets().iter().map(|target| target.settings().open(&surroundings)).collect();
        let names: Vec<&str> = publishers.iter().map(|publisher| publisher.name()).collect();
        telemetry.emit_quietly(TargetsKnown(&names));
        let reconciler = Arc::new(Reconciler::new(Box::new(ledger), publishers));
        Self { registry, keeper, reconciler, changed: Arc::default(), telemetry }
    }

    /// Makes what is on this machine serve the champion, and asks for the same of what is behind a network. Returns the
    /// champion.
    ///
    /// # Errors
    /// As [`follow_local`](Self::follow_local).
    pub(crate) fn publish(&self) -> Result<Option<AdapterId>, PublishError> {
        self.changed.notify_one();
        self.follow_local()?;
        self.registry.champion().map_err(|error| PublishError::Ledger(error.into()))
    }

    /// Makes what is on this machine serve the champion. Where all of it does already, nothing is written: meant to be called
    /// at start too.
    ///
    /// # Errors
    /// The first target that cannot follow; [`unpublished`](Self::unpublished) says so until it could.
    pub(crate) fn follow_local(&self) -> Result<(), PublishError> {
        let looks: Vec<_> =
            self.reconciler.names(Reach::Local).iter().map(|target| self.look(target, When::Now)).collect();
        for look in looks {
            if let Some(Look { outcome: Outcome::Failed(error), .. }) = look? {
                return Err(error);
            }
        }
        Ok(())
    }

    /// Makes an adapter the champion by hand, and publishes it.
    ///
    /// # Errors
    /// [`ChangeError`] where nothing changed, [`NotFollowed`] where production does not read it yet.
    pub(crate) fn promote(&self, adapter: &AdapterId, note: &str) -> anyhow::Result<()> {
        self.keeper.promote(adapter, note, clock::now_ms()).map_err(refused)?;
        self.publish().map_err(NotFollowed)?;
        Ok(())
    }

    /// Goes back to an earlier champion, and publishes it. Returns who is in service now.
    ///
    /// # Errors
    /// As [`promote`](Self::promote).
    pub(crate) fn roll_back(&self, to: Option<&AdapterId>) -> anyhow::Result<Option<AdapterId>> {
        let champion = self.keeper.roll_back(to, clock::now_ms()).map_err(refused)?;
        self.publish().map_err(NotFollowed)?;
        Ok(champion)
    }

    /// Records the gate's word on a cycle; its candidate is published when the cycle publishes.
    ///
    /// # Errors
    /// [`ChangeError`]
    pub(crate) fn decide(&self, cycle: CycleId, decision: &NewDecision, detail: &Value) -> anyhow::Result<()> {
        self.keeper.decide(cycle, decision, detail, clock::now_ms()).map_err(refused)
    }

    /// All targets, in the order of the configuration.
    pub(crate) fn names(&self) -> Vec<String> {
        self.reconciler.publishers().map(|publisher| publisher.name().to_owned()).collect()
    }

    /// Looks at a target, and makes it serve the champion where it is time for a try. Returns when to look again.
    pub(crate) fn follow(&self, target: &str, when: When) -> Duration {
        match self.look(target, when) {
            Ok(look) => look.map_or(LOOK_INTERVAL, |look| until(&look.publication)),
            Err(problem) => {
                error!(to = target, error = %problem, "it cannot be looked what a target serves; tried again");
                LOOK_AGAIN
            }
        }
    }

    /// Tries once to make whatever is behind a network follow: for commands that change the champion where no daemon runs.
    pub(crate) fn follow_remote(&self) {
        for target in self.reconciler.names(Reach::Remote) {
            self.follow(&target, When::Now);
        }
    }

    /// Returns once the champion may have changed since the last call returned.
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Whether production reads something else than the champion, as far as was seen.
    pub(crate) fn unpublished(&self) -> Option<Unpublished> {
        self.reconciler.known(Reach::Local).find(Publication::is_behind).map(unpublished)
    }

    /// How each target stands, looked at anew, whether a daemon runs or not.
    ///
    /// # Errors
    /// Where the registry fails.
    pub(crate) fn standings(&self) -> Result<Vec<Publication>, PublishError> {
        self.reconciler.standings(clock::now_ms())
    }

    /// Of these standings, what production reads in place of the champion, in words.
    pub(crate) fn astray(&self, standings: &[Publication]) -> Option<String> {
        let local = self.reconciler.names(Reach::Local);
        let behind = standings.iter().find(|known| known.is_behind() && local.contains(&known.target))?;
        Some(unpublished(behind.clone()).reason)
    }

    /// A link that production may read and that nobody keeps any more, in words.
    pub(crate) fn forgotten(&self, state: &StateDir) -> anyhow::Result<Option<String>> {
        let export = state.export();
        let place = Fingerprint::of(export.as_os_str().as_bytes());
        if self.reconciler.publishers().any(|publisher| publisher.place() == place) {
            return Ok(None);
        }
        let Some(served) = perennial_publish::current(&export).ok().flatten() else { return Ok(None) };
        if self.registry.champion()?.as_ref() == Some(&served) {
            return Ok(None);
        }
        Ok(Some(format!(
            "{} leads to {served} still, and no [[publish]] keeps it: remove it, or add kind = \"folder\"",
            export.join("current").display()
        )))
    }

    fn look(&self, target: &str, when: When) -> Result<Option<Look>, PublishError> {
        let look = self.reconciler.follow(target, when, clock::now_ms())?;
        if let Some(look) = &look {
            self.telemetry.emit_quietly(TargetLooked { target, look, is_unpublished: self.unpublished().is_some() });
        }
        Ok(look)
    }
}

fn unpublished(known: Publication) -> Unpublished {
    let name = |adapter: Option<AdapterId>| adapter.map_or_else(|| "the base model".to_owned(), |id| id.to_string());
    let reason = known.error.unwrap_or_else(|| {
        let (served, wished) = (name(known.served_adapter), name(known.wished_adapter));
        format!("production reads {served}, the champion is {wished}")
    });
    Unpublished { since_ms: known.since_ms, reason }
}

/// When to look at a target again.
fn until(publication: &Publication) -> Duration {
    let next_ms = publication.next_ms.filter(|_| publication.is_behind());
    let left_ms = next_ms.map(|next_ms| u64::try_from(next_ms - clock::now_ms()).unwrap_or_default());
    left_ms.map_or(LOOK_INTERVAL, |left_ms| Duration::from_millis(left_ms).min(LOOK_INTERVAL))
}

/// What the registry says is told in its own words: HTTP answers by its kinds.
fn refused(error: ChangeError) -> anyhow::Error {
    match error {
        ChangeError::Registry(error) => error.into(),
        error => error.into(),
    }
}
