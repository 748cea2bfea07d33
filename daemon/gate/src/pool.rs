use serde::{Deserialize, Serialize};

use crate::{Paired, Policy, SuiteReport, Verdict, bootstrap, random::Random};

/// With fewer items a suite is not asked for more than that no harm is shown, however strict the policy.
pub const ITEMS_ALONE_MIN: usize = 60;

/// Who the candidate is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Against {
    /// The adapter in service.
    Champion,
    /// The one that is pinned.
    Anchor,
}

impl Against {
    /// The name, as serde writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Champion => "champion",
            Self::Anchor => "anchor",
        }
    }
}

/// Several suites asked together, each item in units of its suite's margin: what no suite can tell alone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PoolReport {
    /// `all suites`, or `small suites`: those below [`ITEMS_ALONE_MIN`].
    pub pool: String,
    /// Whom the candidate was compared with.
    pub against: Against,
    /// By their names.
    pub suites: Vec<String>,
    /// Items of all these suites together.
    pub n: usize,
    /// Those of them that differ.
    pub discordant: usize,
    /// The mean difference, in margins.
    pub difference: f64,
    /// Its lower bound, where the policy asks for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lower: Option<f64>,
    /// The smallest difference that they could have seen together, in margins.
    pub smallest_seen: f64,
    /// The chance of so low a mean or a lower one if the two were alike.
    pub harm: f64,
    /// The chance of so high a mean or a higher one if the two were alike.
    pub gain: f64,
    /// What that means, beside all suites.
    pub verdict: Verdict,
}

/// The least margin that a difference is measured by, for suites that tolerate nothing.
const MARGIN_MIN: f64 = 0.01;

/// The pools of these suites: all of them, and the small ones among them; nothing where a pool would be a single suite.
pub(crate) fn pools(suites: &[&SuiteReport], against: Against, policy: &Policy) -> Vec<PoolReport> {
    let compared: Vec<Member<'_>> = suites.iter().filter_map(|suite| Member::of(suite, against)).collect();
    let small: Vec<Member<'_>> = compared.iter().filter(|member| member.is_small).copied().collect();
    let has_small = small.len() < compared.len();
    let all = pool("all suites", against, &compared, policy);
    let small = has_small.then(|| pool("small suites", against, &small, policy)).flatten();
    all.into_iter().chain(small).collect()
}

#[derive(Clone, Copy)]
struct Member<'a> {
    name: &'a str,
    paired: &'a Paired,
    margin: f64,
    is_small: bool,
    /// Whether these are not all of the suite's differences.
    is_part: bool,
}

impl<'a> Member<'a> {
    fn of(suite: &'a SuiteReport, against: Against) -> Option<Self> {
        let (paired, margin) = match against {
            Against::Champion => (suite.pooled.as_ref().unwrap_or(&suite.paired), suite.margin),
            Against::Anchor => suite.anchor.as_ref().map(|anchor| (&anchor.paired, anchor.margin))?,
        };
        let is_part = against == Against::Champion && suite.pooled.is_some();
        let margin = margin.max(MARGIN_MIN * paired.scale().unit());
        let is_small = suite.n + suite.unjudged < ITEMS_ALONE_MIN;
        (!paired.is_empty()).then_some(Self { name: &suite.suite, paired, margin, is_small, is_part })
    }
}

fn pool(name: &str, against: Against, members: &[Member<'_>], policy: &Policy) -> Option<PoolReport> {
    if members.len() < 2 {
        return None;
    }
    let suites: Vec<(&Paired, f64)> = members.iter().map(|member| (member.paired, member.margin)).collect();
    let joined = Paired::joined(&suites);
    // Signs alone are counted where the margins are all one.
    let unit = if joined.counts().is_some() { members[0].margin } else { 1.0 };
    let salt = format!("{name} {}", against.as_str());
    // A suite that brings a part of its items must show by itself that it did not fall.
    let is_whole = members.iter().all(|member| !member.is_part);
    let lower = (is_whole && against == Against::Champion && policy.uncertain == crate::Uncertain::Reject)
        .then(|| lower_bound(&joined, members, &salt, policy) / unit);
    Some(PoolReport {
        pool: name.to_owned(),
        against,
        suites: members.iter().map(|member| member.name.to_owned()).collect(),
        n: joined.len(),
        discordant: joined.discordant(),
        difference: joined.mean() / unit,
        lower,
        smallest_seen: joined.smallest_seen().unwrap_or_default() / unit,
        harm: joined.harm(policy.seed, &salt),
        gain: joined.gain(policy.seed, &salt),
        verdict: Verdict::Uncertain,
    })
}

/// Each suite keeps its share of every resample.
fn lower_bound(joined: &Paired, members: &[Member<'_>], salt: &str, policy: &Policy) -> f64 {
    let strata: Vec<usize> = members.iter().map(|member| member.paired.units(1.0).len()).collect();
    let (units, unseen) = (joined.units(1.0), joined.unseen(1.0));
    let random = Random::salted(policy.seed, salt);
    bootstrap::lower_bound(&units, &strata, unseen, policy.confidence_charged(), policy.resamples, random)
}

impl PoolReport {
    /// With the verdict, where harm is shown (or not) beside all suites.
    #[must_use]
    pub(crate) fn settled(self, harm: bool) -> Self {
        let verdict = match (harm, self.lower) {
            (_, Some(lower)) if lower >= -1.0 => Verdict::NotWorse,
            (true, _) => Verdict::Regressed,
            _ => Verdict::Uncertain,
        };
        Self { verdict, ..self }
    }
}
