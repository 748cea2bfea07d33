/// What the host takes of a reason, in bytes of UTF-8. Longer ones are cut here, at a character's end.
pub const REASON_BYTES_MAX: usize = 512;

/// How good a completion is.
#[derive(Clone, Debug, PartialEq)]
pub struct Score {
    /// What training maximises.
    pub reward: f64,
    /// Named components, for metrics and reports: names that the descriptor declares, each at most once.
    pub parts: Vec<(String, f64)>,
    /// Why, in a few words for people.
    pub reason: Option<String>,
}

/// What a plugin says about one completion.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// This good.
    Scored(Score),
    /// No opinion, with the reason. The completion is left out of training, which is not the same as a reward of zero.
    Abstained(String),
}

impl Verdict {
    /// A reward, without parts or reason yet.
    pub fn scored(reward: f64) -> Self {
        Self::Scored(Score { reward, parts: Vec::new(), reason: None })
    }

    /// No opinion; `reason` says why in a few words.
    pub fn abstain(reason: impl Into<String>) -> Self {
        Self::Abstained(short(reason.into()))
    }

    /// Adds a part to a score. An abstention has none.
    #[must_use]
    pub fn part(mut self, name: impl Into<String>, value: f64) -> Self {
        if let Self::Scored(score) = &mut self {
            score.parts.push((name.into(), value));
        }
        self
    }

    /// Says why the score is what it is. An abstention has its reason already.
    #[must_use]
    pub fn reason(mut self, reason: impl Into<String>) -> Self {
        if let Self::Scored(score) = &mut self {
            score.reason = Some(short(reason.into()));
        }
        self
    }
}

fn short(mut reason: String) -> String {
    reason.truncate(reason.floor_char_boundary(REASON_BYTES_MAX));
    reason
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_cut_at_a_characters_end() {
        let Verdict::Abstained(reason) = Verdict::abstain("é".repeat(300)) else { panic!("an abstention") };
        assert_eq!(reason, "é".repeat(256));
        let Verdict::Abstained(reason) = Verdict::abstain(format!("x{}", "é".repeat(300))) else { panic!() };
        assert_eq!(reason.len(), 511);
    }
}
