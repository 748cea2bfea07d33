//! What the program's modules may know of each other, beside that nothing depends on itself.

use perennial_tests::repository;

use crate::imports::at_the_top;

/// What HTTP may import besides modules that import nothing: what the daemon can be asked, and what it answers with.
const HTTP_KNOWS: [&str; 3] = ["answers", "config", "ports"];

#[test]
fn http_knows_what_the_daemon_can_be_asked_and_nothing_behind_it() {
    let imports = at_the_top(&repository().join("daemon/perennial/src/main.rs"));
    assert!(imports["http"].contains("ports") && imports["service"].contains("ports"), "{imports:?}");
    for module in &imports["http"] {
        let behind = imports.get(module);
        assert!(
            HTTP_KNOWS.contains(&module.as_str()) || behind.is_none(),
            "http imports {module}, which imports {behind:?}: ask for it in ports/daemon.rs"
        );
    }
}
