//! Rows in: the inbox by its lanes, and the replay buffer behind them.

use std::{collections::BTreeSet, path::PathBuf, time::Duration};

use anyhow::Context as _;
use tokio::time::Instant;
use tracing::{error, info, warn};

use super::{
    Service, TURN_MAX,
    inbox::{self, Inbox, Lane},
    jobs::Job,
    work::{on_plain_thread, on_thread},
};
use crate::told::told;

impl Service {
    pub(super) fn rows_came_in(&mut self) {
        self.start_indexer();
        self.look_around_soon();
    }

    pub(super) fn start_indexer(&mut self) {
        if self.indexer_runs {
            self.index_again = true;
            return;
        }
        self.indexer_runs = true;
        let (indexer, stop) = (self.ports.indexer.clone(), self.stop.clone());
        self.jobs.spawn(async move {
            let indexed = on_thread("indexer", move || indexer.index(&stop)).await;
            Job::Index(indexed.unwrap_or_else(|error| Err(error.into())))
        });
    }

    pub(super) fn inbox_changed(&mut self, renamed: &BTreeSet<PathBuf>) {
        self.lanes.iter_mut().for_each(|lane| lane.changed(renamed));
    }

    /// When a lane of the inbox or a target should be looked at.
    pub(super) fn next_look(&self) -> Instant {
        let lanes = self.lanes.iter().filter_map(Lane::due);
        lanes.chain(self.targets.due()).min().unwrap_or_else(|| Instant::now() + TURN_MAX)
    }

    pub(super) fn look_at_inbox(&mut self) {
        let storage_full = self.context.telemetry.board().storage_full();
        let rescan = Duration::from_secs(self.context.config.current().ingest.rescan_seconds);
        for lane in &mut self.lanes {
            if storage_full {
                lane.look_within(inbox::FULL_PAUSE);
            }
            let Some((mut inbox, renamed)) = lane.begin(rescan) else { continue };
            let (another, stop) = (inbox.another(), self.stop.clone());
            self.jobs.spawn(async move {
                let look = on_plain_thread("inbox", move || {
                    let again = inbox.look(&renamed, &stop).context("the inbox cannot be read");
                    Job::Inbox(inbox, again)
                });
                look.await.unwrap_or_else(|error| Job::Inbox(another, Err(error.into())))
            });
        }
    }

    pub(super) fn looked(&mut self, inbox: Inbox, again: anyhow::Result<Option<Duration>>) {
        let Some(lane) = self.lanes.iter_mut().find(|lane| lane.weight() == inbox.weight()) else { return };
        lane.end(inbox);
        match again {
            Ok(again_in) => again_in.into_iter().for_each(|pause| lane.look_within(pause)),
            Err(problem) => error!(error = told(&problem), "the inbox was not looked through"),
        }
    }

    pub(super) fn indexed(&mut self, outcome: anyhow::Result<u64>) {
        self.indexer_runs = false;
        match outcome {
            Ok(0) => {}
            Ok(samples) => info!(samples, "replay buffer is up to date"),
            Err(problem) => {
                let error = told(&problem);
                warn!(error, "the replay buffer is not up to date; tried again after the next ingest");
            }
        }
        if std::mem::take(&mut self.index_again) {
            self.start_indexer();
        }
    }
}
