use std::io::{Cursor, Write};

use flate2::{Compression, write::GzEncoder};
use perennial_types::Body;
use proptest::{collection::vec, prelude::*};
use rstest::rstest;

use super::*;

mod bounds;

fn read(bytes: impl AsRef<[u8]>) -> Vec<Line> {
    read_within(bytes, ReadLimits { row_bytes_max: 64, excerpt_bytes_max: 16, ..ReadLimits::default() })
}

fn read_within(bytes: impl AsRef<[u8]>, limits: ReadLimits) -> Vec<Line> {
    Rows::read("test", Cursor::new(bytes.as_ref()), limits).unwrap().collect::<Result<_, _>>().unwrap()
}

fn row(text: &str) -> String {
    serde_json::json!({ "text": text }).to_string()
}

/// Line and text of each good row.
type Good = Vec<(u64, String)>;

/// Line and reason of each refusal.
type Bad = Vec<(Option<u64>, String)>;

fn told(lines: &[Line]) -> (Good, Bad) {
    let (mut good, mut bad) = (Vec::new(), Vec::new());
    for line in lines {
        match line {
            Line::Row { line, row } => match &row.body {
                Body::Text { text } => good.push((*line, text.clone())),
                _ => panic!("line {line} is another row"),
            },
            Line::Rejected(rejected) => bad.push((Some(rejected.line), rejected.reason.clone())),
            Line::Fault(fault) => bad.push((fault.line, fault.reason.clone())),
        }
    }
    (good, bad)
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zst(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 3).unwrap()
}

#[rstest]
#[case::plain(<[u8]>::to_vec)]
#[case::gzip(gzip)]
#[case::zstd(zst)]
#[case::gzip_in_two_members(|bytes: &[u8]| { let (a, b) = bytes.split_at(bytes.len() / 2); [gzip(a), gzip(b)].concat() })]
#[case::zstd_in_two_frames(|bytes: &[u8]| { let (a, b) = bytes.split_at(bytes.len() / 2); [zst(a), zst(b)].concat() })]
fn bad_lines_do_not_hide_good_ones(#[case] pack: fn(&[u8]) -> Vec<u8>) {
    let text = [
        format!("\u{feff}{}\r\n", row("a")).as_bytes(),
        b"\n  \t\n",
        b"not json\n",
        b"{\"text\": \"\xff\"}\n",
        b"\0\0\n",
        format!("{}\n", row("b")).as_bytes(),
        format!("{}\n", row(&"long".repeat(100))).as_bytes(),
        format!("[{}]\n", row("in a list")).as_bytes(),
        row("c, without a line break").as_bytes(),
    ]
    .concat();
    let lines = read(pack(&text));
    let (good, bad) = told(&lines);
    assert_eq!(good, [(1, "a".into()), (7, "b".into()), (10, "c, without a line break".into())]);
    assert_eq!(bad.iter().map(|(line, _)| line.unwrap()).collect::<Vec<_>>(), [4, 5, 6, 8, 9]);
    assert!(bad[0].1.starts_with("not valid JSON"), "{}", bad[0].1);
    assert_eq!(bad[1].1, "not UTF-8: the byte at column 11 is not text");
    assert_eq!(bad[3].1, "the row is 411 bytes long, at most 64 are read (`ingest.row_bytes_max`)");
    assert!(bad[4].1.starts_with("a row is a JSON object, not a list: put one object on each line, as `jq"));
}

#[test]
fn excerpt_of_a_long_row_is_its_beginning() {
    let long = row(&"long".repeat(100));
    let Line::Rejected(rejected) = &read(&long)[0] else { panic!("a long row was read") };
    assert_eq!(rejected.excerpt.text, long[..16]);
    assert_eq!((rejected.excerpt.row_bytes, rejected.excerpt.cut), (long.len() as u64, true));
}

#[rstest]
#[case::gzip(gzip, "gzip")]
#[case::zstd(zst, "zstd")]
fn torn_archive_gives_its_good_part_and_says_that_it_ends_early(
    #[case] pack: fn(&[u8]) -> Vec<u8>,
    #[case] name: &str,
) {
    // Noise, so that the archive is long enough to be torn in the middle of the rows.
    let noise = |n: u32| perennial_types::Fingerprint::of(&n.to_le_bytes()).short(40);
    let text: String = (0..20_000).map(|n| format!("{}\n", row(&noise(n)))).collect();
    let mut packed = pack(text.as_bytes());
    packed.truncate(packed.len() / 2);
    let (good, bad) = told(&read(packed));
    assert!(good.len() > 5_000, "{} rows", good.len());
    assert!(good.iter().zip(0..).all(|((line, text), n)| *line == u64::from(n) + 1 && *text == noise(n)));
    let [(Some(line), reason)] = &bad[..] else { panic!("{bad:?}") };
    assert_eq!(*line, good.len() as u64 + 1);
    assert!(reason.starts_with(&format!("the {name} stream ends early")), "{reason}");
}

#[test]
fn damaged_archive_is_told_from_a_failing_disk() {
    let mut damaged = gzip(row("a").as_bytes());
    let at = damaged.len() - 6;
    damaged[at] ^= 0xff;
    let (_, bad) = told(&read(damaged));
    assert!(bad[0].1.starts_with("the gzip stream is damaged"), "{bad:?}");

    struct Failing;
    impl Read for Failing {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("the disk is on fire"))
        }
    }
    let text = format!("{}\n", row("a"));
    let failing = text.as_bytes().chain(Failing);
    let lines: Vec<_> = Rows::read("test", failing, ReadLimits::default()).unwrap().collect();
    assert_eq!(lines.len(), 2);
    assert!(matches!(lines[0], Ok(Line::Row { line: 1, .. })));
    assert_eq!(lines[1].as_ref().unwrap_err().to_string(), "cannot read test: the disk is on fire");
}

#[rstest]
#[case::png(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "PNG")]
#[case::nul(b"\x01\0\0\0\n\n\n", "binary")]
#[case::list(b"[\n  {\"text\": \"a\"},\n  {\"text\": \"b\"}\n]\n", "several lines")]
#[case::pretty(b"{\n  \"text\": \"a\"\n}\n", "several lines")]
fn whole_file_is_refused_once(#[case] bytes: &[u8], #[case] reason: &str) {
    for packed in [bytes.to_vec(), gzip(bytes)] {
        let (good, bad) = told(&read(packed));
        assert!(good.is_empty());
        let [(None, found)] = &bad[..] else { panic!("{bad:?}") };
        assert!(found.contains(reason), "{found}");
    }
}

#[test]
fn empty_sources_hold_no_rows() {
    for bytes in [&b""[..], b"\n\n", b"\xef\xbb\xbf"] {
        assert!(read(bytes).is_empty());
    }
    assert!(read(gzip(b"")).is_empty());
}

#[test]
fn endless_line_is_refused_in_bounded_memory() {
    let endless = io::repeat(b'x').take(1 << 28).chain(&b"\n{\"text\": \"after\"}\n"[..]);
    let limits = ReadLimits { row_bytes_max: 1 << 16, ..ReadLimits::default() };
    let mut rows = Rows::read("test", endless, limits).unwrap();
    let Some(Ok(Line::Rejected(rejected))) = rows.next() else { panic!("the line was read") };
    assert_eq!((rejected.line, rejected.excerpt.row_bytes), (1, 1 << 28));
    assert!(matches!(rows.next(), Some(Ok(Line::Row { line: 2, .. }))));
    assert!(rows.buffer.capacity() <= 1 << 18, "{} bytes held", rows.buffer.capacity());
}

#[test]
fn fingerprint_is_that_of_the_file_however_far_it_was_read() {
    let packed = gzip(format!("{}\n", row("a").repeat(3)).as_bytes());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rows.json");
    std::fs::write(&path, &packed).unwrap();
    for steps in 0..3 {
        let mut rows = Rows::open(&path, ReadLimits::default()).unwrap();
        rows.by_ref().take(steps).for_each(drop);
        assert_eq!(rows.finish().unwrap(), (Fingerprint::of(&packed), packed.len() as u64));
    }
}

#[test]
fn missing_file_is_named() {
    let error = Rows::open(Path::new("/no/such/file"), ReadLimits::default()).err().unwrap();
    assert!(error.to_string().starts_with("cannot read /no/such/file: "), "{error}");
}

#[rstest]
#[case::after_one_member(vec![gzip(b"{\"text\": \"a\"}\n"), vec![0; 3]], None)]
#[case::after_two_members(vec![gzip(b"{\"text\": \"a\"}"), gzip(b"\n"), vec![0; 70_000]], None)]
#[case::something_else(vec![gzip(b"{\"text\": \"a\"}\n"), b"garbage".to_vec()], Some("neither another nor zeros"))]
#[case::a_member_behind_zeros(vec![gzip(b"{\"text\": \"a\"}\n"), vec![0; 9], gzip(b"{}")], Some("neither another nor zeros"))]
#[case::half_a_member(vec![gzip(b"{\"text\": \"a\"}\n"), gzip(b"{}")[..5].to_vec()], Some("ends early"))]
fn zeros_after_the_last_member_are_padding(#[case] parts: Vec<Vec<u8>>, #[case] reason: Option<&str>) {
    let (good, bad) = told(&read(parts.concat()));
    assert_eq!(good, [(1, "a".into())]);
    match reason {
        None => assert!(bad.is_empty(), "{bad:?}"),
        Some(reason) => assert!(bad.len() == 1 && bad[0].1.contains(reason), "{bad:?}"),
    }
}

#[test]
fn window_that_is_too_large_is_told_with_the_remedy() {
    // A frame that names a window of 2 GiB and then nothing: what `zstd --long=31` begins a long file with.
    let frame = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 21 << 3, 0x01, 0x00, 0x00];
    let first = zst(format!("{}\n", row("a")).as_bytes());
    let (good, bad) = told(&read([&first[..], &frame].concat()));
    assert_eq!(good.len(), 1);
    assert!(bad[0].1.contains("--long=27") && !bad[0].1.contains("damaged"), "{bad:?}");
}

proptest! {
    #[test]
    fn any_bytes_are_judged_without_panicking(bytes in vec(any::<u8>(), 0..300), pack in 0..3) {
        let packed = match pack {
            0 => bytes,
            1 => gzip(&bytes),
            _ => zst(&bytes),
        };
        read(&packed[..packed.len() - packed.len() / 7]);
    }

    #[test]
    fn every_good_line_among_any_others_is_found(others in vec(vec(any::<u8>(), 0..100), 1..20)) {
        let mut text = Vec::new();
        let mut expected = Vec::new();
        for (n, other) in (0_u64..).zip(&others) {
            let good = row(&n.to_string());
            let other: Vec<u8> = other.iter().copied().filter(|byte| *byte != b'\n').collect();
            for line in [good.as_bytes(), &other] {
                text.extend_from_slice(line);
                text.push(b'\n');
            }
            expected.push((2 * n + 1, n.to_string()));
        }
        prop_assert_eq!(told(&read(text)).0, expected);
    }
}
