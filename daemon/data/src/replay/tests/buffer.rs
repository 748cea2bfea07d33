use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    time::Duration,
};

use perennial_types::{CycleId, SampleId};

use super::{
    super::{ReplayBuffer, ReplayEntry, ReplayError, ReplayRow},
    id, row,
};

const DIM: usize = 3;

fn entry(n: u32) -> ReplayEntry {
    let angle = n as f32 * 0.01;
    ReplayEntry { row: row(n, "a"), embedding: vec![angle.cos(), angle.sin(), 0.0] }
}

async fn filled(folder: &Path, count: u32) -> ReplayBuffer {
    let buffer = ReplayBuffer::open(folder, DIM).await.unwrap();
    buffer.upsert((0..count).map(entry).collect()).await.unwrap();
    buffer
}

async fn one(buffer: &ReplayBuffer, n: u32) -> ReplayRow {
    buffer.select(&[id(n)]).await.unwrap().remove(0)
}

fn ids(ns: impl IntoIterator<Item = u32>) -> BTreeSet<SampleId> {
    ns.into_iter().map(id).collect()
}

#[tokio::test]
async fn rows_are_there_once_and_survive_reopening() {
    let folder = tempfile::tempdir().unwrap();
    let buffer = filled(folder.path(), 1500).await;
    buffer.upsert([entry(3), entry(1500), entry(3)].into()).await.unwrap();
    drop(buffer);
    let buffer = ReplayBuffer::open(folder.path(), DIM).await.unwrap();
    let mut expected: Vec<ReplayRow> = (0..=1500).map(|n| row(n, "a")).collect();
    expected.sort_unstable_by_key(|row| row.id);
    assert_eq!(buffer.rows().await.unwrap(), expected);
    assert_eq!(buffer.count().await.unwrap(), 1501);
}

#[tokio::test]
async fn cycles_are_noted_once_and_outlive_another_upsert() {
    let folder = tempfile::tempdir().unwrap();
    let buffer = filled(folder.path(), 10).await;
    buffer.mark_trained(CycleId(1), &ids(0..5)).await.unwrap();
    buffer.mark_trained(CycleId(2), &ids(4..6)).await.unwrap();
    for cycle in [2, 2, 3] {
        buffer.mark_replayed(CycleId(cycle), &ids([4, 99])).await.unwrap();
    }
    let moved = ReplayEntry { row: ReplayRow { segment: "elsewhere".into(), ..row(4, "b") }, ..entry(4) };
    buffer.upsert(vec![moved.clone()]).await.unwrap();
    let expected = ReplayRow {
        times_replayed: 2,
        last_replayed_cycle: Some(CycleId(3)),
        trained_cycle: Some(CycleId(1)),
        ..moved.row
    };
    assert_eq!(one(&buffer, 4).await, expected);
    assert_eq!(one(&buffer, 5).await.trained_cycle, Some(CycleId(2)));
    assert_eq!(one(&buffer, 6).await, row(6, "a"));
    assert_eq!(buffer.count().await.unwrap(), 10);
    assert_eq!(one(&buffer, 4).await, expected);
}

#[tokio::test]
async fn embeddings_read_back_and_none_of_another_length_is_taken() {
    let folder = tempfile::tempdir().unwrap();
    let buffer = filled(folder.path(), 50).await;
    let vectors = buffer.vectors(&[id(20), id(99), id(7)]).await.unwrap();
    let expected = [20, 7].map(|n| (id(n), entry(n).embedding));
    assert_eq!(vectors, BTreeMap::from(expected));
    assert!(matches!(
        buffer.upsert(vec![ReplayEntry { row: row(0, "a"), embedding: vec![1.0] }]).await,
        Err(ReplayError::Embedding { found: 1, wanted: DIM, .. })
    ));
}

#[tokio::test]
async fn a_buffer_of_a_program_that_counted_no_tokens_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let buffer = filled(folder.path(), 10).await;
    buffer.mark_trained(CycleId(1), &ids(0..5)).await.unwrap();
    buffer.drop_tokens().await.unwrap();
    drop(buffer);
    // Those that only look leave it as it is.
    let found = ReplayBuffer::find(folder.path()).await.unwrap().unwrap();
    assert_eq!(one(&found, 3).await, ReplayRow { trained_cycle: Some(CycleId(1)), ..row(3, "a") });
    found.mark_replayed(CycleId(2), &ids([3])).await.unwrap();
    drop(found);
    for _ in 0..2 {
        let buffer = ReplayBuffer::open(folder.path(), DIM).await.unwrap();
        let counted = ReplayRow { tokens: Some(7), ..row(10, "a") };
        buffer.upsert(vec![ReplayEntry { row: counted, ..entry(10) }]).await.unwrap();
        assert_eq!((one(&buffer, 10).await.tokens, buffer.count().await.unwrap()), (Some(7), 11));
        let known = one(&buffer, 3).await;
        assert_eq!((known.tokens, known.times_replayed, known.trained_cycle), (None, 1, Some(CycleId(1))));
        buffer.mark_replayed(CycleId(3), &ids([10])).await.unwrap();
        assert_eq!(buffer.vectors(&[id(3)]).await.unwrap()[&id(3)], entry(3).embedding);
    }
}

#[tokio::test]
async fn deleted_rows_are_gone() {
    let folder = tempfile::tempdir().unwrap();
    let buffer = filled(folder.path(), 1200).await;
    buffer.delete(&ids(10..5000)).await.unwrap();
    buffer.delete(&BTreeSet::new()).await.unwrap();
    let left: BTreeSet<SampleId> = buffer.rows().await.unwrap().into_iter().map(|row| row.id).collect();
    assert_eq!(left, ids(0..10));
}

#[tokio::test]
async fn optimizing_bounds_files_and_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let buffer = filled(folder.path(), 40).await;
    for cycle in 1..8 {
        buffer.mark_replayed(CycleId(cycle), &ids(0..20)).await.unwrap();
    }
    let before = buffer.rows().await.unwrap();
    buffer.optimize(Duration::ZERO).await.unwrap();
    assert_eq!(buffer.rows().await.unwrap(), before);
    let files = |name: &str| std::fs::read_dir(folder.path().join("samples.lance").join(name)).unwrap().count();
    assert!(files("_versions") <= 2 && files("data") <= 2, "{} versions, {} files", files("_versions"), files("data"));
    drop(buffer);
    let buffer = ReplayBuffer::open(folder.path(), DIM).await.unwrap();
    assert_eq!(buffer.rows().await.unwrap(), before);
}

#[tokio::test]
async fn another_dimension_is_refused_and_rebuilding_keeps_the_history() {
    let folder = tempfile::tempdir().unwrap();
    let buffer = filled(folder.path(), 5).await;
    buffer.mark_trained(CycleId(1), &ids(0..5)).await.unwrap();
    let before = buffer.rows().await.unwrap();
    drop(buffer);
    let error = ReplayBuffer::open(folder.path(), 2).await.err().unwrap();
    assert!(matches!(error, ReplayError::Dimension { found: DIM, wanted: 2, .. }), "{error}");
    assert!(error.to_string().contains("rebuild it"), "{error}");

    let (rebuilt, rows) = ReplayBuffer::rebuild(folder.path(), 2).await.unwrap();
    assert_eq!((rebuilt.dim(), rebuilt.count().await.unwrap()), (2, 0));
    assert_eq!(rows, before);
    let entries = rows.into_iter().map(|row| ReplayEntry { row, embedding: vec![1.0, 0.0] }).collect();
    rebuilt.upsert(entries).await.unwrap();
    assert_eq!(rebuilt.rows().await.unwrap(), before);
}

#[tokio::test]
async fn destroyed_buffer_is_rebuilt_empty() {
    let folder = tempfile::tempdir().unwrap();
    drop(filled(folder.path(), 5).await);
    let versions = folder.path().join("samples.lance/_versions");
    for entry in std::fs::read_dir(&versions).unwrap() {
        std::fs::write(entry.unwrap().path(), "garbage").unwrap();
    }
    assert!(ReplayBuffer::open(folder.path(), DIM).await.is_err());
    let (rebuilt, rows) = ReplayBuffer::rebuild(folder.path(), DIM).await.unwrap();
    assert!(rows.is_empty());
    assert_eq!(rebuilt.count().await.unwrap(), 0);
}

#[test]
fn work_on_a_buffer_can_move_between_threads() {
    fn is_send<T: Send>(_: T) {}
    is_send(async {
        let buffer = ReplayBuffer::open(Path::new("never"), DIM).await?;
        buffer.upsert(Vec::new()).await?;
        buffer.mark_replayed(CycleId(1), &BTreeSet::new()).await?;
        buffer.delete(&BTreeSet::new()).await?;
        buffer.vectors(&[]).await?;
        buffer.optimize(Duration::ZERO).await
    });
}

#[tokio::test]
async fn buffer_whose_making_was_cut_short_is_made_again() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("samples.lance/data");
    std::fs::create_dir_all(&data).unwrap();
    std::fs::write(data.join("half.lance"), "half").unwrap();
    assert_eq!(filled(folder.path(), 3).await.count().await.unwrap(), 3);
}

#[tokio::test]
async fn versions_that_were_not_settled_are_let_go_and_what_they_held_is_written_again() {
    let folder = tempfile::tempdir().unwrap();
    let buffer = filled(folder.path(), 10).await;
    let (marker, versions) = (folder.path().join("settled"), folder.path().join("samples.lance/_versions"));
    let settled = std::fs::read(&marker).unwrap();
    let before: BTreeSet<_> = std::fs::read_dir(&versions).unwrap().map(|entry| entry.unwrap().path()).collect();
    buffer.upsert((10..15).map(entry).collect()).await.unwrap();
    buffer.mark_trained(CycleId(1), &ids(0..5)).await.unwrap();
    drop(buffer);
    // As a power cut leaves it that comes before the sync: the newest versions are there, empty.
    std::fs::write(&marker, settled).unwrap();
    let newest = std::fs::read_dir(&versions).unwrap().map(|entry| entry.unwrap().path());
    let newest: Vec<_> = newest.filter(|path| !before.contains(path) && path.extension().is_some()).collect();
    assert!(newest.len() >= 2, "{newest:?}");
    newest.iter().for_each(|path| std::fs::write(path, "").unwrap());
    std::fs::write(folder.path().join(".1-0.tmp"), "half").unwrap();
    std::fs::write(folder.path().join("samples.lance/data/.tmpAbCdEf"), "half").unwrap();

    let buffer = ReplayBuffer::open(folder.path(), DIM).await.unwrap();
    assert_eq!(buffer.count().await.unwrap(), 10);
    assert_eq!(one(&buffer, 3).await.trained_cycle, None);
    assert!(!folder.path().join(".1-0.tmp").exists());
    assert!(!folder.path().join("samples.lance/data/.tmpAbCdEf").exists());
    buffer.upsert((10..15).map(entry).collect()).await.unwrap();
    buffer.mark_trained(CycleId(1), &ids(0..5)).await.unwrap();
    drop(buffer);
    let buffer = ReplayBuffer::open(folder.path(), DIM).await.unwrap();
    assert_eq!(buffer.count().await.unwrap(), 15);
    assert_eq!(one(&buffer, 3).await.trained_cycle, Some(CycleId(1)));
}

#[tokio::test]
async fn a_buffer_of_which_nothing_was_ever_durable_is_made_anew_whatever_is_left_of_it() {
    let folder = tempfile::tempdir().unwrap();
    drop(filled(folder.path(), 5).await);
    std::fs::remove_file(folder.path().join("settled")).unwrap();
    // As a power cut leaves it: the end of the newest version was written back, the rest was not. LanceDB reads a length there.
    for entry in std::fs::read_dir(folder.path().join("samples.lance/_versions")).unwrap() {
        let path = entry.unwrap().path();
        let mut bytes = std::fs::read(&path).unwrap();
        let end = bytes.len().saturating_sub(16);
        bytes[..end].fill(0xff);
        std::fs::write(path, bytes).unwrap();
    }
    assert!(ReplayBuffer::find(folder.path()).await.unwrap().is_none());
    let (rebuilt, rows) = ReplayBuffer::rebuild(folder.path(), DIM).await.unwrap();
    assert_eq!((rows.len(), rebuilt.count().await.unwrap()), (0, 0));
}
