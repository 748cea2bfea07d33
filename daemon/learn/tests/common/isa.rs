use std::{env, process::Command};

use perennial_learn::compute::{Isa, choose_isa};

/// Tells a process of [`under_every_isa`] its instruction set.
const VARIABLE: &str = "PERENNIAL_TEST_ISA";

/// Runs a test under every instruction set that this machine has, each in a process of its own: a process chooses once.
/// `name` is the test's own, by which these processes are told to run it alone.
pub(crate) fn under_every_isa(name: &str, test: impl FnOnce()) {
    if let Ok(isa) = env::var(VARIABLE) {
        choose_isa(isa.parse().unwrap()).unwrap();
        return test();
    }
    for isa in Isa::ALL.into_iter().filter(|isa| isa.is_available()) {
        let mut process = Command::new(env::current_exe().unwrap());
        let output = process
            .args(["--exact", name, "--include-ignored", "--nocapture"])
            .env(VARIABLE, isa.as_str())
            .output()
            .unwrap();
        let (said, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        println!("under {isa}:{said}");
        // Where no test has the name, the process succeeds as well.
        assert!(output.status.success() && said.contains("1 passed"), "`{name}` fails under {isa}:\n{said}{errors}");
    }
}
