use std::io::Write as _;

use flate2::{Compression, write::GzEncoder};

use super::{
    super::{Input, Kind, random::Random},
    NDJSON,
};

/// Compressed rows that become far more than they are, or nothing.
pub(in super::super) struct Compressed;

/// Beyond this, the generator itself would take long.
const PLAIN_BYTES_MAX: usize = 64 << 20;

impl Kind for Compressed {
    fn name(&self) -> &'static str {
        "compressed"
    }

    fn input(&self, random: &mut Random) -> Input {
        let body = body(random);
        if random.below(4) == 0 {
            let ending = *random.pick(&["jsonl.gz", "jsonl.zst", "jsonl"]);
            return Input::Drop { name: format!("{:x}.{ending}", random.number()), bytes: body };
        }
        Input::Post { query: String::new(), content_type: NDJSON, body }
    }
}

fn body(random: &mut Random) -> Vec<u8> {
    let plain = plain(random);
    let packed = if random.below(2) == 0 { gzip(&plain) } else { zstd::encode_all(&plain[..], 1).unwrap_or_default() };
    match random.below(6) {
        0 => packed[..random.below(packed.len() + 1)].to_vec(),
        1 => random.damaged(&packed),
        2 => gzip(&packed),
        3 => gzip(b"").repeat(random.size(1, 20_000)),
        4 => [packed, random.bytes(64)].concat(),
        _ => packed,
    }
}

fn plain(random: &mut Random) -> Vec<u8> {
    let lines: [&[u8]; 7] = [b"\n", b" ", b"{}\n", b"{\"prompt\": \"p\"}\n", b"no JSON\n", b"[", b"\0"];
    let line = *random.pick(&lines);
    line.repeat(random.size(1 << 10, PLAIN_BYTES_MAX) / line.len())
}

fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    // Into memory, which takes everything.
    let _ = encoder.write_all(plain);
    encoder.finish().unwrap_or_default()
}
