//! Files that are no plugins.

use std::{fs::File, io::Write};

use perennial_reward::{INTERFACE_VERSIONS, Kind, PluginOptions, Refusal, Wasi, inspect};

use crate::{
    guest::{Guest, INTERFACE},
    support::{host, line, options, refusal, refusal_with, resident_bytes, task},
};

#[test]
fn a_file_of_500_megabytes_is_refused_unread() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("huge.wasm");
    let mut file = File::create(&path).unwrap();
    file.write_all(&Guest::default().component()).unwrap();
    file.set_len(500 << 20).unwrap();
    let before = resident_bytes();
    let line = line(host().load(&path, &options()));
    assert_eq!(
        line,
        "plugin suspect: the file has 524288000 bytes, more than the 67108864 allowed: strip it of debug information, or \
         raise component_bytes_max"
    );
    assert!(resident_bytes().saturating_sub(before) < 100 << 20);
}

#[test]
fn what_is_no_file_is_named() {
    let line = line(host().load("/nowhere/plugin.wasm".as_ref(), &options()));
    assert!(line.contains("cannot read /nowhere/plugin.wasm: No such file"), "{line}");
    let line = crate::support::line(host().load("/dev/zero".as_ref(), &options()));
    assert!(line.contains("cannot read /dev/zero: it is no regular file"), "{line}");
}

#[test]
fn a_truncated_file_is_refused() {
    for whole in [Guest::default().component(), Guest::default().module()] {
        let host = host();
        for length in (0..whole.len()).step_by(7) {
            let Ok(plugin) = host.load_bytes(&whole[..length], &options()) else { continue };
            // What can be missing without being missed is the list of names at the end.
            assert!(length > whole.len() / 2);
            assert_eq!(plugin.score(&task(1)).outcomes[0].reward(), Some(0.5));
        }
    }
    let component = Guest::default().component();
    let line = refusal(&component[..component.len() - 5]);
    assert!(line.contains("not a valid WASM file") && line.ends_with("build or copy it again"), "{line}");
}

#[test]
fn a_damaged_file_is_refused_or_runs_but_never_takes_the_host_down() {
    for whole in [Guest::default().component(), Guest::default().module()] {
        for at in 0..whole.len() {
            for bit in [0x01, 0x80] {
                let mut damaged = whole.clone();
                damaged[at] ^= bit;
                let _ = inspect(&damaged);
            }
        }
        let host = host();
        for at in (8..whole.len()).step_by(61) {
            let mut damaged = whole.clone();
            damaged[at] ^= 0x04;
            let _ = host.load_bytes(&damaged, &options()).map(|plugin| plugin.score(&task(2)));
        }
    }
}

#[test]
fn what_is_no_plugin_is_told_so() {
    assert!(refusal(b"#!/bin/sh\nrm -rf /").contains("it does not start as WASM does"));
    assert!(refusal(b"").contains("it does not start as WASM does"));
    let bare = wat::parse_str("(module)").unwrap();
    assert!(refusal(&bare).contains("not a reward plugin: it is a core module without a component type"));
    let empty = wat::parse_str("(component)").unwrap();
    assert!(refusal(&empty).contains("it does not use the interface perennial:reward"));
}

#[test]
fn another_version_of_the_interface_is_refused_by_name() {
    let interface = INTERFACE.replace("perennial:reward@0.1.0", "perennial:reward@0.9.0");
    let guest = Guest { interface, ..Guest::default() };
    for bytes in [guest.module(), guest.component()] {
        assert_eq!(
            refusal(&bytes),
            format!(
                "plugin suspect: it was built for perennial:reward@0.9.0, and this program runs {}: build it again with the \
                 SDK of a version that this program runs, or update this program",
                INTERFACE_VERSIONS.join(" and ")
            )
        );
    }
}

#[test]
fn the_right_version_with_other_types_is_refused() {
    let interface = INTERFACE.replace("reward: f64,", "reward: f32,");
    assert_ne!(interface, INTERFACE);
    let line = refusal(&Guest { interface, ..Guest::default() }.component());
    assert!(line.contains("not a reward plugin") && line.contains("build it with a plugin SDK"), "{line}");
}

#[test]
fn inspection_says_what_a_file_is_without_running_it() {
    let guest = Guest { describe: "(unreachable)", ..Guest::default() };
    let (module, component) = (inspect(&guest.module()).unwrap(), inspect(&guest.component()).unwrap());
    assert_eq!((module.kind, component.kind), (Kind::CoreModule, Kind::Component));
    assert_eq!(component.imports, ["perennial:reward/log@0.1.0", "perennial:reward/types@0.1.0"]);
    assert_eq!(component.exports, ["describe", "score"]);
    assert_eq!(component.interface.as_deref(), Some("0.1.0"));
    assert_eq!((&module.imports, &module.exports), (&component.imports, &component.exports));
    component.judge(Wasi::Denied).unwrap();
}

/// A core module that imports this.
fn importing(import: &str) -> Vec<u8> {
    wat::parse_str(format!("(module (import {import}))")).unwrap()
}

/// A component that imports an interface with one function.
fn component_importing(interface: &str) -> Vec<u8> {
    let text = format!(
        r#"(component (import "{interface}" (instance (export "f" (func))))
             (import "perennial:reward/types@0.1.0" (instance)))"#
    );
    wat::parse_str(text).unwrap()
}

#[test]
fn files_sockets_clocks_and_chance_are_refused_by_name() {
    for interface in [
        "wasi:filesystem/types@0.2.0",
        "wasi:filesystem/preopens@0.2.6",
        "wasi:sockets/tcp@0.2.0",
        "wasi:http/outgoing-handler@0.2.0",
        "wasi:clocks/wall-clock@0.2.0",
        "wasi:random/random@0.2.0",
        "wasi:cli/environment@0.2.0",
    ] {
        let line = refusal(&component_importing(interface));
        let expected = format!("plugin suspect: it imports {interface}, which plugins do not get: ");
        assert!(line.starts_with(&expected), "{line}");
        let refused = inspect(&component_importing(interface)).unwrap().judge(Wasi::Denied);
        assert!(matches!(refused, Err(Refusal::Import { import, .. }) if import == interface));
    }
    for (import, named) in [
        (r#""wasi_snapshot_preview1" "path_open" (func)"#, "wasi_snapshot_preview1"),
        (r#""wasi_snapshot_preview1" "sock_recv" (func)"#, "wasi_snapshot_preview1"),
        (r#""env" "system" (func)"#, "env"),
    ] {
        let line = refusal(&importing(import));
        assert!(line.contains(&format!("it imports {named}, which plugins do not get: ")), "{line}");
    }
}

#[test]
fn files_and_sockets_stay_refused_where_wasi_is_stubbed() {
    let stubbed = PluginOptions { wasi: Wasi::Stubbed, ..options() };
    for interface in ["wasi:sockets/tcp@0.2.0", "wasi:http/outgoing-handler@0.2.0", "wasi:made-up/thing@0.2.0"] {
        let line = refusal_with(&component_importing(interface), &stubbed);
        assert!(line.contains(&format!("it imports {interface}, which plugins do not get")), "{line}");
    }
}

#[test]
fn an_interface_that_nobody_publishes_is_refused() {
    let line = refusal(&component_importing("perennial:reward/shell@0.1.0"));
    assert!(line.contains("it imports perennial:reward/shell@0.1.0, which plugins do not get"), "{line}");
}

#[test]
fn a_file_with_more_functions_than_any_plugin_needs_is_refused_unread() {
    let started = std::time::Instant::now();
    let line = refusal(&Guest { items: &"(func)".repeat(100_000), ..Guest::default() }.module());
    assert!(line.contains("functions, more than the 80000 that a plugin may have"), "{line}");
    assert!(started.elapsed() < std::time::Duration::from_secs(10));
}
