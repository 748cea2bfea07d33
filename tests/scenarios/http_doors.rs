//! Who is let in: foreign pages, tokens, Unix sockets, and sockets that systemd passes.

use std::{
    fs::{self, File},
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener},
    os::{
        fd::OwnedFd,
        unix::{
            fs::PermissionsExt as _,
            net::{UnixListener, UnixStream},
        },
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use perennial_tests::{Daemon, Fixture, Http, Program, Response, task, wait_until};
use serde_json::Value;

use crate::support::{INTAKE_LIMIT, lines, stored};

/// What changes something, with a body that would do.
const CHANGES: [(&str, &str); 5] = [
    ("/v1/samples", r#"{"prompt": "a", "completion": "b"}"#),
    ("/v1/cycles", "{}"),
    ("/v1/cycles/1/requeue", "{}"),
    ("/v1/rollback", "{}"),
    ("/v1/adapters/0123456789ab/promote", "{}"),
];

const JSON: (&str, &str) = ("Content-Type", "application/json");

fn problem(answer: &Response) -> Value {
    assert!(answer.head.to_lowercase().contains("content-type: application/problem+json"), "{}", answer.head);
    let problem: Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!(problem["status"], answer.status, "{problem}");
    assert!(["title", "code", "detail"].iter().all(|key| problem[key].is_string()), "{problem}");
    problem
}

#[test]
fn a_foreign_page_changes_nothing() {
    let fixture = Fixture::new().unwrap();
    let daemon = fixture.start().unwrap();
    let send = |path: &str, headers: &[(&str, &str)], body: &str| {
        daemon.http.send("POST", path, headers, body.as_bytes()).unwrap()
    };
    for (path, body) in CHANGES {
        for foreign in [
            ("Origin", "http://evil.example"),
            ("Origin", "null"),
            ("Sec-Fetch-Site", "cross-site"),
            ("Sec-Fetch-Site", "same-site"),
        ] {
            let answer = send(path, &[JSON, foreign], body);
            assert_eq!((answer.status, problem(&answer)["code"].as_str()), (403, Some("foreign_origin")), "{path}");
        }
        for unasked in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"] {
            let answer = send(path, &[("Content-Type", unasked)], body);
            assert_eq!((answer.status, problem(&answer)["code"].as_str()), (415, Some("unsupported_type")), "{path}");
        }
        assert_eq!(send(path, &[], body).status, 415, "{path} without a type");
        let rebound = send(path, &[JSON, ("Host", "evil.example:7411")], body);
        assert_eq!((rebound.status, problem(&rebound)["code"].as_str()), (403, Some("wrong_host")), "{path}");
        let preflight = [("Origin", "http://evil.example"), ("Access-Control-Request-Method", "POST")];
        let answer = daemon.http.send("OPTIONS", path, &preflight, b"").unwrap();
        assert_eq!(answer.status, 405, "{path}");
        assert!(!answer.head.to_lowercase().contains("access-control-allow"), "{}", answer.head);
    }
    let registry = fixture.registry().unwrap();
    assert_eq!(stored(&registry).unwrap(), 0);
    assert!(registry.cycles(1).unwrap().is_empty());

    let own = format!("http://{}", daemon.http.address());
    let headers = [JSON, ("Origin", own.as_str()), ("Sec-Fetch-Site", "same-origin")];
    assert_eq!(send("/v1/samples", &headers, CHANGES[0].1).status, 200, "an own page may");
    assert_eq!(stored(&fixture.registry().unwrap()).unwrap(), 1);
}

#[test]
fn every_error_is_a_problem() {
    let fixture = Fixture::new().unwrap().with(&["http.body_bytes_max=4096"]);
    let daemon = fixture.start().unwrap();
    let rows = ("Content-Type", "application/x-ndjson");
    let long = "x\n".repeat(4096);
    type Case<'a> = (&'a str, &'a str, &'a [(&'a str, &'a str)], &'a str, u16);
    let cases: [Case<'_>; 14] = [
        ("GET", "/nowhere", &[], "", 404),
        ("GET", "/v1/cycles/9", &[], "", 404),
        ("GET", "/v1/cycles/9/gate", &[], "", 404),
        ("GET", "/v1/cycles/%ff", &[], "", 400),
        ("GET", "/v1/rollback", &[], "", 405),
        ("PUT", "/v1/rollback", &[JSON], "", 405),
        ("DELETE", "/v1/adapters/0123456789ab", &[JSON], "", 405),
        ("POST", "/v1/samples", &[rows], &long, 413),
        ("POST", "/v1/rollback", &[JSON], &"x".repeat(100_000), 413),
        ("POST", "/v1/rollback", &[JSON], "{", 400),
        ("POST", "/v1/rollback", &[JSON], "\u{fffd}", 400),
        ("POST", "/v1/samples?first_line=x", &[rows], "", 400),
        ("POST", "/v1/samples", &[rows, ("Content-Encoding", "br")], "", 415),
        ("POST", "/v1/samples", &[rows], "\0\u{1}\u{2} binary", 422),
    ];
    for (method, path, headers, body, status) in cases {
        let answer = daemon.http.send(method, path, headers, body.as_bytes()).unwrap();
        assert_eq!(answer.status, status, "{method} {path}: {}", answer.body);
        problem(&answer);
        assert!(status != 405 || answer.head.to_lowercase().contains("\nallow: "), "{}", answer.head);
    }
}

const READ: &str = "read-read-read-read-read";
const INGEST: &str = "ingest-ingest-ingest-ing";
const OPERATE: &str = "operate-operate-operate-";

fn tokens(fixture: &Fixture) -> PathBuf {
    let file = fixture.file("tokens", format!("read {READ}\ningest {INGEST}\noperate {OPERATE}\n")).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    file
}

#[test]
fn tokens_let_in_by_role() {
    let fixture = Fixture::new().unwrap();
    let file = tokens(&fixture);
    let program = fixture.program.clone().with(&format!("http.tokens_file={}", file.display()));
    let mut daemon = Daemon::spawn(&program).unwrap();
    daemon.wait_ready().unwrap();
    let ask = |method: &str, path: &str, token: Option<&str>| {
        let bearer = token.map(|token| format!("Bearer {token}"));
        let authorization = bearer.as_deref().map(|bearer| ("Authorization", bearer));
        let headers: Vec<_> = [JSON].into_iter().chain(authorization).collect();
        daemon.http.send(method, path, &headers, b"{}").unwrap()
    };
    let who = [None, Some(READ), Some(INGEST), Some(OPERATE), Some("a-token-of-somebody-else")];
    let statuses = |method: &str, path: &str| who.map(|token| ask(method, path, token).status);
    assert_eq!(statuses("GET", "/live"), [200, 200, 200, 200, 401]);
    assert_eq!(statuses("GET", "/ready"), [200, 200, 200, 200, 401]);
    for path in ["/metrics", "/v1/status", "/v1/adapters", "/v1/cycles"] {
        assert_eq!(statuses("GET", path), [401, 200, 403, 200, 401], "{path}");
    }
    // The one row of the body is none.
    assert_eq!(statuses("POST", "/v1/samples"), [401, 403, 422, 422, 401]);
    assert_eq!(statuses("POST", "/v1/rollback"), [401, 403, 403, 409, 401]);
    assert_eq!(statuses("POST", "/v1/cycles"), [401, 403, 403, 409, 401]);
    let refused = ask("GET", "/metrics", None);
    assert!(refused.head.to_lowercase().contains("www-authenticate: bearer"), "{}", refused.head);
    problem(&refused);

    program.run(&["status"]).unwrap().success().unwrap();
    let said = |command: &mut Command| String::from_utf8_lossy(&command.output().unwrap().stderr).into_owned();
    let elsewhere = said(&mut fixture.program.command(&["status"]));
    assert!(elsewhere.contains("PERENNIAL_TOKEN"), "a command without the file is told what to do: {elsewhere}");
    let reader = said(fixture.program.command(&["rollback"]).env("PERENNIAL_TOKEN", READ));
    assert!(reader.contains("role `operate`"), "{reader}");
    let output = fixture.program.command(&["status"]).env("PERENNIAL_TOKEN", READ).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert!(!daemon.log().contains(OPERATE), "no token is logged");
}

#[test]
fn other_machines_are_let_in_by_tokens_alone() {
    let fixture = Fixture::new().unwrap();
    let remote = fixture.program.clone().with("http.listen=0.0.0.0:0");
    let error = remote.run(&["run"]).unwrap().failure().unwrap();
    assert!(error.contains("http.listen") && error.contains("http.tokens_file"), "{error}");
    let file = tokens(&fixture);
    let set = format!("http.tokens_file={}", file.display());
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    let error = remote.clone().with(&set).run(&["run"]).unwrap().failure().unwrap();
    assert!(error.contains("can be used by everybody"), "{error}");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    let _running = Running::start(&remote.with(&set), |command| command);
    let through = fixture.program.clone().with(&set);
    let ask =
        || Ok(through.run(&["status", "--json"])?.success().ok().filter(|told| !told.contains("\"activity\": null")));
    wait_until("the daemon", INTAKE_LIMIT, ask).unwrap();
}

struct Running(Child);

impl Running {
    fn start(program: &Program, change: impl FnOnce(Command) -> Command) -> Self {
        let log = File::options().create(true).append(true).open(program.state().with_extension("log")).unwrap();
        Self(change(program.command(&["run"])).stderr(log).spawn().unwrap())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn over_unix(socket: &Path, request: &str) -> std::io::Result<String> {
    let mut stream = UnixStream::connect(socket)?;
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

#[test]
fn a_unix_socket_is_guarded_by_its_mode() {
    let fixture = Fixture::new().unwrap();
    let socket = fixture.file("place", "").unwrap().with_file_name("p.sock");
    let listen = format!("http.listen=unix:{}", socket.display());
    // Tokens are for TCP.
    let tokens = format!("http.tokens_file={}", tokens(&fixture).display());
    let program = fixture.program.clone().with(&listen).with(&tokens).with("http.socket_mode=\"0600\"");
    let _running = Running::start(&program, |command| command);
    let ready = || Ok(over_unix(&socket, "GET /ready HTTP/1.0\r\n\r\n").ok().filter(|answer| answer.contains(" 200 ")));
    wait_until("the daemon", INTAKE_LIMIT, ready).unwrap();
    assert_eq!(socket.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let rows = fixture.file("rows.jsonl", lines(&task("tickets_train").unwrap()[..5])).unwrap();
    fixture.program.run(&["ingest".as_ref(), rows.as_os_str()]).unwrap().success().unwrap();
    assert_eq!(stored(&fixture.registry().unwrap()).unwrap(), 5);
    let foreign = "POST /v1/rollback HTTP/1.0\r\nContent-Type: application/json\r\nOrigin: http://evil.example\r\n\r\n";
    assert!(over_unix(&socket, foreign).unwrap().contains(" 403 "), "a page behind a proxy is foreign here too");
}

#[test]
fn sockets_that_systemd_passes_are_answered_at() {
    let fixture = Fixture::new().unwrap();
    let socket = fixture.file("place", "").unwrap().with_file_name("p.sock");
    let (tcp, unix) = (TcpListener::bind("127.0.0.1:0").unwrap(), UnixListener::bind(&socket).unwrap());
    let address: SocketAddr = tcp.local_addr().unwrap();
    // The shell lays what it was given as standard input and output where systemd lays sockets.
    const PASS: &str = "exec 3<&0 4<&1 </dev/null >&2; export LISTEN_PID=$$ LISTEN_FDS=2; exec \"$@\"";
    let pass = |plain: Command| {
        let mut shell = Command::new("sh");
        shell.args(["-c", PASS, "sh"]).arg(plain.get_program()).args(plain.get_args());
        shell.stdin(Stdio::from(OwnedFd::from(tcp))).stdout(Stdio::from(OwnedFd::from(unix)));
        shell
    };
    // Port 1 cannot be had: what was passed goes before it.
    let _running = Running::start(&fixture.program.clone().with("http.listen=127.0.0.1:1"), pass);
    let http = Http::new(address);
    let ready = || Ok(http.get("/ready").ok().filter(|answer| answer.status == 200));
    wait_until("the daemon", INTAKE_LIMIT, ready).unwrap();
    assert!(over_unix(&socket, "GET /live HTTP/1.0\r\n\r\n").unwrap().contains(" 200 "));
    let told = fixture.program.run(&["check"]).unwrap().stdout;
    assert!(told.contains(&format!("at unix:{}", socket.display())), "commands go through the Unix socket: {told}");
}
