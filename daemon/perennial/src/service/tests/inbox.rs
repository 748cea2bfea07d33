//! The inbox.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_go_where_they_belong() {
    let running = Running::start(Fake::default(), |_| {}).await;
    let inbox = running.folder.path().join("inbox");
    for (name, text) in [("good.jsonl", "1\n2\n"), ("bad.bin", "!"), ("later.jsonl", "?")] {
        let hidden = inbox.join(format!(".{name}"));
        std::fs::write(&hidden, text).unwrap();
        std::fs::rename(hidden, inbox.join(name)).unwrap();
    }
    running
        .until("the files", async |running| {
            let exists = |path: &str| running.folder.path().join(path).exists();
            exists("inbox/taken/good.jsonl") && exists("quarantine/files/bad.bin")
        })
        .await;
    assert!(inbox.join("later.jsonl").exists());
    running
        .until("the metric", async |running| {
            let (_, metrics) = running.get("/metrics").await;
            metrics.contains(r#"perennial_ingest_files_total{outcome="failed"} 1"#)
        })
        .await;
    assert_eq!(running.stop().await, Exit::Clean);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn file_that_cannot_be_moved_is_set_aside_and_holds_no_other_up() {
    let running = Running::start(Fake::default(), |config| config.ingest.attempts_max = 2).await;
    let root = running.folder.path();
    // Where refused files go lies a file: they cannot be moved there, whoever runs this.
    std::fs::write(root.join("quarantine/files"), "").unwrap();
    std::fs::write(root.join("inbox/a.bin"), "!").unwrap();
    std::fs::write(root.join("inbox/b.jsonl"), "1\n").unwrap();
    running.until("the other file", async |_| root.join("inbox/taken/b.jsonl").exists()).await;
    let status = async |running: &Running| {
        let (_, text) = running.get("/v1/status").await;
        serde_json::from_str::<Value>(&text).unwrap()["intake"].clone()
    };
    running.until("the file set aside", async |running| status(running).await["set_aside_files"] == 1).await;
    let aside = status(&running).await["set_aside"][0].clone();
    assert_eq!((aside["file"].as_str(), aside["attempts"].as_u64()), (Some("a.bin"), Some(2)));
    assert!(root.join("inbox/a.bin").exists());
    let (_, metrics) = running.get("/metrics").await;
    assert!(metrics.contains(r#"perennial_ingest_files_total{outcome="set_aside"} 1"#));
    // Once it changes, it is tried again.
    std::fs::remove_file(root.join("quarantine/files")).unwrap();
    std::fs::write(root.join("inbox/a.bin"), "! again").unwrap();
    running.until("the changed file", async |_| root.join("quarantine/files/a.bin").exists()).await;
    running.until("a clean status", async |running| status(running).await["set_aside_files"] == 0).await;
    assert_eq!(running.stop().await, Exit::Clean);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_registry_that_hangs_stops_neither_the_loop_nor_http() {
    let fake = Fake::default();
    fake.hangs.store(true, SeqCst);
    let running = Running::start(fake, |_| {}).await;
    assert_eq!(running.get("/live").await.0, 200);
    let inbox = running.folder.path().join("inbox");
    std::fs::write(inbox.join(".a"), "1\n").unwrap();
    std::fs::rename(inbox.join(".a"), inbox.join("a.jsonl")).unwrap();
    let taken = running.folder.path().join("inbox/taken/a.jsonl");
    let limit = Instant::now() + Duration::from_secs(10);
    while !taken.exists() && Instant::now() < limit {
        sleep(Duration::from_millis(10)).await;
    }
    // Before anything may fail: the runtime's end waits for what hangs.
    running.fake.hangs.store(false, SeqCst);
    assert!(taken.exists(), "the inbox was not looked at");
    assert_eq!(running.stop().await, Exit::Clean);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn heavy_file_holds_no_light_one_up() {
    let running = Running::start(Fake::default(), |_| {}).await;
    let root = running.folder.path();
    std::fs::write(root.join("inbox/a-heavy.jsonl"), "x\n".repeat(8 << 20)).unwrap();
    sleep(Duration::from_millis(500)).await;
    std::fs::write(root.join("inbox/b-light.jsonl"), "1\n").unwrap();
    running.until("the light file", async |_| root.join("inbox/taken/b-light.jsonl").exists()).await;
    assert!(root.join("inbox/a-heavy.jsonl").exists());
    running.fake.heavy_may_end.store(true, SeqCst);
    running.until("the heavy file", async |_| root.join("inbox/taken/a-heavy.jsonl").exists()).await;
    assert_eq!(running.stop().await, Exit::Clean);
}
