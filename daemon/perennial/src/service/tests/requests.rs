//! What is sent over HTTP, and what it must not hold up.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn errors_are_json_with_a_code() {
    let running = Running::start(Fake::default(), |config| config.http.body_bytes_max = 1024).await;
    let code = |(status, body): (u16, Value)| (status, body["code"].as_str().unwrap_or_default().to_owned());
    let long = "x\n".repeat(600);
    assert_eq!(code(running.post("/v1/samples", &long).await), (413, "body_too_large".into()));
    assert_eq!(code(running.post("/v1/samples", "!").await), (422, "unreadable".into()));
    assert_eq!(code(running.post("/v1/samples", "?").await), (503, "unavailable".into()));
    assert_eq!(code(running.post("/v1/samples", "#").await), (507, "storage_full".into()));
    assert_eq!(code(running.post("/v1/samples?lines=1", "1").await), (400, "bad_request".into()));
    assert_eq!(code(running.post("/v1/nothing", "").await), (404, "not_found".into()));
    assert_eq!(code(running.post("/v1/status", "").await), (405, "method_not_allowed".into()));
    assert_eq!(code(running.post("/v1/adapters/xyz/promote", "").await), (400, "bad_request".into()));
    assert_eq!(code(running.post("/v1/rollback", "{\"from\": 1}").await), (400, "bad_request".into()));
    let (status, _) = running.get("/v1/adapters/0123456789ab").await;
    assert_eq!(status, 404);
    assert_eq!(running.stop().await, Exit::Clean);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn heavy_requests_hold_up_neither_small_ones_nor_the_inbox_and_end_when_their_senders_leave() {
    let running = Running::start(Fake::default(), |config| config.ingest.desks = 2).await;
    let heavy = "x\n".repeat(LIGHT);
    let senders = TaskTracker::new();
    let mut requests = Vec::new();
    for _ in 0..4 {
        let request = running.http.post(format!("{}/v1/samples", running.base));
        let request = request.header("content-type", "application/x-ndjson").body(heavy.clone());
        requests.push(senders.spawn(request.send()));
    }
    sleep(Duration::from_millis(500)).await;
    let begun = Instant::now();
    assert_eq!(running.post("/v1/samples", "1\n").await.0, 200);
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    std::fs::write(running.folder.path().join("inbox/a.jsonl"), "1\n").unwrap();
    let taken = running.folder.path().join("inbox/taken/a.jsonl");
    running.until("the file", async |_| taken.exists()).await;
    assert!(!running.fake.stopped.load(SeqCst));
    requests.iter().for_each(|request| request.abort());
    running.until("the end of the reading", async |running| running.fake.stopped.load(SeqCst)).await;
    assert_eq!(running.stop().await, Exit::Clean);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn heavy_request_does_not_hold_a_stop() {
    let running = Running::start(Fake::default(), |config| config.ingest.desks = 1).await;
    let senders = TaskTracker::new();
    let requests: Vec<_> = (0..2)
        .map(|_| running.http.post(format!("{}/v1/samples", running.base)).header("content-type", "application/jsonl"))
        .map(|request| request.body("x\n".repeat(LIGHT)))
        .map(|request| senders.spawn(request.send()))
        .collect();
    sleep(Duration::from_millis(500)).await;
    let begun = Instant::now();
    assert_eq!(running.stop().await, Exit::Clean);
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    for request in requests {
        let _ = request.await.unwrap();
    }
}
