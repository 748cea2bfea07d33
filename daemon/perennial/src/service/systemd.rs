//! The conversation with systemd, where it started us; without it, every call does nothing.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use sd_notify::NotifyState;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::telemetry::ActivityBoard;

/// `STATUS=` is not sent more often than this.
const STATUS_INTERVAL: Duration = Duration::from_secs(1);

/// Work that gives no sign of life for this long hangs.
const STALL_MAX: Duration = Duration::from_secs(30 * 60);

/// Tells systemd; that nobody listens is no error.
pub(crate) fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        debug!(%error, "systemd was not told");
    }
}

/// Tells systemd that the configuration is read again.
pub(crate) fn reloading() {
    let mut states = vec![NotifyState::Reloading];
    states.extend(NotifyState::monotonic_usec_now());
    tell(&states);
}

/// Signs of life of the service's loop. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Pulse {
    turns: Arc<AtomicU64>,
    busy: Arc<AtomicBool>,
}

impl Pulse {
    /// The loop took a turn; `busy` says whether work is under way, which then has to give signs of life as well.
    pub(crate) fn beat(&self, busy: bool) {
        self.turns.fetch_add(1, Ordering::Relaxed);
        self.busy.store(busy, Ordering::Relaxed);
    }
}

/// Whether loop and work are alive, from one look to the next.
struct Vitals {
    pulse: Pulse,
    board: ActivityBoard,
    turns: u64,
    beats: u64,
    last_beat: Instant,
}

impl Vitals {
    fn new(pulse: Pulse, board: ActivityBoard, now: Instant) -> Self {
        Self { turns: 0, beats: board.beats(), last_beat: now, pulse, board }
    }

    /// How long the work has given no sign of life.
    fn silent_seconds(&self) -> u64 {
        self.last_beat.elapsed().as_secs()
    }

    fn are_good(&mut self, now: Instant) -> bool {
        let (turns, beats) = (self.pulse.turns.load(Ordering::Relaxed), self.board.beats());
        let loop_turns = turns != self.turns;
        if beats != self.beats || !self.pulse.busy.load(Ordering::Relaxed) {
            self.last_beat = now;
        }
        (self.turns, self.beats) = (turns, beats);
        loop_turns && now.duration_since(self.last_beat) <= STALL_MAX
    }
}

/// Keeps `STATUS=` up to date, and feeds the watchdog as long as loop and work are alive.
pub(crate) async fn supervise(pulse: Pulse, board: ActivityBoard, stop: CancellationToken) {
    let watchdog = sd_notify::watchdog_enabled();
    // The loop turns at least every `TURN_MAX`; a look at half the watchdog's time sees every turn.
    let mut feed = tokio::time::interval(watchdog.map_or(STALL_MAX, |limit| limit / 2));
    feed.tick().await;
    let mut vitals = Vitals::new(pulse, board.clone(), Instant::now());
    let mut activity = board.subscribe();
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            changed = activity.changed() => {
                if changed.is_err() {
                    return;
                }
                let line = activity.borrow_and_update().line();
                tell(&[NotifyState::Status(&line)]);
                tokio::time::sleep(STATUS_INTERVAL).await;
            }
            _ = feed.tick() => match vitals.are_good(Instant::now()) {
                true => tell(&[NotifyState::Watchdog]),
                false => {
                    let silence = format!("no sign of life for {} s: {}", vitals.silent_seconds(), board.current().line());
                    warn!(silence, "the watchdog is not fed");
                    tell(&[NotifyState::Status(&silence)]);
                }
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loop_that_stands_still_or_work_that_hangs_is_not_alive() {
        let (pulse, board, start) = (Pulse::default(), ActivityBoard::default(), Instant::now());
        let mut vitals = Vitals::new(pulse.clone(), board.clone(), start);
        pulse.beat(false);
        assert!(vitals.are_good(start));
        assert!(!vitals.are_good(start), "no turn since");
        pulse.beat(true);
        let later = start + STALL_MAX + Duration::from_secs(1);
        assert!(!vitals.are_good(later), "busy without a sign of life");
        board.beat();
        pulse.beat(true);
        assert!(vitals.are_good(later));
    }
}
