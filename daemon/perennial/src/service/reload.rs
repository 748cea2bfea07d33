//! SIGHUP: the configuration read again, on a thread of its own, and put in force where a cycle could begin under it.

use sd_notify::NotifyState;
use tokio::time::Instant;
use tracing::{error, info};

use super::{
    Reread, Service,
    jobs::{Job, Reloaded},
    systemd,
    work::on_thread,
};
use crate::{
    config::{Config, Reload},
    ports::Cycles,
    told::told,
};

impl Service {
    pub(super) fn start_reload(&mut self) {
        if self.reload_runs {
            self.reload_again = true;
            return;
        }
        systemd::reloading();
        self.reload_runs = true;
        let (reread, running, cycles) = (self.reread.clone(), self.context.config.current(), self.ports.cycles.clone());
        self.jobs.spawn(async move {
            let work = move || read_again(&reread, &running, &*cycles);
            Job::Reload(on_thread("reload", work).await.unwrap_or_else(|error| Err(error.into())))
        });
    }

    pub(super) fn reloaded(&mut self, outcome: anyhow::Result<Reloaded>) {
        self.reload_runs = false;
        match outcome {
            Err(problem) => {
                error!(error = told(&problem), "reload refused: the configuration stays as it was");
            }
            Ok(Reloaded { reload, check }) => {
                if let Err(problem) = self.log.set_level(&reload.config.log.level) {
                    error!(error = %problem, "the log's level stays as it was");
                }
                info!(applied = ?reload.applied, needs_restart = ?reload.needs_restart, "configuration read again");
                self.context.config.replace(reload.config);
                // Whoever changes the configuration after a failure does not want to wait out the pause.
                self.unpause();
                self.publish_now();
                self.tell_check(&check);
                self.measure_at = Instant::now();
                self.look_around_soon();
            }
        }
        if self.stop.is_set() {
            return;
        }
        systemd::tell(&[NotifyState::Ready]);
        if std::mem::take(&mut self.reload_again) {
            self.start_reload();
        }
    }
}

/// Reads the configuration again. One under which no cycle could be begun is refused, unless none could be begun before.
fn read_again(reread: &Reread, running: &Config, cycles: &dyn Cycles) -> anyhow::Result<Reloaded> {
    let reload = Box::new(Reload::between(running, reread()?.config));
    let check = cycles.check(&reload.config);
    match check {
        Err(problem) if cycles.check(running).is_ok() => Err(problem),
        check => Ok(Reloaded { reload, check }),
    }
}
