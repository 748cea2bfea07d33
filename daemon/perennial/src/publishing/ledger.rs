use std::path::PathBuf;

use perennial_publish::{Champion, Ledger, LedgerError, Wish};
use perennial_registry::{Registry, RegistryError, store};
use perennial_types::{AdapterId, Publication};

/// The registry, as the reconciler asks it.
pub(super) struct RegistryLedger {
    pub(super) registry: Registry,
    pub(super) adapters: PathBuf,
}

impl RegistryLedger {
    fn champion(&self, adapter: AdapterId) -> Result<Champion, RegistryError> {
        let known = self.registry.adapter(&adapter)?.ok_or_else(|| RegistryError::UnknownAdapter(adapter.clone()))?;
        let folder = self.adapters.join(adapter.as_str());
        let (base, cycle) = (known.lineage.base, known.lineage.cycle);
        Ok(Champion { adapter, files: known.files, folder, base, cycle })
    }
}

impl Ledger for RegistryLedger {
    fn wish(&self) -> Result<Wish, LedgerError> {
        let Some((change, promotion)) = self.registry.last_promotion()? else {
            return Ok(Wish { change: 0, at_ms: 0, reason: String::new(), champion: None, previous: None });
        };
        let champion = promotion.to.map(|adapter| self.champion(adapter)).transpose()?;
        let reason = promotion.reason.as_str().to_owned();
        Ok(Wish { change, at_ms: promotion.at_ms, reason, champion, previous: promotion.from })
    }

    fn verify(&self, wish: &Wish) -> Result<(), LedgerError> {
        let Some(champion) = &wish.champion else { return Ok(()) };
        Ok(store::verify_adapter(&self.adapters, &champion.files)?)
    }

    fn publication(&self, target: &str) -> Result<Option<Publication>, LedgerError> {
        Ok(self.registry.publication(target)?)
    }

    fn record(&self, publication: &Publication) -> Result<(), LedgerError> {
        Ok(self.registry.record_publication(publication)?)
    }
}
