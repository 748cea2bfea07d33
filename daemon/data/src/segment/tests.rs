use std::{collections::BTreeSet, fs};

use perennial_types::{Domain, Row, Sample, SampleId};
use proptest::prelude::*;

use super::*;
use crate::calendar;

const ARRIVED_MS: i64 = 1_795_295_173_000;

fn stored(n: usize) -> Stored {
    let lines = [
        serde_json::json!({"messages": [{"role": "user", "content": format!("q{n}")}, {"role": "assistant", "content": "a", "weight": 0}],
            "tools": [{"name": "f"}], "id": n, "subject": "s", "z": 1.5, "a": [null]}),
        serde_json::json!({"prompt": format!("p{n}"), "completion": " c", "domain": "other", "reference": ""}),
        serde_json::json!({"text": format!("ünïcode \u{0} {n}")}),
        serde_json::json!({"prompt": "p", "chosen": format!("c{n}"), "rejected": "r"}),
        serde_json::json!({"prompt": format!("p{n}")}),
    ];
    let row = Row::from_value(lines[n % lines.len()].clone()).unwrap();
    Stored {
        sample: Sample::from_row(row, &Domain::default(), "a.jsonl", ARRIVED_MS + n as i64),
        held_out: n.is_multiple_of(3),
    }
}

fn batch(count: usize) -> Vec<Stored> {
    (0..count).map(stored).collect()
}

#[test]
fn samples_read_back_as_they_were_written() {
    let root = tempfile::tempdir().unwrap();
    let written = batch(2500);
    let file = write_segment(root.path(), &written).unwrap();
    assert!(file.path.starts_with(&format!("segments/{}/", calendar::date(ARRIVED_MS))), "{}", file.path);
    let path = root.path().join(&file.path);
    assert_eq!((file.rows, file.held_out), (2500, 834));
    assert_eq!(file.bytes, fs::metadata(&path).unwrap().len());
    assert_eq!(read_segment(&path, None).unwrap(), written);
    verify_segment(&path, &file.fingerprint).unwrap();
}

#[test]
fn wanted_samples_come_in_stored_order_and_unknown_ids_are_passed_over() {
    let root = tempfile::tempdir().unwrap();
    let written = batch(1500);
    let path = root.path().join(write_segment(root.path(), &written).unwrap().path);
    let mut wanted: BTreeSet<SampleId> = [1400, 3, 77].map(|n: usize| written[n].sample.id).into();
    wanted.insert(stored(9999).sample.id);
    let expected = [written[3].clone(), written[77].clone(), written[1400].clone()];
    assert_eq!(read_segment(&path, Some(&wanted)).unwrap(), expected);
    assert!(read_segment(&path, Some(&BTreeSet::new())).unwrap().is_empty());
}

#[test]
fn same_samples_make_the_same_file() {
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let file = write_segment(one.path(), &batch(50)).unwrap();
    assert_eq!(write_segment(one.path(), &batch(50)).unwrap(), file);
    assert_eq!(write_segment(other.path(), &batch(50)).unwrap(), file);
    assert_ne!(write_segment(other.path(), &batch(51)).unwrap().path, file.path);
}

#[test]
fn columns_are_sorted_and_row_groups_have_statistics() {
    use parquet::file::reader::{FileReader, SerializedFileReader};
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join(write_segment(root.path(), &batch(10)).unwrap().path);
    let reader = SerializedFileReader::new(fs::File::open(path).unwrap()).unwrap();
    let group = reader.metadata().row_group(0);
    let names: Vec<String> = group.columns().iter().map(|column| column.column_path().string()).collect();
    let expected = "arrived_ms body domain external_id held_out id kind metadata reference source subject";
    assert_eq!(names.join(" "), expected);
    assert!(group.columns().iter().all(|column| column.statistics().is_some()));
}

#[test]
fn damaged_or_exchanged_segments_are_told() {
    let root = tempfile::tempdir().unwrap();
    let file = write_segment(root.path(), &batch(100)).unwrap();
    let path = root.path().join(&file.path);
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&path, &bytes).unwrap();
    let error = verify_segment(&path, &file.fingerprint).unwrap_err().to_string();
    assert!(error.contains("is damaged") && error.contains(&file.path), "{error}");
    fs::write(&path, &bytes[..middle]).unwrap();
    assert!(read_segment(&path, None).unwrap_err().to_string().contains("is damaged"));
    assert!(matches!(write_segment(root.path(), &[]), Err(SegmentError::Empty)));
}

#[test]
fn sweeping_takes_what_is_not_catalogued() {
    let root = tempfile::tempdir().unwrap();
    let known = write_segment(root.path(), &batch(5)).unwrap();
    let orphan = write_segment(root.path(), &batch(6)).unwrap();
    let unfinished = format!("segments/{}/.1-2.tmp", calendar::date(ARRIVED_MS));
    fs::write(root.path().join(&unfinished), "half").unwrap();
    let mut expected = vec![orphan.path.clone(), unfinished];
    expected.sort();
    let catalogue = BTreeSet::from([known.path.clone()]);
    assert_eq!(sweep_orphans(root.path(), &catalogue).unwrap(), expected);
    assert!(sweep_orphans(root.path(), &catalogue).unwrap().is_empty());
    assert!(root.path().join(known.path).exists() && !root.path().join(orphan.path).exists());
    assert!(sweep_orphans(&root.path().join("missing"), &catalogue).unwrap().is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn any_text_survives(text in "\\PC{1,40}[a-z]", reference in proptest::option::of(".{0,9}"), name in ".{1,9}") {
        let root = tempfile::tempdir().unwrap();
        let line = serde_json::json!({"text": text, "reference": reference, "subject": name, "metadata": {name.clone(): text}});
        let sample = Sample::from_row(Row::from_value(line).unwrap(), &Domain::default(), &name, -1);
        let written = [Stored { sample, held_out: true }];
        let path = root.path().join(write_segment(root.path(), &written).unwrap().path);
        prop_assert_eq!(read_segment(&path, None).unwrap(), written);
    }
}
