//! Runs the program under `recorder.c`, and reads what that recorded.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use anyhow::{Context, Result, bail, ensure};
use perennial_tests::{Program, repository};
use perennial_types::Fingerprint;

/// A change of a file or a name, in the order in which it happened.
#[derive(Debug)]
pub(crate) enum Change {
    Create {
        inode: u64,
        path: PathBuf,
    },
    Write {
        inode: u64,
        offset: usize,
        data: Vec<u8>,
    },
    Truncate {
        inode: u64,
        length: usize,
    },
    Rename {
        from: PathBuf,
        to: PathBuf,
    },
    /// Of a file, a link or an empty folder.
    Remove {
        path: PathBuf,
    },
    Link {
        from: PathBuf,
        to: PathBuf,
    },
    Symlink {
        path: PathBuf,
        goal: String,
    },
    MakeFolder {
        path: PathBuf,
    },
    Sync {
        inode: u64,
        path: PathBuf,
    },
    SyncAll,
}

/// Whether this machine can run the recorder: it knows the system calls of Linux on x86-64 alone.
pub(crate) fn is_available() -> bool {
    cfg!(all(target_os = "linux", target_arch = "x86_64"))
}

/// What happens in place of a change; they are counted from 1.
#[derive(Clone, Copy, Debug)]
pub(crate) enum InPlaceOf {
    /// The process kills itself.
    Kill(u64),
    /// So many from the first on are not made, and their callers are told of an error of this number.
    Fail { first: u64, count: u64, errno: i32 },
}

/// The program with everything recorded that it does to its state directory, up to what happens in place of a change, if anything.
pub(crate) fn recorded(program: &Program, record: &Path, in_place: Option<InPlaceOf>) -> Result<Program> {
    let root = program.state().canonicalize().context("the state directory")?;
    let program = program
        .clone()
        .with_variable("LD_PRELOAD", &library()?.to_string_lossy())
        .with_variable("RECORD_ROOT", &root.to_string_lossy())
        .with_variable("RECORD_FILE", &record.to_string_lossy());
    Ok(match in_place {
        Some(InPlaceOf::Kill(change)) => program.with_variable("RECORD_KILL", &change.to_string()),
        Some(InPlaceOf::Fail { first, count, errno }) => {
            program.with_variable("RECORD_FAIL", &format!("{first}:{count}:{errno}"))
        }
        None => program,
    })
}

/// The recorder, compiled once in a process.
fn library() -> Result<&'static Path> {
    static LIBRARY: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let library = LIBRARY.get_or_init(|| compile().map_err(|error| format!("{error:#}")));
    library.as_deref().map_err(|error| anyhow::anyhow!("{error}"))
}

fn compile() -> Result<PathBuf> {
    let source = repository().join("tests/crash/recorder.c");
    let name = Fingerprint::of(&fs::read(&source)?).short(16);
    // Beside the test itself, so that it goes with the build; renamed when it is whole, since others may be about to use it.
    let own = env::current_exe()?;
    let library = own.with_file_name(format!("crash-recorder-{name}.so"));
    if library.is_file() {
        return Ok(library);
    }
    let unfinished = own.with_file_name(format!("crash-recorder-{name}-{}.so", std::process::id()));
    let compiler = env::var_os("CC").unwrap_or_else(|| "cc".into());
    let output = Command::new(compiler)
        .args(["-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror", "-o"])
        .arg(&unfinished)
        .arg(source)
        .output()
        .context("starting the C compiler")?;
    ensure!(output.status.success(), "the recorder does not compile: {}", String::from_utf8_lossy(&output.stderr));
    fs::rename(&unfinished, &library)?;
    Ok(library)
}

/// What a program recorded. An entry that its end cut short is left out: its change was made a moment before, and a power
/// cut a moment before that is as good a one.
pub(crate) fn read(record: &Path) -> Result<Vec<Change>> {
    let bytes = fs::read(record).with_context(|| record.display().to_string())?;
    let mut left = bytes.as_slice();
    let mut changes = Vec::new();
    while let Some(entry) = Entry::read(&mut left) {
        changes.push(entry.change()?);
    }
    Ok(changes)
}

/// `struct entry` of recorder.c.
struct Entry<'a> {
    kind: u32,
    inode: u64,
    offset: u64,
    path: &'a str,
    second: &'a str,
    data: &'a [u8],
}

impl<'a> Entry<'a> {
    fn read(left: &mut &'a [u8]) -> Option<Self> {
        const HEAD: usize = 32;
        let head = left.get(..HEAD)?;
        let word = |at: usize| u32::from_le_bytes(head[at..at + 4].try_into().unwrap());
        let long = |at: usize| u64::from_le_bytes(head[at..at + 8].try_into().unwrap());
        let mut rest = &left[HEAD..];
        let mut take = |length: u32| rest.split_off(..length as usize);
        let (path, second, data) = (take(word(4))?, take(word(8))?, take(word(12))?);
        *left = rest;
        let text = |bytes| std::str::from_utf8(bytes).ok();
        Some(Self { kind: word(0), inode: long(16), offset: long(24), path: text(path)?, second: text(second)?, data })
    }

    fn change(&self) -> Result<Change> {
        let Self { inode, path, .. } = *self;
        let (path, second, number) = (PathBuf::from(path), PathBuf::from(self.second), self.offset as usize);
        Ok(match self.kind {
            1 => Change::Create { inode, path },
            2 => Change::Write { inode, offset: number, data: self.data.to_vec() },
            3 => Change::Truncate { inode, length: number },
            4 => Change::Rename { from: path, to: second },
            5 | 6 => Change::Remove { path },
            7 => Change::Link { from: path, to: second },
            8 => Change::Symlink { path, goal: self.second.to_owned() },
            9 => Change::MakeFolder { path },
            10 => Change::Sync { inode, path },
            11 => Change::SyncAll,
            kind => bail!("the recorder knows no change of kind {kind}"),
        })
    }
}
