use std::{
    fs::File,
    io::BufReader,
    path::{Path, PathBuf},
    sync::Arc,
};

use tokio::sync::{Mutex, Notify};

use super::work::on_thread;
use crate::ports::{Intake, IntakeError, IntakeReport, Origin};

/// Lets one file or request at a time through to the intake, in the order of asking. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Desk {
    intake: Arc<dyn Intake>,
    turn: Arc<Mutex<()>>,
    taken: Arc<Notify>,
}

impl Desk {
    pub(crate) fn new(intake: Arc<dyn Intake>) -> Self {
        Self { intake, turn: Arc::default(), taken: Arc::default() }
    }

    /// Takes a file in.
    pub(crate) async fn take_file(&self, file: &Path) -> Result<IntakeReport, IntakeError> {
        let file = file.to_owned();
        self.take(move |intake| intake.take_file(&file)).await
    }

    /// Takes the rows of a request in, from the file that they were written to.
    pub(crate) async fn take_rows(&self, rows: File, origin: Origin) -> Result<IntakeReport, IntakeError> {
        self.take(move |intake| intake.take_rows(&mut BufReader::new(rows), &origin)).await
    }

    /// Returns once something was taken in since the last call returned.
    pub(crate) async fn taken(&self) {
        self.taken.notified().await;
    }

    async fn take(
        &self,
        work: impl FnOnce(&dyn Intake) -> Result<IntakeReport, IntakeError> + Send + 'static,
    ) -> Result<IntakeReport, IntakeError> {
        // The thread holds the turn, not this future: a client that goes away does not let the next one in too early.
        let turn = Arc::clone(&self.turn).lock_owned().await;
        let intake = Arc::clone(&self.intake);
        let outcome = on_thread("intake", move || {
            let _turn = turn;
            work(&*intake)
        });
        let outcome = outcome.await.map_err(|error| IntakeError::Storage(error.into()))?;
        self.taken.notify_one();
        outcome
    }
}

/// A file without a name in a folder, gone as soon as it is closed: for what a request sends.
pub(crate) fn nameless_file(folder: &Path) -> std::io::Result<File> {
    let path: PathBuf = folder.join(format!(".request-{}", ulid::Ulid::new()));
    let file = File::options().create_new(true).read(true).write(true).open(&path)?;
    std::fs::remove_file(&path)?;
    Ok(file)
}
