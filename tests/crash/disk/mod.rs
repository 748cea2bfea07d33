//! What a power cut leaves of a folder: a file system that keeps for good only what was synced.
//!
//! Bytes of a file are durable once the file was synced, names in a folder once the folder was. Of what was not, a cut
//! leaves anything between nothing and all: names in the order in which they were changed, of each file's bytes a beginning
//! of what was written to it, or its length without them.

mod file;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    os::unix::fs::{MetadataExt, symlink},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail, ensure};

use self::file::{Edit, FileNode};
use crate::{random::Random, recorder::Change};

type NodeId = usize;
type Names = BTreeMap<String, NodeId>;

const ROOT: NodeId = 0;

pub(crate) struct Disk {
    root: PathBuf,
    nodes: Vec<Node>,
    inodes: BTreeMap<u64, NodeId>,
    /// Changes of names that are not durable, in order.
    pending: Vec<NameChange>,
}

enum Node {
    File(FileNode),
    Folder { now: Names, kept: Names },
    Link(String),
}

/// What one call changed: each a name in a folder, and what has it afterwards.
struct NameChange(Vec<(NodeId, String, Option<NodeId>)>);

impl Disk {
    /// A folder as it lies, all of it durable.
    pub(crate) fn load(root: &Path) -> Result<Self> {
        let root = root.canonicalize()?;
        let mut disk = Self { root: root.clone(), nodes: Vec::new(), inodes: BTreeMap::new(), pending: Vec::new() };
        disk.load_folder(&root)?;
        Ok(disk)
    }

    fn load_folder(&mut self, folder: &Path) -> Result<NodeId> {
        let id = self.add(Node::Folder { now: Names::new(), kept: Names::new() });
        let mut names = Names::new();
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            let metadata = fs::symlink_metadata(&path)?;
            let node = if metadata.is_dir() {
                self.load_folder(&path)?
            } else if metadata.is_symlink() {
                self.add(Node::Link(fs::read_link(&path)?.to_string_lossy().into_owned()))
            } else {
                let bytes = fs::read(&path)?;
                let node = self.add(Node::File(FileNode { now: bytes.clone(), kept: bytes, unsynced: Vec::new() }));
                self.inodes.insert(metadata.ino(), node);
                node
            };
            names.insert(name(&path)?, node);
        }
        self.nodes[id] = Node::Folder { now: names.clone(), kept: names };
        Ok(id)
    }

    /// Lets the changes happen.
    pub(crate) fn apply(&mut self, changes: Vec<Change>) -> Result<()> {
        for (at, change) in changes.into_iter().enumerate() {
            let told = format!("change {at}, {}", brief(&change));
            self.change(change).context(told)?;
        }
        Ok(())
    }

    fn change(&mut self, change: Change) -> Result<()> {
        match change {
            Change::Create { inode, path } => {
                let node = self.add(Node::File(FileNode::default()));
                self.inodes.insert(inode, node);
                let (folder, name) = self.place(&path)?;
                self.rename(vec![(folder, name, Some(node))])
            }
            Change::Symlink { path, goal } => {
                let node = self.add(Node::Link(goal));
                let (folder, name) = self.place(&path)?;
                self.rename(vec![(folder, name, Some(node))])
            }
            Change::MakeFolder { path } => {
                let node = self.add(Node::Folder { now: Names::new(), kept: Names::new() });
                let (folder, name) = self.place(&path)?;
                self.rename(vec![(folder, name, Some(node))])
            }
            Change::Rename { from, to } => {
                let node = self.find(&from)?;
                let ((old, old_name), (new, new_name)) = (self.place(&from)?, self.place(&to)?);
                self.rename(vec![(old, old_name, None), (new, new_name, Some(node))])
            }
            Change::Link { from, to } => {
                let node = self.find(&from)?;
                let (folder, name) = self.place(&to)?;
                self.rename(vec![(folder, name, Some(node))])
            }
            Change::Remove { path } => {
                let (folder, name) = self.place(&path)?;
                self.rename(vec![(folder, name, None)])
            }
            Change::Write { inode, offset, data } => self.edit(inode, Edit::Write { offset, data }),
            Change::Truncate { inode, length } => self.edit(inode, Edit::Length(length)),
            // By its path first: a folder may have the number of a file that is gone.
            Change::Sync { inode, path } => match self.find(&path) {
                Ok(node) if matches!(self.nodes[node], Node::Folder { .. }) => self.sync_folder(node),
                _ => self.sync_file(*self.inodes.get(&inode).context("a file that was never made")?),
            },
            Change::SyncAll => {
                (0..self.nodes.len()).try_for_each(|node| match self.nodes[node] {
                    Node::File(_) => self.sync_file(node),
                    _ => Ok(()),
                })?;
                let all = self.pending.drain(..).collect();
                self.make_durable(all)
            }
        }
    }

    fn edit(&mut self, inode: u64, edit: Edit) -> Result<()> {
        let node = *self.inodes.get(&inode).context("a file that was never made")?;
        let Node::File(file) = &mut self.nodes[node] else { bail!("no file") };
        edit.apply(&mut file.now);
        file.unsynced.push(edit);
        Ok(())
    }

    fn rename(&mut self, edits: Vec<(NodeId, String, Option<NodeId>)>) -> Result<()> {
        for (folder, name, node) in &edits {
            let Node::Folder { now, .. } = &mut self.nodes[*folder] else { bail!("no folder") };
            set(now, name, *node);
        }
        self.pending.push(NameChange(edits));
        Ok(())
    }

    fn sync_file(&mut self, node: NodeId) -> Result<()> {
        let Node::File(file) = &mut self.nodes[node] else { bail!("no file") };
        file.kept.clone_from(&file.now);
        file.unsynced.clear();
        Ok(())
    }

    /// With the folder's names, those become durable that were changed together with one of them, or before such a one.
    fn sync_folder(&mut self, folder: NodeId) -> Result<()> {
        let mut folders = BTreeSet::from([folder]);
        loop {
            let before = folders.len();
            for NameChange(edits) in &self.pending {
                if edits.iter().any(|(folder, ..)| folders.contains(folder)) {
                    folders.extend(edits.iter().map(|(folder, ..)| *folder));
                }
            }
            if folders.len() == before {
                break;
            }
        }
        let pending = std::mem::take(&mut self.pending);
        let (durable, pending) = pending
            .into_iter()
            .partition(|NameChange(edits)| edits.iter().any(|(folder, ..)| folders.contains(folder)));
        self.pending = pending;
        self.make_durable(durable)
    }

    fn make_durable(&mut self, changes: Vec<NameChange>) -> Result<()> {
        for (folder, name, node) in changes.into_iter().flat_map(|NameChange(edits)| edits) {
            let Node::Folder { kept, .. } = &mut self.nodes[folder] else { bail!("no folder") };
            set(kept, &name, node);
        }
        Ok(())
    }

    /// Cuts the power: the folder on disk becomes what is left, which is chosen by chance where it is not certain.
    pub(crate) fn cut(mut self, random: &mut Random) -> Result<()> {
        let survivors = if random.percent(50) { 0 } else { random.below(self.pending.len() as u64 + 1) };
        let survivors = self.pending.drain(..survivors as usize).collect();
        self.make_durable(survivors)?;
        fs::remove_dir_all(&self.root)?;
        self.write_out(ROOT, &self.root.clone(), random)
    }

    fn write_out(&self, folder: NodeId, path: &Path, random: &mut Random) -> Result<()> {
        fs::create_dir_all(path)?;
        let Node::Folder { kept, .. } = &self.nodes[folder] else { bail!("no folder") };
        for (name, node) in kept.iter().filter(|(name, _)| !is_shared_memory(name)) {
            let path = path.join(name);
            match &self.nodes[*node] {
                Node::Folder { .. } => self.write_out(*node, &path, random)?,
                Node::Link(goal) => symlink(goal, &path)?,
                Node::File(file) => fs::write(&path, file.after_cut(random))?,
            }
        }
        Ok(())
    }

    /// Compares what the changes made of the folder with the folder as it lies: nothing may have been missed.
    pub(crate) fn check_complete(&self) -> Result<()> {
        self.check_folder(ROOT, &self.root)
    }

    fn check_folder(&self, folder: NodeId, path: &Path) -> Result<()> {
        let Node::Folder { now, .. } = &self.nodes[folder] else { bail!("no folder") };
        let there: BTreeSet<String> = fs::read_dir(path)?.map(|entry| name(&entry?.path())).collect::<Result<_>>()?;
        let known: BTreeSet<String> = now.keys().cloned().collect();
        ensure!(there == known, "{}: {there:?} are there, {known:?} were recorded", path.display());
        for (name, node) in now.iter().filter(|(name, _)| !is_shared_memory(name)) {
            let path = path.join(name);
            let same = match &self.nodes[*node] {
                Node::Folder { .. } => {
                    self.check_folder(*node, &path)?;
                    true
                }
                Node::Link(goal) => fs::read_link(&path)? == Path::new(goal),
                Node::File(file) => fs::read(&path)? == file.now,
            };
            ensure!(same, "{} is not as it was recorded", path.display());
        }
        Ok(())
    }

    fn find(&self, path: &Path) -> Result<NodeId> {
        let below = path.strip_prefix(&self.root).with_context(|| path.display().to_string())?;
        below.iter().try_fold(ROOT, |folder, name| {
            let Node::Folder { now, .. } = &self.nodes[folder] else { bail!("{}: no folder", path.display()) };
            let found = name.to_str().and_then(|name| now.get(name));
            found.copied().with_context(|| format!("{} was never made", path.display()))
        })
    }

    fn place(&self, path: &Path) -> Result<(NodeId, String)> {
        Ok((self.find(path.parent().context("the root")?)?, name(path)?))
    }

    fn add(&mut self, node: Node) -> NodeId {
        self.nodes.push(node);
        self.nodes.len() - 1
    }
}

fn set(names: &mut Names, name: &str, node: Option<NodeId>) {
    match node {
        Some(node) => names.insert(name.to_owned(), node),
        None => names.remove(name),
    };
}

fn name(path: &Path) -> Result<String> {
    let name = path.file_name().and_then(|name| name.to_str());
    Ok(name.with_context(|| format!("{} has no readable name", path.display()))?.to_owned())
}

/// SQLite's index of its log is memory that processes share; it is made anew where it is missing.
fn is_shared_memory(name: &str) -> bool {
    name.ends_with("-shm")
}

/// A change without its bytes.
fn brief(change: &Change) -> String {
    match change {
        Change::Write { inode, offset, data } => {
            format!("Write {{ inode: {inode}, offset: {offset}, {} bytes }}", data.len())
        }
        change => format!("{change:?}"),
    }
}
