use super::super::{Input, Kind, random::Random};

/// Requests that are no HTTP, or no end of it.
pub(in super::super) struct Requests;

const PATHS: [&str; 9] = [
    "/",
    "/ready",
    "/metrics",
    "/v1/status",
    "/v1/samples",
    "/v1/cycles",
    "/v1/cycles/0",
    "/v1/adapters/../../x",
    "/%00",
];

impl Kind for Requests {
    fn name(&self) -> &'static str {
        "requests"
    }

    fn input(&self, random: &mut Random) -> Input {
        let path = random.pick(&PATHS);
        let size = random.size(1, 1 << 18);
        let text = match random.below(11) {
            0 => format!("GET {path}"),
            1 => format!("POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n{{", u64::MAX),
            2 => format!("POST {path} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n"),
            3 => {
                format!("GET {path} HTTP/1.1\r\n{}\r\n\r\n", format!("X-A: {}\r\n", "a".repeat(100)).repeat(size / 100))
            }
            4 => format!("GET {path}?{} HTTP/1.1\r\nHost: x\r\n\r\n", "q=".repeat(size / 2)),
            5 => format!("{} {path} HTTP/1.1\r\nHost: x\r\n\r\n", "M".repeat(size)),
            6 => {
                format!("POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\nContent-Length: 20\r\n\r\n0123456789")
            }
            7 => format!("GET {path} HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: {size}\r\n\r\n"),
            8 => format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").repeat((size / 64).clamp(1, 200)),
            9 => return Input::Connection(random.bytes(size)),
            _ => {
                let sound = format!(
                    "POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{{}}"
                );
                return Input::Connection(random.damaged(sound.as_bytes()));
            }
        };
        Input::Connection(text.into_bytes())
    }
}
