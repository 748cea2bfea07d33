//! The daemon: watches, takes in, starts cycles, answers, and stops in good order.
//!
//! One loop owns all state and does nothing that blocks; what blocks runs on other threads ([`work`]), one of each kind at
//! a time, and what takes long is told to stop before the loop ends. The registry is asked there too.

mod answering;
mod cycles;
mod desk;
mod handle;
mod inbox;
mod policy;
mod reload;
mod signals;
mod situation;
mod systemd;
mod targets;
mod watch;
mod work;

#[cfg(test)]
mod tests;

use std::{
    collections::BTreeSet,
    path::PathBuf,
    sync::Arc,
    time::{Duration, SystemTime},
};

use anyhow::Context as _;
use perennial_drift::Cause;
use perennial_types::CycleId;
use sd_notify::NotifyState;
use tokio::{
    sync::{mpsc, oneshot, watch as state},
    task::JoinSet,
    time::{Instant, sleep, sleep_until, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{error, info, warn};

pub(crate) use self::{
    desk::Desk,
    signals::Signals,
    work::{Questions, on_plain_thread, on_thread},
};
use self::{
    handle::Handle,
    inbox::{Inbox, Lane},
    policy::{Situation, Step},
    reload::Reloaded,
    signals::Request,
    systemd::Pulse,
    targets::Targets,
    watch::Watcher,
};
use crate::{
    config::{ConfigError, Loaded},
    pin,
    ports::{AskError, Context, CycleEnd, Daemon, Ports, Stop},
    telemetry::{AnchorStands, ChampionInService, LogControl},
    told::told,
};

/// The loop takes a turn at least this often, for the watchdog.
const TURN_MAX: Duration = Duration::from_secs(10);

/// One after the other, so that what they tell comes in the order in which it was asked.
const LOOP_QUESTIONS_MAX: usize = 1;

/// How often it is measured what moved in what comes in: that takes queries over many samples, and a look around is taken at
/// whatever comes in.
const MEASURE_INTERVAL: Duration = Duration::from_secs(60);

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
    /// When to measure next what moved in what comes in.
    measure_at: Instant,
    reload_runs: bool,
    /// Somebody asked for a reload while one ran.
    reload_again: bool,
    /// Something came in while the indexer ran.
    index_again: bool,
    failures: u32,
    retry_ms: Option<i64>,
    targets: Targets,
}

/// Work that is over.
#[allow(clippy::large_enum_variant, reason = "a few of them exist at a time")]
enum Job {
    Cycle {
        cycle: Option<CycleId>,
        end: anyhow::Result<CycleEnd>,
    },
    /// A cycle that somebody asked for could not be begun, as they were told.
    Refused,
    /// The inbox is back, and should be looked at again so soon, if sooner than usual.
    Inbox(Inbox, anyhow::Result<Option<Duration>>),
    Index(anyhow::Result<u64>),
    LookAround(anyhow::Result<Situation>),
    /// Something was asked and told.
    Told(anyhow::Result<()>),
    /// What the next cycle would fail by under the configuration in force.
    Check(anyhow::Result<()>),
    Reload(anyhow::Result<Reloaded>),
    /// A target of publishing was looked at, and should be again so soon.
    Followed(String, Duration),
}

/// What a cycle job begins with.
enum Which {
    Begin(Cause),
    Continue(CycleId),
    /// Somebody asks for one: the unfinished one, else a new one.
    Asked(oneshot::Sender<Result<CycleId, AskError>>),
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
            reload_runs: false,
            reload_again: false,
            index_again: false,
            failures: 0,
            retry_ms: None,
            targets,
        }
    }

    /// Asks a question that may block, as a job.
    fn ask<T: Send + 'static>(
        &mut self,
        name: &'static str,
        question: impl FnOnce() -> anyhow::Result<T> + Send + 'static,
        job: fn(anyhow::Result<T>) -> Job,
    ) {
        let questions = self.questions.clone();
        self.jobs.spawn(async move {
            let answer = questions.ask(name, question).await;
            job(answer.unwrap_or_else(|error| Err(error.into())))
        });
    }

    fn tell_champion(&mut self) {
        let context = self.context.clone();
        let tell = move || {
            if let Some((_, last)) = context.registry.last_promotion()?
                && let Ok(since_ms) = u64::try_from(last.at_ms)
            {
                let since = SystemTime::UNIX_EPOCH + Duration::from_millis(since_ms);
                context.telemetry.emit(ChampionInService { since });
            }
            context.telemetry.emit_quietly(AnchorStands(&pin::anchor(&context.registry)?));
            Ok(())
        };
        self.ask("champion", tell, Job::Told);
    }

    /// Asks the registry how things stand, where it is time to.
    fn look_around(&mut self) {
        if self.looks_around || self.look_around_at > Instant::now() {
            return;
        }
        self.looks_around = true;
        let (context, cycles, retry_ms) = (self.context.clone(), self.ports.cycles.clone(), self.retry_ms);
        let measures = self.measure_at <= Instant::now();
        if measures {
            self.measure_at = Instant::now() + MEASURE_INTERVAL;
        }
        self.ask("schedule", move || situation::look(&context, &*cycles, retry_ms, measures), Job::LookAround);
    }

    /// Something changed: the registry is asked at once, and an answer on its way does not count.
    fn look_around_soon(&mut self) {
        self.look_around_at = Instant::now();
        self.look_around_again = self.looks_around;
    }

    /// Starts whatever the policy says.
    fn looked_around(&mut self, answer: anyhow::Result<Situation>) {
        self.looks_around = false;
        let outdated = std::mem::take(&mut self.look_around_again);
        if outdated || self.stop.is_set() {
            return;
        }
        self.look_around_at = Instant::now() + TURN_MAX;
        let situation = match answer {
            Ok(situation) => situation,
            Err(problem) => {
                return error!(error = told(&problem), "the registry does not answer; tried again");
            }
        };
        if self.cycle_runs {
            return;
        }
        match policy::next(&self.context.config.current().cycle, &situation) {
            Step::Continue(cycle) => self.start_cycle(Which::Continue(cycle)),
            Step::Begin(cause) => self.start_cycle(Which::Begin(cause)),
            Step::Wait { until_ms: None } => {}
            Step::Wait { until_ms: Some(until_ms) } => {
                let left_ms = u64::try_from(until_ms - situation.now_ms).unwrap_or_default();
                self.look_around_at = Instant::now() + Duration::from_millis(left_ms).min(TURN_MAX);
            }
        }
    }

    fn rows_came_in(&mut self) {
        self.start_indexer();
        self.look_around_soon();
    }

    fn start_indexer(&mut self) {
        if self.indexer_runs {
            self.index_again = true;
            return;
        }
        self.indexer_runs = true;
        let (indexer, stop) = (self.ports.indexer.clone(), self.stop.clone());
        self.jobs.spawn(async move {
            let indexed = on_thread("indexer", move || indexer.index(&stop)).await;
            Job::Index(indexed.unwrap_or_else(|error| Err(error.into())))
        });
    }

    fn inbox_changed(&mut self, renamed: &BTreeSet<PathBuf>) {
        self.lanes.iter_mut().for_each(|lane| lane.changed(renamed));
    }

    /// When a lane of the inbox or a target should be looked at.
    fn next_look(&self) -> Instant {
        let lanes = self.lanes.iter().filter_map(Lane::due);
        lanes.chain(self.targets.due()).min().unwrap_or_else(|| Instant::now() + TURN_MAX)
    }

    fn look_at_inbox(&mut self) {
        let storage_full = self.context.telemetry.board().storage_full();
        let rescan = Duration::from_secs(self.context.config.current().ingest.rescan_seconds);
        for lane in &mut self.lanes {
            if storage_full {
                lane.look_within(inbox::FULL_PAUSE);
            }
            let Some((mut inbox, renamed)) = lane.begin(rescan) else { continue };
            let (another, stop) = (inbox.another(), self.stop.clone());
            self.jobs.spawn(async move {
                let look = on_plain_thread("inbox", move || {
                    let again = inbox.look(&renamed, &stop).context("the inbox cannot be read");
                    Job::Inbox(inbox, again)
                });
                look.await.unwrap_or_else(|error| Job::Inbox(another, Err(error.into())))
            });
        }
    }

    fn looked(&mut self, inbox: Inbox, again: anyhow::Result<Option<Duration>>) {
        let Some(lane) = self.lanes.iter_mut().find(|lane| lane.weight() == inbox.weight()) else { return };
        lane.end(inbox);
        match again {
            Ok(again_in) => again_in.into_iter().for_each(|pause| lane.look_within(pause)),
            Err(problem) => error!(error = told(&problem), "the inbox was not looked through"),
        }
    }

    fn finished(&mut self, job: Result<Job, tokio::task::JoinError>) {
        match job {
            Ok(Job::Cycle { cycle, end }) => self.cycle_finished(cycle, &end),
            Ok(Job::Refused) => {
                self.cycle_runs = false;
                self.look_around_soon();
            }
            Ok(Job::LookAround(answer)) => self.looked_around(answer),
            Ok(Job::Told(Ok(()))) => {}
            Ok(Job::Told(Err(problem))) => error!(error = told(&problem), "the registry does not answer"),
            Ok(Job::Inbox(inbox, again)) => self.looked(inbox, again),
            Ok(Job::Index(outcome)) => {
                self.indexer_runs = false;
                match outcome {
                    Ok(0) => {}
                    Ok(samples) => info!(samples, "replay buffer is up to date"),
                    Err(problem) => {
                        let error = told(&problem);
                        warn!(error, "the replay buffer is not up to date; tried again after the next ingest");
                    }
                }
                if std::mem::take(&mut self.index_again) {
                    self.start_indexer();
                }
            }
            Ok(Job::Check(outcome)) => self.tell_check(&outcome),
            Ok(Job::Reload(outcome)) => self.reloaded(outcome),
            Ok(Job::Followed(target, again_in)) => self.followed(&target, again_in),
            // Jobs catch their own panics and are never aborted.
            Err(error) => error!(%error, "a job was lost"),
        }
    }

    /// Brings what runs to a safe point, within the stop time.
    async fn drain(mut self, signals: &mut Signals, tasks: &TaskTracker) -> Exit {
        self.stop.set();
        self.cycle_stop.set();
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
