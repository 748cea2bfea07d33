//! What reading may cost, and how it ends where a source asks for more.

use super::*;

/// The one fault that reading ends with, and how many good rows came before.
fn over(bytes: &[u8], limits: ReadLimits) -> (usize, String) {
    let lines = read_within(bytes, limits);
    let Some(Line::Fault(fault)) = lines.last() else { panic!("{:?}", lines.last()) };
    assert_eq!(fault.kind, FaultKind::OverBound);
    (told(&lines).0.len(), fault.reason.clone())
}

#[test]
fn every_bound_ends_the_reading_and_names_its_key() {
    let rows = format!("{}\n", row("a")).repeat(20_000);
    let limits = ReadLimits { section: "ingest.request", ..ReadLimits::default() };
    let (good, reason) = over(rows.as_bytes(), ReadLimits { rows_max: 7, ..limits.clone() });
    assert!(good == 7 && reason.contains("raise `rows_max` in [ingest.request]"), "{good} rows, {reason}");

    let (good, reason) = over(&gzip(rows.as_bytes()), ReadLimits { bytes_max: 70_000, ..limits.clone() });
    assert!((4_000..11_000).contains(&good), "{good} rows");
    assert!(reason.contains("70000 bytes, after decompression (raise `bytes_max`"), "{reason}");

    let time_max = std::time::Duration::ZERO;
    let (_, reason) = over(rows.as_bytes(), ReadLimits { time_max, ..limits });
    assert!(reason.contains("raise `seconds_max`"), "{reason}");
}

#[rstest]
#[case::gzip(gzip)]
#[case::zstd(zst)]
fn what_expands_beyond_measure_is_not_expanded(#[case] pack: fn(&[u8]) -> Vec<u8>) {
    let line = format!("{}\n", row(&"a".repeat(1 << 20)));
    let packed = pack(line.repeat(64).as_bytes());
    let (good, reason) = over(&packed, ReadLimits { compression_ratio_max: 50, ..ReadLimits::default() });
    assert!((15..20).contains(&good), "{good} rows");
    assert!(reason.contains("raise `ingest.compression_ratio_max`"), "{reason}");
}

#[test]
fn blank_lines_and_empty_members_end_somewhere() {
    let blank = gzip(&vec![b'\n'; BLANK_LINES_MAX as usize + 1]);
    assert!(over(&blank, ReadLimits::default()).1.contains("1000000 blank lines"));
    let empty = gzip(b"").repeat(EMPTY_MEMBERS_MAX as usize + 2);
    assert!(over(&empty, ReadLimits::default()).1.contains("empty gzip members"));
    let half = gzip(b"").repeat(EMPTY_MEMBERS_MAX as usize / 2);
    let some = [half, gzip(format!("{}\n", row("a")).as_bytes())].concat();
    assert_eq!(told(&read(some.repeat(3))).0.len(), 3);
}

#[test]
fn reading_ends_when_it_is_stopped() {
    let limits = ReadLimits::default();
    let text = format!("{}\n", row("a")).repeat(100_000);
    let mut rows = Rows::read("test", Cursor::new(text), limits.clone()).unwrap();
    assert!(matches!(rows.next(), Some(Ok(Line::Row { .. }))));
    limits.stop.store(true, std::sync::atomic::Ordering::Relaxed);
    let last = rows.last().unwrap().unwrap_err();
    assert!(last.is_stop(), "{last}");
}

proptest! {
    #[test]
    fn any_bytes_in_any_members_are_read_within_bounds(
        parts in vec((any::<bool>(), vec(any::<u8>(), 0..200), 0_usize..3), 0..6),
        cut in 0_usize..400,
    ) {
        let mut bytes: Vec<u8> = parts
            .iter()
            .flat_map(|(packed, part, zeros)| {
                let mut part = if *packed { gzip(part) } else { part.clone() };
                part.extend(vec![0; *zeros]);
                part
            })
            .collect();
        bytes.truncate(bytes.len().saturating_sub(cut));
        let limits = ReadLimits { rows_max: 20, bytes_max: 4096, ..ReadLimits::default() };
        let lines = read_within(&bytes, limits);
        prop_assert!(lines.len() <= 21);
        let faults = lines.iter().filter(|line| matches!(line, Line::Fault(_))).count();
        prop_assert!(faults == 0 || (faults == 1 && matches!(lines.last(), Some(Line::Fault(_)))));
    }
}
