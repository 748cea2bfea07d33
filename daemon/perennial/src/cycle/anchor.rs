//! What a cycle asks the anchor: whom, and which items, frozen when its evaluation begins.

use perennial_gate::{AnchorAnswers, Suite, SuiteScores};
use perennial_types::AdapterId;
use serde::{Deserialize, Serialize};

use super::CycleFolder;
use crate::cycle_folder::read_json;

/// `anchor.json`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Anchored {
    /// The anchor; `None` is the base model.
    pub(super) adapter: Option<AdapterId>,
    /// For each suite that is held against the anchor, the items that it and the candidate are asked. Empty where the anchor
    /// is the champion, who is asked anyway.
    pub(super) suites: Vec<Suite>,
}

/// The candidate and the anchor on the suites of [`Anchored`], in their order.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct AnchorScores {
    pub(super) candidate: Vec<SuiteScores>,
    pub(super) anchor: Vec<SuiteScores>,
}

/// As it was frozen; `None` where there is no anchor, or the cycle's program knew none.
pub(super) fn read(folder: &CycleFolder) -> anyhow::Result<Option<Anchored>> {
    read_json(&folder.anchor())
}

/// The answers of a suite.
pub(super) fn answers<'a>(
    anchored: Option<&'a Anchored>,
    scores: Option<&'a AnchorScores>,
    suite: &str,
) -> Option<AnchorAnswers<'a>> {
    let (anchored, AnchorScores { candidate, anchor }) = (anchored?, scores?);
    let at = anchored.suites.iter().position(|anchored| anchored.name == suite)?;
    Some(AnchorAnswers { suite: anchored.suites.get(at)?, candidate: candidate.get(at)?, anchor: anchor.get(at)? })
}
