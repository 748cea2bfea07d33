//! How far the suites that decide flatter the champion, which was chosen by them: told by the vault, whose items never decide.

use perennial_gate::{Metric, SuiteReport};

use super::held_out::{auto_name, vault_name};
use crate::telemetry::Flattery;

/// The difference of the champion's scores on a domain's suite and on its vault, for each domain whose vault was asked.
pub(super) fn flattery(suites: &[SuiteReport]) -> Vec<Flattery> {
    let of = |vault: &SuiteReport| {
        let domain = vault.domain.as_ref().filter(|domain| vault.suite == vault_name(domain))?;
        let suite = suites.iter().find(|suite| suite.suite == auto_name(domain))?;
        if vault.n == 0 || suite.n == 0 {
            return None;
        }
        let by = match suite.metric {
            // Shown is e to the mean loss: the difference is in nats per token, and more is better.
            Metric::Perplexity => vault.champion.ln() - suite.champion.ln(),
            _ => suite.champion - vault.champion,
        };
        Some(Flattery { domain: domain.clone(), by, items: vault.n, score: vault.champion, of_suite: suite.champion })
    };
    suites.iter().filter_map(of).collect()
}

/// For the reader of the report.
pub(super) fn told(flattery: &[Flattery]) -> Vec<String> {
    let told = |Flattery { domain, by, items, score, of_suite }: &Flattery| {
        format!(
            "The vault of domain {domain}, whose {items} items never decide: the champion has {score:.3} there and {of_suite:.3} on \
             the suite that decides, which so flatters it by {by:+.3}."
        )
    };
    flattery.iter().map(told).collect()
}
