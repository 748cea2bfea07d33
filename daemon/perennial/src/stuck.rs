//! What keeps training from getting on, and since when: told in the status, at `/ready`, in the metrics and to systemd.

use perennial_registry::{Cycle, CycleOutcome, Registry};

use crate::answers::{Activity, Stuck, Waiting};

/// How many cycles are looked at for those that failed in a row: few, and more where all of these did.
const LOOKED_AT: [usize; 2] = [2, 100];

/// What the registry, and the daemon where one runs, know of training that does not get on; `None` where it does. A cycle
/// that failed is over and done with where nothing waits for another: what it could not learn from is set aside.
///
/// # Errors
/// Where the registry fails.
pub(crate) fn find(
    registry: &Registry,
    waiting: Waiting,
    activity: Option<&Activity>,
) -> anyhow::Result<Option<Stuck>> {
    let mut found = None;
    for looked_at in LOOKED_AT {
        found = of_cycles(&registry.cycles(looked_at)?);
        if found.as_ref().is_none_or(|stuck| (stuck.failed_cycles as usize) < looked_at - 1) {
            break;
        }
    }
    let found = found.filter(|stuck| stuck.attempts > 0 || waiting.samples > 0);
    let Some(activity) = activity else { return Ok(found) };
    let blocked = || {
        let blocked = activity.blocked.as_ref()?;
        Some(Stuck {
            cycle: None,
            since_ms: blocked.since_ms,
            reason: blocked.reason.clone(),
            remedy: String::new(),
            attempts: 0,
            failed_cycles: 0,
            retry_ms: None,
        })
    };
    Ok(found.or_else(blocked).map(|stuck| Stuck { retry_ms: activity.retry_ms, ..stuck }))
}

/// Of the latest cycles, latest first.
fn of_cycles(cycles: &[Cycle]) -> Option<Stuck> {
    let (open, ended) = match cycles {
        [open, ended @ ..] if open.finished_ms.is_none() => (Some(open), ended),
        ended => (None, ended),
    };
    let failed: Vec<(&Cycle, &String, &String)> = ended.iter().map_while(failure).collect();
    let failed_cycles = u32::try_from(failed.len()).unwrap_or(u32::MAX);
    let first_failed_ms = failed.last().and_then(|(cycle, ..)| cycle.finished_ms);
    if let Some((open, trouble)) = open.and_then(|open| Some((open, open.trouble.as_ref()?))) {
        return Some(Stuck {
            cycle: Some(open.id),
            since_ms: first_failed_ms.unwrap_or(trouble.since_ms),
            reason: trouble.reason.clone(),
            remedy: String::new(),
            attempts: open.attempts,
            failed_cycles,
            retry_ms: None,
        });
    }
    let (last, reason, remedy) = failed.first()?;
    Some(Stuck {
        cycle: Some(last.id),
        since_ms: first_failed_ms?,
        reason: (*reason).clone(),
        remedy: (*remedy).clone(),
        attempts: 0,
        failed_cycles,
        retry_ms: None,
    })
}

fn failure(cycle: &Cycle) -> Option<(&Cycle, &String, &String)> {
    match &cycle.outcome {
        Some(CycleOutcome::Failed { reason, remedy }) => Some((cycle, reason, remedy)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use perennial_registry::NewCycle;
    use perennial_types::CycleId;
    use serde_json::json;

    use super::*;

    fn registry() -> (tempfile::TempDir, Registry) {
        let folder = tempfile::tempdir().unwrap();
        let registry = Registry::open(&folder.path().join("perennial.db")).unwrap();
        (folder, registry)
    }

    fn begin(registry: &Registry) -> CycleId {
        let new = NewCycle { reason: "test".to_owned(), config: json!({}), seed: 0 };
        registry.begin_cycle(&new, 0).unwrap()
    }

    #[test]
    fn cycles_that_fail_in_a_row_are_stuck_since_the_first() {
        let (_folder, registry) = registry();
        let waiting = |samples| Waiting { samples, refused: 0, oldest_ms: None };
        let stuck = || find(&registry, waiting(1), None).unwrap();
        registry.fail_cycle(begin(&registry), "full", "make room", 5).unwrap();
        registry.fail_cycle(begin(&registry), "still full", "make room", 9).unwrap();
        let found = stuck().unwrap();
        assert_eq!((found.since_ms, found.failed_cycles, found.reason.as_str()), (5, 2, "still full"));
        assert_eq!(find(&registry, waiting(0), None).unwrap(), None, "nothing waits for it to be mended");
        let open = begin(&registry);
        assert!(stuck().is_some(), "a cycle that was only begun mends nothing");
        registry.begin_attempt(open, "").unwrap();
        registry.record_trouble(open, "no answer", 11).unwrap();
        let found = stuck().unwrap();
        assert_eq!((found.cycle, found.since_ms, found.attempts), (Some(open), 5, 1));
        registry.abort_cycle(open, "by hand", 12).unwrap();
        assert_eq!(stuck(), None, "somebody has seen to it");
    }
}
