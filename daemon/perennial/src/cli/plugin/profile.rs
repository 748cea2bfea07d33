use std::{path::PathBuf, time::Duration};

use anyhow::{Context as _, anyhow, ensure};
use perennial_durable::write_durably;

use super::{
    super::{output, session::Session},
    trial::Subject,
};

/// `perennial plugin profile`
#[derive(Debug, clap::Args)]
pub(in super::super) struct Profile {
    #[command(flatten)]
    subject: Subject,
    /// The case that is asked again and again [default: the first]
    #[arg(long, value_name = "FILE")]
    case: Option<String>,
    /// How long to watch
    #[arg(long, default_value_t = 5.0, value_name = "SECONDS")]
    seconds: f64,
    /// The profile's file, for the Firefox profiler
    #[arg(long, value_name = "FILE", default_value = "profile.json")]
    out: PathBuf,
}

impl Profile {
    pub(super) fn run(&self, session: &Session) -> anyhow::Result<()> {
        ensure!(self.seconds > 0.0 && self.seconds.is_finite(), "--seconds must be more than 0");
        let trial = self.subject.open(session)?;
        let plugins = trial.load()?;
        let mut cases = trial.cases.iter().zip(plugins);
        let ((_, case), plugin) =
            cases
                .find(|((file, _), _)| self.case.as_ref().is_none_or(|wanted| wanted == file))
                .with_context(|| format!("there is no case {}", self.case.as_deref().unwrap_or_default()))?;
        let plugin = plugin.map_err(|refused| anyhow!("{}", refused.message().unwrap_or_default()))?;
        let profile = plugin.profile(&case.task(), Duration::from_secs_f64(self.seconds))?;
        write_durably(&self.out, &profile.json).with_context(|| self.out.display().to_string())?;
        let (calls, looks) = (profile.calls, profile.looks);
        output::note(format_args!("{looks} looks into {calls} calls: open the file at https://profiler.firefox.com"));
        output::line(self.out.display());
        Ok(())
    }
}
