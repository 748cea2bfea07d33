use std::collections::BTreeSet;

use perennial_types::Domain;

use crate::Suite;

/// Names the targets of a cycle before anything is looked at: of the suites that stand for a domain those whose domain has
/// something new, and those that stand for none. The others may gain too, but by chance one of many always does. Where
/// none would be left, all that are targets stay.
pub fn name_targets(suites: &mut [Suite], new: &BTreeSet<Domain>) {
    let is_named = |suite: &Suite| suite.target && suite.domain.as_ref().is_none_or(|domain| new.contains(domain));
    if suites.iter().any(is_named) {
        suites.iter_mut().for_each(|suite| suite.target = is_named(suite));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SuiteOptions;

    fn named(suites: &[(&str, Option<&str>, bool)], new: &[&str]) -> Vec<String> {
        let suite = |(name, domain, target): &(&str, Option<&str>, bool)| {
            let domain = domain.map(|domain| Domain::new(domain).unwrap());
            Suite::void(SuiteOptions { domain, target: *target, ..SuiteOptions::new(*name) }, vec![])
        };
        let mut suites: Vec<Suite> = suites.iter().map(suite).collect();
        name_targets(&mut suites, &new.iter().map(|domain| Domain::new(domain).unwrap()).collect());
        suites.into_iter().filter(|suite| suite.target).map(|suite| suite.name).collect()
    }

    #[test]
    fn a_domain_without_new_rows_is_no_target() {
        let auto = [("a", Some("a"), true), ("b", Some("b"), true), ("golden", None, true), ("c", Some("c"), false)];
        assert_eq!(named(&auto, &["a", "c"]), ["a", "golden"]);
        assert_eq!(named(&auto[..2], &["b"]), ["b"]);
        assert_eq!(named(&auto[..2], &["elsewhere"]), ["a", "b"], "or nothing could ever improve");
    }
}
