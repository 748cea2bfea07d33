use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    time::Duration,
};

use arrow::array::{RecordBatch, RecordBatchIterator};
use futures::TryStreamExt;
use lancedb::{
    Table,
    query::{ExecutableQuery, QueryBase, Select},
    table::{CompactionOptions, OptimizeAction},
};
use perennial_durable as durable;
use perennial_types::{CycleId, SampleId};

use super::{
    ReplayEntry, ReplayError, ReplayRow,
    error::refused,
    open::{TABLE, complete, connect, counts_tokens, dim_of, find_table, open_table},
    row::{self, ROW_COLUMNS, has_id},
    settled::Settled,
};
use crate::columns;

/// Rows of one merge: bounds memory, and the length of the list of ids in a filter.
const CHUNK_ROWS_MAX: usize = 1024;

/// One row per stored training sample in a LanceDB table: id, domain, arrival, tokens, embedding, and how often it was replayed.
///
/// One process at a time may change a buffer, and that process must not run two changes at once. Every change can be
/// repeated without harm after a crash. The buffer is an index over the segments: should it be lost, it is rebuilt from them.
/// Nothing runs but inside the calls, on the caller's runtime.
pub struct ReplayBuffer {
    table: Table,
    settled: Settled,
    dim: usize,
    /// Whether the table has a column for the tokens of rows.
    counts_tokens: bool,
}

impl ReplayBuffer {
    /// Opens the buffer in this folder, or makes an empty one. `dim` is the length of the embeddings.
    ///
    /// # Errors
    /// [`ReplayError::Dimension`] where the buffer was made with embeddings of another length: see [`rebuild`](Self::rebuild).
    pub async fn open(folder: &Path, dim: usize) -> Result<Self, ReplayError> {
        let settled = Settled::open(folder, TABLE)?;
        let (table, found) = open_table(folder, dim).await?;
        if found != dim {
            return Err(ReplayError::Dimension { path: folder.to_owned(), found, wanted: dim });
        }
        let is_older = complete(&table).await?;
        let buffer = Self { table, settled, dim, counts_tokens: true };
        if is_older || buffer.settled.version().is_none() {
            buffer.settle().await?;
        }
        Ok(buffer)
    }

    /// Opens the buffer in this folder as it is, whatever its embeddings: for those who look at none, or know how they were made.
    /// `None` where there is none, or none of it was ever durable: it is made anew by whoever writes to it next.
    ///
    /// # Errors
    /// Where it cannot be opened.
    pub async fn find(folder: &Path) -> Result<Option<Self>, ReplayError> {
        if !folder.is_dir() {
            return Ok(None);
        }
        let settled = Settled::open(folder, TABLE)?;
        if settled.version().is_none() {
            return Ok(None);
        }
        let Some(table) = find_table(&connect(folder).await?).await? else { return Ok(None) };
        let (dim, counts_tokens) = (dim_of(&table).await?, counts_tokens(&table).await?);
        Ok(Some(Self { table, settled, dim, counts_tokens }))
    }

    /// Removes the buffer in this folder, whatever its state, and makes an empty one for embeddings of length `dim`. Returns
    /// the rows of the old one as far as they can be read, so that the caller can [`upsert`](Self::upsert) them with new
    /// embeddings and their history is kept.
    ///
    /// # Errors
    /// Where the folder cannot be removed or made.
    pub async fn rebuild(folder: &Path, dim: usize) -> Result<(Self, Vec<ReplayRow>), ReplayError> {
        let settled = Settled::open(folder, TABLE)?;
        // A table that was never durable may be torn anywhere, which LanceDB does not look for: it panics.
        let old = if settled.version().is_some() { open_table(folder, dim).await.ok() } else { None };
        let rows = match old {
            Some((table, dim)) => {
                let counts_tokens = counts_tokens(&table).await.unwrap_or(false);
                Self { table, settled, dim, counts_tokens }.rows().await.unwrap_or_default()
            }
            None => Vec::new(),
        };
        if folder.exists() {
            fs::remove_dir_all(folder).map_err(durable::failed("remove", folder))?;
        }
        Ok((Self::open(folder, dim).await?, rows))
    }

    /// The length of the embeddings.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// Adds entries, or replaces the embedding, domain, arrival and segment of those whose id is there. The history of a
    /// row that is there (times replayed, cycles) stays as it is. Repeating it changes nothing.
    ///
    /// # Errors
    /// Where an embedding has the wrong length (nothing is changed then), or LanceDB refuses.
    pub async fn upsert(&self, entries: Vec<ReplayEntry>) -> Result<(), ReplayError> {
        if let Some(bad) = entries.iter().find(|entry| entry.embedding.len() != self.dim) {
            return Err(ReplayError::Embedding { id: bad.row.id, found: bad.embedding.len(), wanted: self.dim });
        }
        let unique: BTreeMap<SampleId, ReplayEntry> = entries.into_iter().map(|entry| (entry.row.id, entry)).collect();
        let mut entries: Vec<ReplayEntry> = unique.into_values().collect();
        for chunk in entries.chunks_mut(CHUNK_ROWS_MAX) {
            let ids: Vec<SampleId> = chunk.iter().map(|entry| entry.row.id).collect();
            let known: BTreeMap<SampleId, ReplayRow> =
                self.select(&ids).await?.into_iter().map(|row| (row.id, row)).collect();
            for entry in chunk.iter_mut() {
                if let Some(row) = known.get(&entry.row.id) {
                    entry.row.times_replayed = row.times_replayed;
                    entry.row.last_replayed_cycle = row.last_replayed_cycle;
                    entry.row.trained_cycle = row.trained_cycle;
                }
            }
            self.merge("add rows to", row::entries(chunk, self.dim)?, true).await?;
        }
        Ok(())
    }

    /// All rows without their embeddings, sorted by id.
    ///
    /// # Errors
    /// Where LanceDB refuses.
    pub async fn rows(&self) -> Result<Vec<ReplayRow>, ReplayError> {
        self.read(None).await
    }

    /// The rows with these ids, without their embeddings, sorted by id. An id that is not there is passed over.
    ///
    /// # Errors
    /// Where LanceDB refuses.
    pub async fn select(&self, ids: &[SampleId]) -> Result<Vec<ReplayRow>, ReplayError> {
        let mut rows = Vec::new();
        for chunk in ids.chunks(CHUNK_ROWS_MAX) {
            rows.extend(self.read(Some(has_id(chunk))).await?);
        }
        rows.sort_unstable_by_key(|row| row.id);
        Ok(rows)
    }

    /// Notes that a cycle drew these rows from the buffer: once per cycle, however often it is told. Ids that are not there
    /// are passed over.
    ///
    /// # Errors
    /// Where LanceDB refuses.
    pub async fn mark_replayed(&self, cycle: CycleId, ids: &BTreeSet<SampleId>) -> Result<(), ReplayError> {
        let note = |row: &mut ReplayRow| {
            let news = row.last_replayed_cycle != Some(cycle);
            if news {
                row.last_replayed_cycle = Some(cycle);
                row.times_replayed = row.times_replayed.saturating_add(1);
            }
            news
        };
        self.change_history(ids, note).await
    }

    /// Notes that a cycle trained on these rows when they were new; a row that another cycle trained on first keeps that
    /// one. Ids that are not there are passed over.
    ///
    /// # Errors
    /// Where LanceDB refuses.
    pub async fn mark_trained(&self, cycle: CycleId, ids: &BTreeSet<SampleId>) -> Result<(), ReplayError> {
        let note = |row: &mut ReplayRow| {
            let news = row.trained_cycle.is_none();
            row.trained_cycle = row.trained_cycle.or(Some(cycle));
            news
        };
        self.change_history(ids, note).await
    }

    /// Removes the rows with these ids. The samples stay in their segments.
    ///
    /// # Errors
    /// Where LanceDB refuses.
    pub async fn delete(&self, ids: &BTreeSet<SampleId>) -> Result<(), ReplayError> {
        let ids: Vec<SampleId> = ids.iter().copied().collect();
        for chunk in ids.chunks(CHUNK_ROWS_MAX) {
            self.table.delete(has_id(chunk).as_str()).await.map_err(refused("delete rows of"))?;
        }
        self.settle().await
    }

    /// How many rows there are.
    ///
    /// # Errors
    /// Where LanceDB refuses.
    pub async fn count(&self) -> Result<usize, ReplayError> {
        self.table.count_rows(None).await.map_err(refused("count the rows of"))
    }

    /// The embeddings of the rows with these ids. An id that is not there is passed over.
    ///
    /// # Errors
    /// Where LanceDB refuses.
    pub async fn vectors(&self, ids: &[SampleId]) -> Result<BTreeMap<SampleId, Vec<f32>>, ReplayError> {
        let mut vectors = BTreeMap::new();
        for chunk in ids.chunks(CHUNK_ROWS_MAX) {
            let query = self.table.query().select(Select::columns(&["id", "embedding"])).only_if(has_id(chunk));
            let mut batches = query.execute().await.map_err(refused("read"))?;
            while let Some(batch) = batches.try_next().await.map_err(refused("read"))? {
                vectors.extend(row::vectors(&batch)?);
            }
        }
        Ok(vectors)
    }

    /// Joins the small files that single changes leave, and removes the versions of the table that are older than
    /// `versions_kept`, with their files. Meant to be called now and then, between changes; no other process may be using
    /// the buffer, and no search of this one may be older than `versions_kept`.
    ///
    /// # Errors
    /// Where LanceDB refuses.
    pub async fn optimize(&self, versions_kept: Duration) -> Result<(), ReplayError> {
        let compact = OptimizeAction::Compact { options: CompactionOptions::default(), remap_options: None };
        self.table.optimize(compact).await.map_err(refused("compact"))?;
        // The versions that go are the ones to fall back to until the compacted one is durable.
        self.settle().await?;
        let prune = OptimizeAction::Prune {
            older_than: lancedb::table::Duration::from_std(versions_kept).ok(),
            // Without this, files younger than a week stay; what they are kept for, other writers, does not exist here.
            delete_unverified: Some(true),
            error_if_tagged_old_versions: Some(false),
        };
        self.table.optimize(prune).await.map_err(refused("remove old versions of"))?;
        Ok(())
    }

    /// As an older program made it.
    #[cfg(test)]
    pub(super) async fn drop_tokens(&self) -> Result<(), ReplayError> {
        self.table.drop_columns(&["tokens"]).await.map_err(refused("change"))?;
        self.settle().await
    }

    async fn read(&self, filter: Option<String>) -> Result<Vec<ReplayRow>, ReplayError> {
        let columns = &ROW_COLUMNS[..ROW_COLUMNS.len() - usize::from(!self.counts_tokens)];
        let query = self.table.query().select(Select::columns(columns));
        let query = match filter {
            Some(filter) => query.only_if(filter),
            None => query,
        };
        let mut batches = query.execute().await.map_err(refused("read"))?;
        let mut rows = Vec::new();
        while let Some(batch) = batches.try_next().await.map_err(refused("read"))? {
            rows.extend(row::decode(&batch)?);
        }
        rows.sort_unstable_by_key(|row| row.id);
        Ok(rows)
    }

    /// Changes the history of the rows for which `note` says that it has news, all in one commit.
    async fn change_history(
        &self,
        ids: &BTreeSet<SampleId>,
        note: impl Fn(&mut ReplayRow) -> bool,
    ) -> Result<(), ReplayError> {
        let ids: Vec<SampleId> = ids.iter().copied().collect();
        let mut rows = self.select(&ids).await?;
        rows.retain_mut(|row| note(row));
        if rows.is_empty() {
            return Ok(());
        }
        self.merge("note a cycle in", columns::batch(row::history(&rows))?, false).await
    }

    async fn merge(&self, action: &'static str, batch: RecordBatch, insert: bool) -> Result<(), ReplayError> {
        let mut merge = self.table.merge_insert(&["id"]);
        merge.when_matched_update_all(None);
        if insert {
            merge.when_not_matched_insert_all();
        }
        let schema = batch.schema();
        merge.execute(Box::new(RecordBatchIterator::new([Ok(batch)], schema))).await.map_err(refused(action))?;
        self.settle().await
    }

    /// Makes what was changed durable.
    async fn settle(&self) -> Result<(), ReplayError> {
        let version = self.table.version().await.map_err(refused("read"))?;
        Ok(self.settled.settle(version)?)
    }
}
