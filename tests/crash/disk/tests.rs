use super::*;

fn disk() -> (tempfile::TempDir, Disk) {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("old"), "old").unwrap();
    let disk = Disk::load(folder.path()).unwrap();
    (folder, disk)
}

fn made(disk: &Disk, inode: u64, name: &str, data: &str) -> Vec<Change> {
    let path = disk.root.join(name);
    vec![Change::Create { inode, path }, Change::Write { inode, offset: 0, data: data.into() }]
}

/// What may be there after a cut, over many chances: each file's name and bytes.
fn outcomes(changes: impl Fn(&Disk) -> Vec<Change>) -> BTreeSet<BTreeMap<String, String>> {
    (0..1000)
        .map(|seed| {
            let (folder, mut disk) = disk();
            let changes = changes(&disk);
            disk.apply(changes).unwrap();
            disk.cut(&mut Random::new(seed)).unwrap();
            let entries = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path());
            entries.map(|path| (name(&path).unwrap(), fs::read_to_string(&path).unwrap())).collect()
        })
        .collect()
}

#[test]
fn what_was_synced_is_always_there() {
    let left = outcomes(|disk| {
        let mut changes = made(disk, 1 << 60, ".new.tmp", "new");
        changes.push(Change::Sync { inode: 1 << 60, path: disk.root.join(".new.tmp") });
        changes.push(Change::Rename { from: disk.root.join(".new.tmp"), to: disk.root.join("old") });
        changes.push(Change::Sync { inode: 0, path: disk.root.clone() });
        changes
    });
    assert_eq!(left, BTreeSet::from([BTreeMap::from([("old".to_owned(), "new".to_owned())])]));
}

#[test]
fn a_rename_without_a_sync_of_the_bytes_can_empty_a_file() {
    let left = outcomes(|disk| {
        let mut changes = made(disk, 1 << 60, ".new.tmp", "new");
        changes.push(Change::Rename { from: disk.root.join(".new.tmp"), to: disk.root.join("old") });
        changes
    });
    let old = |bytes: &str| left.iter().any(|files| files["old"] == bytes);
    assert!(old("old") && old("") && old("new") && old("n"), "{left:?}");
    assert!(old("\0\0\0"), "the length without the bytes: {left:?}");
}

#[test]
fn names_survive_in_their_order() {
    let left = outcomes(|disk| made(disk, 1 << 60, "a", "").into_iter().chain(made(disk, 1 << 61, "b", "")).collect());
    let names: BTreeSet<Vec<&str>> = left.iter().map(|files| files.keys().map(String::as_str).collect()).collect();
    assert_eq!(names, BTreeSet::from([vec!["old"], vec!["a", "old"], vec!["a", "b", "old"]]));
}
