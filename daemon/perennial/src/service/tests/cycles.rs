//! When cycles are begun.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn enough_rows_over_http_start_a_cycle_and_a_second_waits() {
    let running = Running::start(Fake::default(), |config| config.cycle.samples_min = 3).await;
    let (status, report) = running.post("/v1/samples?source=a.jsonl", "1\n2\n3\n").await;
    assert_eq!((status, report["accepted"].as_u64()), (200, Some(3)));
    running.until("a cycle", async |running| running.begun() == 1).await;
    running.post("/v1/samples", "4\n5\n6\n").await;
    let (status, refusal) = running.post("/v1/cycles", "").await;
    assert_eq!((status, refusal["code"].as_str()), (409, Some("cycle_under_way")));
    assert_eq!(running.begun(), 1);
    running.fake.may_end.store(true, SeqCst);
    running.until("the next cycle", async |running| running.begun() == 2).await;
    assert_eq!(running.stop().await, Exit::Clean);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cycle_is_started_by_hand_only_if_samples_wait() {
    let running = Running::start(Fake::default(), |_| {}).await;
    let (status, refusal) = running.post("/v1/cycles", "").await;
    assert_eq!((status, refusal["detail"].as_str()), (409, Some("no new samples wait")));
    running.post("/v1/samples", "1\n").await;
    let (status, started) = running.post("/v1/cycles", "").await;
    assert_eq!((status, started["cycle"].as_u64()), (202, Some(1)));
    let (_, text) = running.get("/v1/status").await;
    let status: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(status["activity"]["cycle"], 1);
    assert_eq!(running.stop().await, Exit::Clean);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopped_cycle_goes_on_at_the_next_start_and_an_ailing_one_waits() {
    let fake = Fake::default();
    fake.unfinished.store(7, SeqCst);
    let running = Running::start(fake, |_| {}).await;
    running.until("the cycle", async |running| running.get("/v1/status").await.1.contains(r#""cycle":7"#)).await;
    running.fake.fails.store(true, SeqCst);
    running.until("the trouble", async |running| running.get("/v1/status").await.1.contains("out of memory")).await;
    running.fake.fails.store(false, SeqCst);
    let line = running.context.telemetry.board().current().line();
    assert_eq!(line, "waiting to try again: cycle 000007: out of memory");
    let (status, started) = running.post("/v1/cycles", "").await;
    assert_eq!((status, started["cycle"].as_u64()), (202, Some(7)), "whoever asks need not wait");
    assert_eq!(running.stop().await, Exit::Clean);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_candidate_waits_for_a_word_and_nothing_begins_meanwhile() {
    let fake = Fake { holds: true.into(), ..Fake::default() };
    let running = Running::start(fake, |config| config.cycle.samples_min = 1).await;
    running.post("/v1/samples", "1\n").await;
    let held = async |running: &Running| running.get("/v1/status").await.1.contains(r#""held":{"cycle":1"#);
    running.until("the candidate waits", held).await;
    running.post("/v1/samples", "2\n").await;
    let (_, metrics) = running.get("/metrics").await;
    assert!(metrics.contains("perennial_cycle_held_until_timestamp_seconds 9000000000"), "{metrics}");
    assert_eq!(running.begun(), 1);
    let (status, refusal) = running.post("/v1/cycles/7/approve", "").await;
    assert!(status >= 400, "{refusal}");
    running.fake.may_end.store(true, SeqCst);
    let (status, answered) = running.post("/v1/cycles/1/approve", r#"{"reason": "looked at it"}"#).await;
    assert_eq!((status, answered["cycle"].as_u64()), (202, Some(1)));
    running.until("the next cycle", async |running| running.begun() == 2).await;
    assert_eq!(running.stop().await, Exit::Clean);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn drift_starts_a_cycle_where_it_may_and_enough_waits() {
    for may in [false, true] {
        let fake = Fake { drifts: true.into(), ..Fake::default() };
        let running = Running::start(fake, |config| {
            config.trigger.drift = may;
            config.drift.interval_seconds = 1;
            config.cycle.age_samples_min = 2;
        })
        .await;
        running.post("/v1/samples", "1\n").await;
        running.until("two measurements", async |running| running.fake.measured.load(SeqCst) > 1).await;
        assert_eq!(running.begun(), 0, "too few wait");
        running.post("/v1/samples", "2\n").await;
        let measured = running.fake.measured.load(SeqCst);
        match may {
            true => running.until("a cycle", async |running| running.begun() == 1).await,
            false => running.until("more", async |running| running.fake.measured.load(SeqCst) > measured + 1).await,
        }
        assert_eq!(running.begun(), u64::from(may));
        assert_eq!(running.stop().await, Exit::Clean);
    }
}
