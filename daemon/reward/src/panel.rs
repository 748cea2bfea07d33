use crate::{Plugin, Scoring, Task};

/// Several plugins that judge together.
#[derive(Clone, Debug, Default)]
pub struct Panel {
    /// The plugins, each with its weight.
    pub members: Vec<Member>,
}

/// One plugin of a [`Panel`].
#[derive(Clone, Debug)]
pub struct Member {
    /// The plugin.
    pub plugin: Plugin,
    /// What its rewards are multiplied with in the sum. 0: it is asked, and its scores do not count.
    pub weight: f64,
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
    /// Asks every member about a group, one after another, on this thread.
    pub fn score(&self, task: &Task) -> GroupVerdict {
        let per_member: Vec<Scoring> = self.members.iter().map(|member| member.plugin.score(task)).collect();
        let weights: Vec<f64> = self.members.iter().map(|member| member.weight).collect();
        let rewards = (0..task.samples.len()).map(|sample| weighted_sum(&weights, &per_member, sample)).collect();
        GroupVerdict { per_member, rewards }
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
