//! Plugins are loaded in a process of its own, this program again (`perennial plugin-loader`): whatever a plugin's bytes make
//! of parsing, compiling or validating, that process can be held to time and memory, and killed.

use std::{
    fs,
    io::{self, Read},
    os::unix::process::{CommandExt, ExitStatusExt},
    process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use perennial_reward::{Job, Loaded, Loader, Refusal, read_answer, write_job};

/// The program that runs, even where its file was replaced meanwhile.
const OWN_PROGRAM: &str = "/proc/self/exe";
/// The hidden command of that program.
const COMMAND: &str = "plugin-loader";
/// How often the process is looked at.
const LOOK_INTERVAL: Duration = Duration::from_millis(5);
/// What it may complain of before its end, in bytes.
const COMPLAINT_BYTES_MAX: u64 = 4096;

const SIGINT: i32 = 2;
const SIGKILL: i32 = 9;
const SIGTERM: i32 = 15;
const SIGXCPU: i32 = 24;

/// What loading one plugin may take.
#[derive(Clone, Copy, Debug, PartialEq, clap::Args)]
pub(crate) struct LoadLimits {
    /// Time by the clock, in seconds
    #[arg(long)]
    pub(crate) seconds_max: f64,
    /// Memory, in bytes
    #[arg(long)]
    pub(crate) memory_bytes_max: u64,
}

/// Loads each plugin in a process of its own.
pub(crate) struct ProcessLoader {
    limits: LoadLimits,
}

enum End {
    Itself(ExitStatus),
    OverTime,
    OverMemory,
}

type Answer = io::Result<Result<Loaded, Refusal>>;

impl Loader for ProcessLoader {
    fn load(&self, job: &Job<'_>) -> Result<Loaded, Refusal> {
        self.run(job).unwrap_or_else(|error| Err(Refusal::Loader(format!("no process to load it in: {error}"))))
    }
}

impl ProcessLoader {
    /// One that holds each process to these limits.
    pub(crate) fn new(limits: LoadLimits) -> Self {
        Self { limits }
    }

    fn run(&self, job: &Job<'_>) -> io::Result<Result<Loaded, Refusal>> {
        let mut child = self.start()?;
        let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (Some(stdin), Some(stdout), Some(stderr)) = pipes else { return Err(io::ErrorKind::BrokenPipe.into()) };
        thread::scope(|scope| {
            let told = scope.spawn(|| tell(job, stdin));
            let answer = scope.spawn(|| read(stdout, self.limits.memory_bytes_max));
            let complaint = scope.spawn(|| complaint(stderr));
            let end = self.watch(&mut child);
            // It is gone, and with it the other ends of the pipes; so all three are.
            let lost = || Err(io::ErrorKind::BrokenPipe.into());
            let _input = told.join();
            let answer = answer.join().unwrap_or_else(|_| lost());
            let complaint = complaint.join().unwrap_or_default();
            Ok(self.outcome(&end?, answer, &complaint))
        })
    }

    fn start(&self) -> io::Result<Child> {
        let LoadLimits { seconds_max, memory_bytes_max } = self.limits;
        Command::new(OWN_PROGRAM)
            .arg(COMMAND)
            .args(["--seconds-max", &seconds_max.to_string(), "--memory-bytes-max", &memory_bytes_max.to_string()])
            // Nothing of what this program was told in confidence.
            .env_clear()
            .env("RAYON_NUM_THREADS", rayon::current_num_threads().to_string())
            // What a terminal sends is this program's to answer; it ends with this program.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
    }

    /// Waits for the end, which comes by force where a limit is passed.
    fn watch(&self, child: &mut Child) -> io::Result<End> {
        let (started, limit) = (Instant::now(), Duration::from_secs_f64(self.limits.seconds_max));
        loop {
            if let Some(status) = child.try_wait()? {
                return Ok(End::Itself(status));
            }
            let over_memory = memory_bytes(child.id()) > self.limits.memory_bytes_max;
            if over_memory || started.elapsed() > limit {
                child.kill()?;
                child.wait()?;
                return Ok(if over_memory { End::OverMemory } else { End::OverTime });
            }
            thread::sleep(LOOK_INTERVAL);
        }
    }

    fn outcome(&self, end: &End, answer: Answer, complaint: &str) -> Result<Loaded, Refusal> {
        let LoadLimits { seconds_max, memory_bytes_max: bytes_max } = self.limits;
        let slow = || Refusal::LoadTime { seconds_max, advice: "raise reward.load_seconds_max, or mend it".to_owned() };
        let large =
            || Refusal::LoadMemory { bytes_max, advice: "raise reward.load_memory_bytes_max, or mend it".to_owned() };
        let status = match end {
            End::OverTime => return Err(slow()),
            End::OverMemory => return Err(large()),
            End::Itself(status) => status,
        };
        let said = complaint.lines().last().unwrap_or("without a word");
        match status.signal() {
            Some(SIGXCPU) => return Err(slow()),
            // Told to stop with this program, or sacrificed by the system.
            Some(SIGINT | SIGTERM | SIGKILL) => {
                return Err(Refusal::Loader(format!("its process was ended ({status})")));
            }
            _ if is_allocation(complaint) => return Err(large()),
            _ => {}
        }
        match answer {
            Ok(Err(refusal)) if is_allocation(&refusal.to_string()) => Err(large()),
            Ok(answer) if status.success() => answer,
            _ => Err(Refusal::LoadDied(format!("{status}: {said}"))),
        }
    }
}

/// What Rust and the system say where there is no more memory.
fn is_allocation(text: &str) -> bool {
    ["memory allocation of", "Cannot allocate memory"].iter().any(|sign| text.contains(sign))
}

/// Gives the process its job. The pipe is kept open: its end tells the process that nobody waits any more.
fn tell(job: &Job<'_>, mut stdin: ChildStdin) -> ChildStdin {
    // A process that ends before it has read everything says why in its own way.
    let _ = write_job(job, &mut stdin);
    stdin
}

fn read(mut stdout: ChildStdout, code_bytes_max: u64) -> Answer {
    read_answer(&mut stdout, code_bytes_max)
}

fn complaint(stderr: ChildStderr) -> String {
    let mut complaint = Vec::new();
    let mut stderr = stderr;
    let _ = stderr.by_ref().take(COMPLAINT_BYTES_MAX).read_to_end(&mut complaint);
    // The rest is read too, so that it never waits for a reader.
    let _ = io::copy(&mut stderr, &mut io::sink());
    String::from_utf8_lossy(&complaint).trim().to_owned()
}

/// The memory that a process holds for itself, without what it maps from files, in bytes; 0 where it is gone.
fn memory_bytes(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    let kibibytes = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    kibibytes.map_or(0, |kibibytes| kibibytes << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loader() -> ProcessLoader {
        ProcessLoader::new(LoadLimits { seconds_max: 0.2, memory_bytes_max: 64 << 20 })
    }

    /// Takes a mebibyte more, again and again.
    const GROWS: &str = r"more=$(head -c 1048576 /dev/zero | tr '\0' x); all=; while :; do all=$all$more; done";

    fn shell(script: &str) -> Child {
        Command::new("sh").args(["-c", script]).spawn().unwrap()
    }

    #[test]
    fn what_takes_too_long_is_killed() {
        let started = Instant::now();
        let end = loader().watch(&mut shell("sleep 60")).unwrap();
        assert!(matches!(end, End::OverTime) && started.elapsed() < Duration::from_secs(10));
        let refusal = loader().outcome(&end, Err(io::ErrorKind::UnexpectedEof.into()), "").unwrap_err();
        assert!(refusal.to_string().contains("more than 0.2 s: raise reward.load_seconds_max"), "{refusal}");
        assert!(refusal.is_transient());
    }

    #[test]
    fn what_holds_too_much_is_killed() {
        let patient = ProcessLoader::new(LoadLimits { seconds_max: 60.0, ..loader().limits });
        let end = patient.watch(&mut shell(GROWS)).unwrap();
        assert!(matches!(end, End::OverMemory));
        let refusal = patient.outcome(&end, Err(io::ErrorKind::UnexpectedEof.into()), "").unwrap_err();
        assert!(
            refusal.to_string().contains("more than 67108864 bytes of memory: raise reward.load_memory"),
            "{refusal}"
        );
        assert!(!refusal.is_transient());
    }

    #[test]
    fn the_end_of_the_process_is_told_apart() {
        let outcome = |script: &str, complaint: &str| {
            let end = End::Itself(shell(script).wait().unwrap());
            loader().outcome(&end, Err(io::ErrorKind::UnexpectedEof.into()), complaint).unwrap_err()
        };
        assert!(matches!(outcome("kill -TERM $$", ""), Refusal::Loader(_)));
        assert!(matches!(outcome("kill -XCPU $$", ""), Refusal::LoadTime { .. }));
        assert!(matches!(outcome("exit 1", "memory allocation of 64 bytes failed"), Refusal::LoadMemory { .. }));
        let died = outcome("kill -SEGV $$", "thread main has overflowed its stack").to_string();
        assert!(died.contains("signal: 11") && died.contains("overflowed its stack"), "{died}");
        assert!(matches!(outcome("exit 0", ""), Refusal::LoadDied(_)));
    }
}
