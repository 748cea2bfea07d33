//! Plugins whose bytes alone would cost more than any plugin may: they are loaded in a process that can be killed.

use std::{
    fs,
    path::PathBuf,
    process::Stdio,
    time::{Duration, Instant},
};

use perennial_tests::{Fixture, hostile::heavy_plugin, wait_until};

fn heavy(fixture: &Fixture) -> PathBuf {
    fixture.file("heavy.wasm", heavy_plugin(6000)).unwrap()
}

fn refused(fixture: &Fixture, arguments: &[&str]) -> String {
    let started = Instant::now();
    let finished = fixture.program.run(arguments).unwrap();
    let said = format!("{}{}", finished.stdout, finished.stderr);
    finished.failure().unwrap();
    assert!(started.elapsed() < Duration::from_secs(30), "after {:?}: {said}", started.elapsed());
    said
}

#[test]
fn a_plugin_that_takes_too_long_to_load_is_refused_with_the_key_to_raise() {
    let fixture = Fixture::new().unwrap().with(&["reward.load_seconds_max=0.4"]);
    let heavy = heavy(&fixture);
    let said = refused(&fixture, &["plugin", "inspect", heavy.to_str().unwrap()]);
    assert!(said.contains("plugin heavy: loading it"), "{said}");
    assert!(said.contains("took more than 0.4 s: raise reward.load_seconds_max, or mend it"), "{said}");

    let configured = format!("reward.plugin=[{{ name = \"costly\", file = {heavy:?} }}]");
    let said = refused(&fixture.with(&[&configured]), &["check"]);
    assert!(said.contains("plugin costly: loading it"), "{said}");
}

#[test]
fn a_plugin_that_takes_too_much_memory_to_load_is_refused_with_the_key_to_raise() {
    let fixture = Fixture::new().unwrap().with(&["reward.load_memory_bytes_max=67108864"]);
    let heavy = heavy(&fixture);
    let said = refused(&fixture, &["plugin", "inspect", heavy.to_str().unwrap()]);
    assert!(said.contains("took more than 67108864 bytes of memory: raise reward.load_memory_bytes_max"), "{said}");
}

/// The processes whose command line holds this text.
fn processes(text: &str) -> usize {
    let lines = fs::read_dir("/proc").unwrap().filter_map(|entry| fs::read(entry.ok()?.path().join("cmdline")).ok());
    lines.filter(|line| String::from_utf8_lossy(line).contains(text)).count()
}

#[test]
fn what_loads_a_plugin_ends_with_who_asked_for_it() {
    // No other test has this limit, so that the process is known by it.
    let fixture = Fixture::new().unwrap().with(&["reward.load_seconds_max=333.25"]);
    let heavy = heavy(&fixture);
    let mut command = fixture.program.command(&["plugin", "inspect", heavy.to_str().unwrap()]);
    let mut inspecting = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let loader = "plugin-loader\0--seconds-max\x00333.25";
    let started = || Ok((processes(loader) > 0).then_some(()));
    wait_until("the loader", Duration::from_secs(20), started).unwrap();
    inspecting.kill().unwrap();
    inspecting.wait().unwrap();
    wait_until("the loader's end", Duration::from_secs(20), || Ok((processes(loader) == 0).then_some(()))).unwrap();
}
