use std::{
    fs::OpenOptions,
    io,
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use perennial_durable::failpoint;
use rusqlite::{Connection, Transaction, TransactionBehavior, ffi};

use crate::RegistryError;

/// Step `n` brings a database from version `n` to `n + 1`. Steps are only ever added.
const MIGRATIONS: [&str; 7] = [
    include_str!("migrations/001.sql"),
    include_str!("migrations/002.sql"),
    include_str!("migrations/003.sql"),
    include_str!("migrations/004.sql"),
    include_str!("migrations/005.sql"),
    include_str!("migrations/006.sql"),
    include_str!("migrations/007.sql"),
];

/// Marks the file as Perennial's ("PERN"), so that another program's database is not taken for an empty one.
const APPLICATION_ID: i32 = 0x5045_524e;

/// What others may read of the catalogue is for the program to tell.
const FILE_MODE: u32 = 0o600;
/// What the write-ahead log is cut back to once it was copied into the database. It grows beyond while somebody reads.
const WAL_BYTES_KEPT: u64 = 4 << 20;

/// How long a writer waits for a reader in another process, such as a command that lists adapters.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// The registry: a handle that is cheap to clone and may be used from any thread. There is one connection, so writers
/// take turns; that only one process writes is the caller's lock to keep.
#[derive(Clone, Debug)]
pub struct Registry {
    connection: Arc<Mutex<Connection>>,
}

impl Registry {
    /// Opens the database, creates it where it is missing, and brings an older one up to date. Write-ahead log, fully
    /// synchronous: what is committed survives a power cut.
    ///
    /// # Errors
    /// Where the file cannot be opened, is another program's, or is of a newer version.
    pub fn open(path: &Path) -> Result<Self, RegistryError> {
        let open = |source| RegistryError::Open { path: path.to_owned(), source };
        create_closed(path).map_err(|source| RegistryError::Create { path: path.to_owned(), source })?;
        let mut connection = Connection::open(path).map_err(open)?;
        connection.busy_timeout(BUSY_TIMEOUT)?;
        check_owner(&connection, path)?;
        connection.pragma_update(None, "journal_mode", "WAL").map_err(open)?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "foreign_keys", true)?;
        connection.pragma_update(None, "journal_size_limit", WAL_BYTES_KEPT)?;
        migrate(&mut connection)?;
        Ok(Self { connection: Arc::new(Mutex::new(connection)) })
    }

    /// Runs one of the [`invariants`](crate::invariants), or any other reading.
    pub fn read<T>(&self, read: impl FnOnce(&Connection) -> T) -> T {
        read(&self.lock())
    }

    /// Runs `write` in one transaction, which is committed only where it succeeds.
    pub(crate) fn write<T>(
        &self,
        write: impl FnOnce(&Transaction<'_>) -> Result<T, RegistryError>,
    ) -> Result<T, RegistryError> {
        let mut connection = self.lock();
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let written = write(&transaction)?;
        failpoint::hit("registry.commit").map_err(failed)?;
        transaction.commit()?;
        failpoint::hit("registry.committed").map_err(failed)?;
        Ok(written)
    }

    /// A panic in another thread rolled its transaction back, so the connection behind a poisoned lock is sound.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Connection> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes the file where it is missing, closed to other users; SQLite gives the files beside it the same mode.
fn create_closed(path: &Path) -> io::Result<()> {
    match OpenOptions::new().write(true).create_new(true).mode(FILE_MODE).open(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

/// What SQLite would have said of this error of the system.
fn failed(error: io::Error) -> RegistryError {
    let code = match error.kind() {
        io::ErrorKind::StorageFull => ffi::SQLITE_FULL,
        _ => ffi::SQLITE_IOERR,
    };
    rusqlite::Error::SqliteFailure(ffi::Error::new(code), Some(error.to_string())).into()
}

/// Reads before anything is written, so that another program's database is left as it is.
fn check_owner(connection: &Connection, path: &Path) -> Result<(), RegistryError> {
    let open = |source| RegistryError::Open { path: path.to_owned(), source };
    let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).map_err(open)?;
    let owner: i32 = connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
    if owner != APPLICATION_ID && tables > 0 {
        return Err(RegistryError::Foreign { path: path.to_owned() });
    }
    let found: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let known = MIGRATIONS.len() as i64;
    if found > known {
        return Err(RegistryError::Newer { path: path.to_owned(), found, known });
    }
    Ok(())
}

fn migrate(connection: &mut Connection) -> Result<(), RegistryError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let version: usize = transaction.pragma_query_value(None, "user_version", |row| row.get(0))?;
    for step in MIGRATIONS.iter().skip(version) {
        transaction.execute_batch(step)?;
    }
    if version < MIGRATIONS.len() {
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        transaction.pragma_update(None, "user_version", MIGRATIONS.len() as i64)?;
    }
    Ok(transaction.commit()?)
}
