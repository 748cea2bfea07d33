//! Cycles that are called off or fail, and reloads that are refused.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cycle_that_runs_or_waits_to_be_tried_again_is_aborted_over_http() {
    let running = Running::start(Fake::default(), |_| {}).await;
    running.post("/v1/samples", "1\n").await;
    running.post("/v1/cycles", "").await;
    let (status, refusal) = running.post("/v1/cycles/9/abort", "").await;
    assert_eq!((status, refusal["detail"].as_str()), (500, Some("it is over")));
    let (status, aborting) = running.post("/v1/cycles/1/abort", r#"{"reason": "wrong data"}"#).await;
    assert_eq!((status, aborting["cycle"].as_u64()), (202, Some(1)));
    let aborted = |times: u32| format!(r#"perennial_cycle_runs_total{{outcome="aborted"}} {times}"#);
    running.until("the end", async |running| running.get("/metrics").await.1.contains(&aborted(1))).await;

    running.fake.abort.store(false, SeqCst);
    running.fake.fails.store(true, SeqCst);
    running.post("/v1/samples", "2\n").await;
    running.post("/v1/cycles", "").await;
    running.until("the trouble", async |running| running.get("/v1/status").await.1.contains("out of memory")).await;
    running.post("/v1/cycles/2/abort", "").await;
    running.until("the end", async |running| running.get("/metrics").await.1.contains(&aborted(2))).await;
    assert_eq!(running.stop().await, Exit::Clean);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reload_under_which_no_cycle_could_begin_is_refused_and_training_that_is_stuck_is_told() {
    let fake = Fake::default();
    fake.unfinished.store(7, SeqCst);
    fake.fails.store(true, SeqCst);
    let running = Running::start(fake, |_| {}).await;
    running.until("the trouble", async |running| running.get("/v1/status").await.1.contains("out of memory")).await;
    assert!(running.context.telemetry.board().current().retry_ms.is_some(), "the next try is told");
    let reload = async || {
        let name = std::process::id().to_string();
        std::process::Command::new("sh").args(["-c", &format!("kill -HUP {name}")]).status().unwrap();
    };
    running.file.lock().unwrap().train.r = REFUSED_RANK;
    running.file.lock().unwrap().cycle.samples_min = 7;
    reload().await;
    running.until("the refusal", async |running| running.fake.refused.load(SeqCst) > 0).await;
    running.file.lock().unwrap().train.r = 16;
    running.file.lock().unwrap().cycle.samples_min = 8;
    reload().await;
    let samples_min = |running: &Running| running.context.config.current().cycle.samples_min;
    running
        .until("the reload", async |running| {
            assert_ne!(samples_min(running), 7, "refused as a whole");
            samples_min(running) == 8
        })
        .await;

    // Where no cycle could begin before, a reload makes nothing worse.
    running.fake.blocked.store(true, SeqCst);
    running.file.lock().unwrap().cycle.samples_min = 9;
    reload().await;
    let told = async |running: &Running| {
        let (status, ready) = running.get("/ready").await;
        status == 200 && ready.contains("another base")
    };
    running.until("the trouble to be told and samples to be taken", told).await;
    let (status, training) = running.get("/ready/training").await;
    assert!(status == 503 && training.contains("training_is_stuck"), "{training}");
    running.fake.blocked.store(false, SeqCst);
    reload().await;
    running.until("the way out", async |running| running.get("/ready/training").await.0 == 200).await;
    assert_eq!(running.stop().await, Exit::Clean);
}
