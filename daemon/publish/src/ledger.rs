use perennial_types::Publication;

use crate::Wish;

/// Why the ledger did not answer.
pub type LedgerError = Box<dyn std::error::Error + Send + Sync>;

/// What the reconciler asks of the registry. Whatever is recorded is on disk when the call returns.
pub trait Ledger: Send + Sync {
    /// What every target should serve now.
    ///
    /// # Errors
    /// Where the registry fails.
    fn wish(&self) -> Result<Wish, LedgerError>;

    /// That the champion's files are what its lineage says. Reads them.
    ///
    /// # Errors
    /// Where they are not, or cannot be read.
    fn verify(&self, wish: &Wish) -> Result<(), LedgerError>;

    /// What is known of a target; `None` where it was never looked at.
    ///
    /// # Errors
    /// Where the registry fails.
    fn publication(&self, target: &str) -> Result<Option<Publication>, LedgerError>;

    /// Keeps what is known of a target.
    ///
    /// # Errors
    /// Where the registry fails.
    fn record(&self, publication: &Publication) -> Result<(), LedgerError>;
}
