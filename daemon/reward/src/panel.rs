use crate::{Outcome, Plugin, Scoring, Task};

/// How often a call that met the deadline is made again before its time-out counts. The machine may have been busy; the fuel,
/// which every machine counts alike, has not run out.
pub const TIME_OUT_RETRIES_MAX: usize = 2;

/// Several plugins that judge together.
#[derive(Clone, Debug, Default)]
pub struct Panel {
    /// The plugins, each with its weight.
    pub members: Vec<Member>,
}

/// One plugin of a [`Panel`].
#[derive(Clone, Debug)]
pub struct Member {
    /// Loaded and ready to be asked.
    pub plugin: Plugin,
    /// What its rewards are multiplied with in the sum. 0: it is asked, and its scores do not count.
    pub weight: f64,
    /// The time-out that the call ended in when it was made before, and was learned from as such: it is not made again, for
    /// what comes of it may be something else now.
    pub timed_out: Option<String>,
}

/// What a [`Panel`] says about one group.
#[derive(Clone, Debug, PartialEq)]
pub struct GroupVerdict {
    /// One scoring per member, in the panel's order.
    pub per_member: Vec<Scoring>,
    /// For each sample the sum of weight times reward over the members with a weight that scored it; `None` where none did.
    pub rewards: Vec<Option<f64>>,
}

impl Panel {
    /// Asks every member about a group, one after another, on this thread. A call that meets the deadline is made again,
    /// [`TIME_OUT_RETRIES_MAX`] times at most.
    pub fn score(&self, task: &Task) -> GroupVerdict {
        let per_member: Vec<Scoring> = self.members.iter().map(|member| member.score(task)).collect();
        let weights: Vec<f64> = self.members.iter().map(|member| member.weight).collect();
        let rewards = (0..task.samples.len()).map(|sample| weighted_sum(&weights, &per_member, sample)).collect();
        GroupVerdict { per_member, rewards }
    }
}

impl Member {
    /// A plugin that is asked anew.
    pub fn new(plugin: Plugin, weight: f64) -> Self {
        Self { plugin, weight, timed_out: None }
    }

    fn score(&self, task: &Task) -> Scoring {
        if let Some(message) = &self.timed_out {
            return Scoring::all(Outcome::TimedOut(message.clone()), task.samples.len());
        }
        let mut scoring = self.plugin.score(task);
        for _ in 0..TIME_OUT_RETRIES_MAX {
            if scoring.time_out().is_none() {
                break;
            }
            let took = scoring.cost.took;
            scoring = self.plugin.score(task);
            scoring.cost.took += took;
        }
        scoring
    }
}

impl GroupVerdict {
    /// The members whose calls met the deadline, by their place in the panel, with what the operator reads.
    pub fn time_outs(&self) -> impl Iterator<Item = (usize, &str)> {
        self.per_member.iter().enumerate().filter_map(|(at, scoring)| Some((at, scoring.time_out()?)))
    }
}

fn weighted_sum(weights: &[f64], scorings: &[Scoring], sample: usize) -> Option<f64> {
    let rewards = scorings.iter().map(|scoring| scoring.outcomes.get(sample).and_then(|outcome| outcome.reward()));
    // What is only measured must not turn "nobody scored it" into a reward of zero.
    let counted = weights.iter().zip(rewards).filter(|(weight, _)| **weight != 0.0);
    counted.fold(None, |sum, (weight, reward)| match reward {
        Some(reward) => Some(sum.unwrap_or(0.0) + weight * reward),
        None => sum,
    })
}
