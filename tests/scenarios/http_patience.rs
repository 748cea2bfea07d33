//! Slow and silent clients: each loses its place in time, and none holds up the daemon's end.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    thread,
    time::{Duration, Instant},
};

use perennial_tests::{Daemon, Exit, Fixture};

const HALF_HEAD: &[u8] = b"GET /v1/status HTTP/1.1\r\nHost: localhost\r\n";
const HALF_BODY: &[u8] = b"POST /v1/samples HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-ndjson\r\n\
                           Content-Length: 1000\r\n\r\n{\"prompt\": \"half a row\", \"comp";

/// Longer than anything here may take on a busy machine, and much shorter than `shutdown.stop_seconds`.
const SOON: Duration = Duration::from_secs(10);

fn connect(daemon: &Daemon, sent: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(daemon.http.address()).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    stream.write_all(sent).unwrap();
    stream
}

/// What comes until the other end closes, which it must do soon.
fn rest(mut stream: TcpStream) -> String {
    let mut text = Vec::new();
    // A connection that is cut off with something unread is reset: that is an end too.
    if let Err(error) = stream.read_to_end(&mut text) {
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "it stayed open");
    }
    String::from_utf8_lossy(&text).into_owned()
}

#[test]
fn half_a_request_does_not_hold_up_the_end() {
    let fixture = Fixture::new().unwrap().with(&["shutdown.stop_seconds=60", "http.header_seconds=300"]);
    let daemon = fixture.start().unwrap();
    let mut kept = connect(&daemon, b"GET /live HTTP/1.1\r\nHost: localhost\r\n\r\n");
    kept.read_exact(&mut [0; 12]).unwrap();
    let connections = [connect(&daemon, b""), connect(&daemon, HALF_HEAD), connect(&daemon, HALF_BODY), kept];
    thread::sleep(Duration::from_millis(300));
    let started = Instant::now();
    assert_eq!(daemon.stop(SOON).unwrap(), Exit::Code(0));
    assert!(started.elapsed() < SOON);
    drop(connections);
}

#[test]
fn what_does_not_come_in_time_is_given_up() {
    let fixture = Fixture::new().unwrap().with(&["http.header_seconds=1", "http.body_seconds=2"]);
    let daemon = fixture.start().unwrap();
    assert_eq!(rest(connect(&daemon, HALF_HEAD)), "");
    assert_eq!(rest(connect(&daemon, b"")), "", "nor does one that says nothing stay");
    let late = rest(connect(&daemon, HALF_BODY));
    assert!(late.contains(" 408 ") && late.contains("http.body_seconds"), "{late}");

    // A byte now and then is no better.
    let mut dripping = connect(&daemon, HALF_BODY);
    let started = Instant::now();
    while started.elapsed() < SOON && dripping.write_all(b"x").is_ok() {
        thread::sleep(Duration::from_millis(100));
    }
    assert!(started.elapsed() < SOON, "it was not cut off");
    assert_eq!(daemon.http.get("/ready").unwrap().status, 200);
}

#[test]
fn too_many_connections_wait_and_get_their_turn() {
    let fixture = Fixture::new().unwrap().with(&["http.connections_max=2", "http.header_seconds=2"]);
    let daemon = fixture.start().unwrap();
    let silent = [connect(&daemon, HALF_HEAD), connect(&daemon, HALF_HEAD)];
    thread::sleep(Duration::from_millis(200));
    let started = Instant::now();
    assert_eq!(daemon.http.get("/live").unwrap().status, 200);
    assert!(started.elapsed() > Duration::from_millis(500), "both places were taken");
    let told = daemon.metrics().unwrap().sum("perennial_http_connections_full_total", &[]);
    assert!(told.is_some_and(|waits| waits >= 1.0) && daemon.log().contains("http.connections_max"), "{told:?}");
    drop(silent);
}

#[test]
fn heads_have_an_end() {
    let fixture = Fixture::new().unwrap();
    let daemon = fixture.start().unwrap();
    let long = format!("GET /live HTTP/1.1\r\nHost: localhost\r\nX-Long: {}\r\n\r\n", "x".repeat(20_000));
    let many: String = (0..200).map(|at| format!("X-{at}: x\r\n")).collect();
    let many = format!("GET /live HTTP/1.1\r\nHost: localhost\r\n{many}\r\n");
    for head in [long, many] {
        let mut stream = TcpStream::connect(daemon.http.address()).unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        let _ = stream.write_all(head.as_bytes());
        let answer = rest(stream);
        assert!(answer.is_empty() || answer.contains(" 431 "), "{answer}");
    }
    assert_eq!(daemon.http.get("/live").unwrap().status, 200);
}
