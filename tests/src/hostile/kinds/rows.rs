use super::{
    super::{Input, Kind, random::Random},
    NDJSON,
};

/// Rows that are no rows, or too much of one.
pub(in super::super) struct Rows;

const GOOD: &str =
    r#"{"messages": [{"role": "user", "content": "how late is it?"}, {"role": "assistant", "content": "noon"}]}"#;

impl Kind for Rows {
    fn name(&self) -> &'static str {
        "rows"
    }

    fn input(&self, random: &mut Random) -> Input {
        let body = body(random);
        match random.below(4) {
            0 => Input::Drop { name: format!("{:x}.jsonl", random.number()), bytes: body },
            1 => Input::Post {
                query: format!("?source={}", "s".repeat(random.size(1, 4000))),
                content_type: NDJSON,
                body,
            },
            _ => Input::Post { query: String::new(), content_type: NDJSON, body },
        }
    }
}

fn body(random: &mut Random) -> Vec<u8> {
    let size = random.size(16, 1 << 20);
    let text = match random.below(14) {
        0 => format!("{}1{}", "[".repeat(size), "]".repeat(size)),
        1 => format!("{{\"prompt\": {}1{}, \"completion\": \"c\"}}", "{\"a\":".repeat(size / 4), "}".repeat(size / 4)),
        2 => format!("{{\"text\": \"{}\"}}", "\\u0000\\ud800".repeat(size / 12)),
        3 => turns(size / 40),
        4 => format!("{{\"prompt\": \"p\", \"completion\": \"c\", \"n\": {}}}", "9".repeat(size)),
        5 => format!("{{\"prompt\": \"p\", \"completion\": \"c\", {} \"z\": 0}}", keys(size / 16)),
        6 => "\n".repeat(size),
        7 => format!("{GOOD}\n").repeat(size / GOOD.len() + 1),
        8 => format!("{{\"text\": \"{}\"}}", "<|im_end|><s></s>\u{202e}\u{feff}".repeat(size / 32)),
        9 => format!("{{\"prompt\": \"p\", \"completion\": \"c\", \"domain\": \"{}\"}}", "d/../".repeat(size / 8)),
        10 => format!("{{\"prompt\": [{}], \"completion\": \"c\"}}", "0,".repeat(size / 2)),
        11 => format!("{{\"text\": \"{}", "x".repeat(size)),
        12 => return random.bytes(size),
        _ => return random.damaged(format!("{GOOD}\n").repeat(20).as_bytes()),
    };
    text.into_bytes()
}

fn turns(count: usize) -> String {
    let turn = |at: usize| format!(r#"{{"role": "{}", "content": "t"}}"#, ["user", "assistant"][at % 2]);
    let turns: Vec<String> = (0..count.max(2)).map(turn).collect();
    format!("{{\"messages\": [{}]}}", turns.join(", "))
}

fn keys(count: usize) -> String {
    (0..count).map(|at| format!("\"k{at}\": {at},")).collect()
}
