//! The daemon: watches, takes in, starts cycles, answers, and stops in good order.
//!
//! One loop owns all state and does nothing that blocks; what blocks runs on other threads ([`work`]), one of each kind at
//! a time, and what takes long is told to stop before the loop ends. The registry is asked there too.

mod answering;
mod cycles;
mod desk;
mod drift;
mod handle;
mod inbox;
mod jobs;
mod looking;
mod policy;
mod reload;
mod rows;
mod signals;
mod situation;
mod systemd;
mod targets;
mod watch;
mod work;

#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use sd_notify::NotifyState;
use tokio::{
    sync::{mpsc, watch as state},
    task::JoinSet,
    time::{Instant, sleep, sleep_until, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{info, warn};

pub(crate) use self::{
    desk::Desk,
    signals::Signals,
    work::{Questions, on_thread},
};
use self::{
    handle::Handle, inbox::Lane, jobs::Job, signals::Request, systemd::Pulse, targets::Targets, watch::Watcher,
};
use crate::{
    config::{ConfigError, Loaded},
    ports::{Context, Daemon, Ports, Stop},
    telemetry::LogControl,
};

/// The loop takes a turn at least this often, for the watchdog.
const TURN_MAX: Duration = Duration::from_secs(10);

/// One after the other, so that what they tell comes in the order in which it was asked.
const LOOP_QUESTIONS_MAX: usize = 1;

/// While it stops, systemd is asked for this much more time, again and again.
const STOP_EXTENSION: Duration = Duration::from_secs(10);

/// Reads the configuration again.
pub(crate) type Reread = Arc<dyn Fn() -> Result<Loaded, ConfigError> + Send + Sync>;

/// Answers whoever asks the daemon until the token is cancelled, and then what was asked before, in tasks of the tracker.
pub(crate) type Serve = Box<dyn FnOnce(Arc<dyn Daemon>, CancellationToken, &TaskTracker) -> std::io::Result<()> + Send>;

/// What the daemon is made of.
pub(crate) struct Options {
    /// What all parts share.
    pub(crate) context: Context,
    /// The parts.
    pub(crate) ports: Ports,
    /// Where the daemon is reached, for the log.
    pub(crate) addresses: Vec<String>,
    /// Answers whoever asks the daemon.
    pub(crate) serve: Serve,
    /// The log, whose level a reload may change.
    pub(crate) log: LogControl,
    /// Reads the configuration again, from the same sources.
    pub(crate) reread: Reread,
    /// Ends the daemon as SIGTERM does.
    pub(crate) shutdown: CancellationToken,
}

/// How the daemon ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Everything came to a safe point.
    Clean,
    /// A second signal, or the stop time was over: something was cut off, and is made good at the next start.
    Forced,
}

/// The loop and what it owns.
struct Service {
    context: Context,
    ports: Ports,
    log: LogControl,
    reread: Reread,
    desk: Desk,
    pulse: Pulse,
    /// The loop's own: they never wait behind those of requests.
    questions: Questions,
    jobs: JoinSet<Job>,
    /// Told to everything that runs when the daemon stops.
    stop: Stop,
    /// Told to the run of a cycle alone, when the daemon stops or somebody asks for the cycle's end.
    cycle_stop: Stop,
    cycle_runs: bool,
    indexer_runs: bool,
    /// The inbox, by the weight of its files.
    lanes: [Lane; 2],
    /// The registry is being asked how things stand.
    looks_around: bool,
    /// When to ask it next.
    look_around_at: Instant,
    /// What it will answer may be out of date.
    look_around_again: bool,
    /// When to measure next what waits and is set aside.
    measure_at: Instant,
    drift_runs: bool,
    /// When to measure next what moved in what comes in.
    drift_at: Instant,
    /// Told to the measurement under way, when a cycle begins or the daemon stops.
    drift_stop: Stop,
    /// When drift was last found; `None` where it is not there, or a cycle ended since.
    drifted_ms: Option<i64>,
    reload_runs: bool,
    /// Somebody asked for a reload while one ran.
    reload_again: bool,
    /// Something came in while the indexer ran.
    index_again: bool,
    failures: u32,
    retry_ms: Option<i64>,
    targets: Targets,
}

/// Runs the daemon until a signal ends it.
///
/// # Errors
/// Where signals or the listener cannot be used. What goes wrong later is told and tried again.
pub(crate) async fn run(options: Options) -> anyhow::Result<Exit> {
    let Options { context, ports, addresses, serve, log, reread, shutdown } = options;
    let mut signals = Signals::new().context("signals cannot be listened to")?;

    let (ready, is_ready) = state::channel(false);
    let (commands, mut inbound) = mpsc::channel(16);
    let desk = Desk::new(ports.intake.clone(), context.config.current().ingest.desks);
    let handle = Handle::new(context.clone(), ports.clone(), desk.clone(), commands, is_ready);

    let (drain, tasks) = (CancellationToken::new(), TaskTracker::new());
    let pulse = Pulse::default();
    serve(Arc::new(handle), drain.clone(), &tasks).context("HTTP cannot be answered")?;
    tasks.spawn(systemd::supervise(pulse.clone(), context.telemetry.board().clone(), drain.clone()));
    tasks.close();

    let mut watcher = Watcher::new(context.state.inbox());
    let mut service = Service::new(context, ports, log, reread, desk, pulse);
    service.tell_champion();
    service.start_check();
    service.start_indexer();
    ready.send_replace(true);
    systemd::tell(&[NotifyState::Ready]);
    info!(?addresses, state = %service.context.state.root().display(), "ready");

    loop {
        service.pulse.beat(service.cycle_runs);
        service.look_at_inbox();
        service.look_around();
        service.look_at_targets();
        service.look_at_drift();
        let look = service.next_look();
        tokio::select! {
            request = signals.next() => match request {
                Request::Stop => break,
                Request::Reload => service.start_reload(),
            },
            () = shutdown.cancelled() => break,
            renamed = watcher.changed() => service.inbox_changed(&renamed),
            Some(command) = inbound.recv() => service.command(command),
            Some(job) = service.jobs.join_next() => service.finished(job),
            () = service.desk.taken() => service.rows_came_in(),
            () = service.context.publishing.changed() => service.publish_now(),
            () = sleep_until(look) => {}
            () = sleep_until(service.look_around_at), if !service.looks_around => {}
            () = sleep_until(service.drift_at), if !service.drift_runs => {}
            () = sleep(TURN_MAX) => {}
        }
    }

    ready.send_replace(false);
    systemd::tell(&[NotifyState::Stopping]);
    info!("stopping; a second signal leaves at once");
    drain.cancel();
    Ok(service.drain(&mut signals, &tasks).await)
}

impl Service {
    fn new(context: Context, ports: Ports, log: LogControl, reread: Reread, desk: Desk, pulse: Pulse) -> Self {
        let (lanes, targets) = (Lane::all(&context, &desk), Targets::new(context.publishing.names()));
        Self {
            context,
            ports,
            log,
            reread,
            desk,
            pulse,
            questions: Questions::new(LOOP_QUESTIONS_MAX),
            jobs: JoinSet::new(),
            stop: Stop::default(),
            cycle_stop: Stop::default(),
            cycle_runs: false,
            indexer_runs: false,
            lanes,
            looks_around: false,
            look_around_at: Instant::now(),
            look_around_again: false,
            measure_at: Instant::now(),
            drift_runs: false,
            drift_at: Instant::now(),
            drift_stop: Stop::default(),
            drifted_ms: None,
            reload_runs: false,
            reload_again: false,
            index_again: false,
            failures: 0,
            retry_ms: None,
            targets,
        }
    }

    /// Brings what runs to a safe point, within the stop time.
    async fn drain(mut self, signals: &mut Signals, tasks: &TaskTracker) -> Exit {
        self.stop.set();
        self.cycle_stop.set();
        self.drift_stop.set();
        self.desk.close();
        let deadline = Instant::now() + Duration::from_secs(self.context.config.current().shutdown.stop_seconds);
        loop {
            let extension_us = u32::try_from(STOP_EXTENSION.as_micros()).unwrap_or(u32::MAX);
            systemd::tell(&[NotifyState::ExtendTimeoutUsec(extension_us)]);
            tokio::select! {
                request = signals.next() => if request == Request::Stop {
                    warn!("second signal: leaving at once");
                    return Exit::Forced;
                },
                job = self.jobs.join_next() => match job {
                    Some(job) => { self.index_again = false; self.finished(job) }
                    None => break,
                },
                () = sleep(STOP_EXTENSION / 2) => {}
                () = sleep_until(deadline) => {
                    warn!("the stop time is over: leaving; the next start makes good what was cut off");
                    return Exit::Forced;
                }
            }
        }
        let left = deadline.saturating_duration_since(Instant::now());
        match timeout(left, tasks.wait()).await {
            Ok(()) => Exit::Clean,
            Err(_) => Exit::Forced,
        }
    }
}
