//! Compiled code on disk, which runs as the daemon's own: it must be what the daemon wrote.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use perennial_reward::{Host, HostError, HostOptions, Plugin};

use crate::{
    guest::Guest,
    support::{options, task},
};

fn load(cache: &Path) -> Plugin {
    let host = Host::new(HostOptions { cache_dir: Some(cache.to_owned()), ..HostOptions::default() }).unwrap();
    let plugin = host.load_bytes(&Guest::default().module(), &options()).unwrap();
    assert_eq!(plugin.compilation().cache_problem, None);
    assert_eq!(plugin.score(&task(1)).outcomes[0].reward(), Some(0.5));
    plugin
}

#[test]
fn a_plugin_is_compiled_once_and_again_where_the_entry_is_damaged() {
    let dir = tempfile::tempdir().unwrap();
    let cache = dir.path().join("compiled");
    assert!(!load(&cache).compilation().cached);
    assert!(load(&cache).compilation().cached);

    let entry = fs::read_dir(&cache).unwrap().next().unwrap().unwrap().path();
    let mut code = fs::read(&entry).unwrap();
    let middle = code.len() / 2;
    code[middle] ^= 0xff;
    fs::write(&entry, &code).unwrap();
    assert!(!load(&cache).compilation().cached);
    assert!(load(&cache).compilation().cached);

    fs::write(&entry, &code[..middle]).unwrap();
    assert!(!load(&cache).compilation().cached);
}

#[test]
fn a_cache_that_cannot_be_written_costs_time_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let host = Host::new(HostOptions { cache_dir: Some(dir.path().join("gone")), ..HostOptions::default() }).unwrap();
    fs::remove_dir(dir.path().join("gone")).unwrap();
    let plugin = host.load_bytes(&Guest::default().module(), &options()).unwrap();
    assert!(plugin.compilation().cache_problem.as_ref().unwrap().contains("No such file"));
    assert_eq!(plugin.score(&task(1)).outcomes[0].reward(), Some(0.5));
}

#[test]
fn a_cache_that_others_can_write_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let options = HostOptions { cache_dir: Some(dir.path().to_owned()), ..HostOptions::default() };
    let error = Host::new(options).err().unwrap();
    assert!(matches!(&error, HostError::Cache { path, .. } if path == dir.path()));
    assert!(error.to_string().contains("others may write in it (mode 777)"), "{error}");
}
