use std::fs;

use perennial_tests::{Fixture, Program, repository};

fn check(text: &str) -> Result<String, String> {
    let fixture = Fixture::new().unwrap();
    let file = fixture.file("perennial.toml", text).unwrap();
    let program = Program::new(&file, fixture.state()).unwrap();
    let finished = program.run(&["check"]).unwrap();
    if finished.code == Some(0) { Ok(finished.stdout) } else { Err(finished.failure().unwrap()) }
}

#[test]
fn unknown_key_is_refused_with_its_line_and_the_key_that_was_meant() {
    let error = check("[train]\nepochs = 1.0\nlerning_rate = 1e-4\n").unwrap_err();
    assert!(error.contains("perennial.toml:3"), "{error}");
    assert!(error.contains("learning_rate"), "{error}");
}

#[test]
fn daemon_refuses_to_start_with_an_unknown_key() {
    let fixture = Fixture::new().unwrap();
    let file = fixture.file("perennial.toml", "[nonsense]\nx = 1\n").unwrap();
    let error = Program::new(&file, fixture.state()).unwrap().run(&["run"]).unwrap().failure().unwrap();
    assert!(error.contains("nonsense"), "{error}");
}

#[test]
fn shipped_configurations_are_accepted() {
    for name in ["config/perennial.toml", "config/examples/demo/perennial.toml", "config/examples/demo/tiny.toml"] {
        let fixture = Fixture::new().unwrap();
        let program = Program::new(&repository().join(name), fixture.state()).unwrap();
        let dump = program.run(&["config", "dump"]).unwrap().success().unwrap();
        assert!(dump.contains("learning_rate"), "{name}: {dump}");
    }
}

#[test]
fn dumped_configuration_can_be_read_again() {
    let fixture = Fixture::new().unwrap();
    let dump = fixture.program.run(&["config", "dump"]).unwrap().success().unwrap();
    let file = fixture.file("again.toml", &dump).unwrap();
    let again = Program::new(&file, fixture.state()).unwrap().run(&["config", "dump"]).unwrap().success().unwrap();
    let values = |text: &str| text.lines().map(|line| line.split('#').next().unwrap_or("").trim().to_owned()).collect();
    let (dump, again): (Vec<String>, Vec<String>) = (values(&dump), values(&again));
    assert_eq!(dump, again);
    assert!(fs::metadata(file).is_ok());
}
