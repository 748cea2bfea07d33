use crate::{
    Descriptor, Fault, FaultKind, Outcome, Score,
    bindings::perennial::reward::types,
    text::{cut, quote_guest},
};

/// The length of a reason, in bytes, as the interface says.
pub const REASON_BYTES_MAX: usize = 512;

/// Holds a plugin to the interface and to its own descriptor: the count of verdicts, then each verdict by itself.
pub(crate) fn judge(
    plugin: &str,
    descriptor: &Descriptor,
    verdicts: Vec<types::Verdict>,
    samples: usize,
) -> Vec<Outcome> {
    if verdicts.len() != samples {
        let problem = format!("gave {} verdicts for {samples} samples", verdicts.len());
        return vec![Outcome::Faulted(broken(plugin, &problem)); samples];
    }
    verdicts
        .into_iter()
        .map(|verdict| match verdict {
            types::Verdict::Abstain(reason) => match check_reason(&reason) {
                Ok(()) => Outcome::Abstained(quote_guest(&reason, REASON_BYTES_MAX)),
                Err(problem) => Outcome::Faulted(broken(plugin, &problem)),
            },
            types::Verdict::Scored(score) => match check(descriptor, score) {
                Ok(score) => Outcome::Scored(score),
                Err(problem) => Outcome::Faulted(broken(plugin, &problem)),
            },
        })
        .collect()
}

/// The plugin's own fault, as the operator reads it.
pub(crate) fn own_fault(plugin: &str, fault: types::Fault) -> Fault {
    let (kind, text, advice) = match &fault {
        types::Fault::BadConfig(text) => (FaultKind::BadConfig, text, "correct its configuration"),
        types::Fault::BadInput(text) => (FaultKind::BadInput, text, "give it the rows that it is made for"),
        types::Fault::Internal(text) => (FaultKind::Internal, text, "its author has to look at it"),
    };
    let what = match kind {
        FaultKind::BadConfig => "refuses its configuration",
        FaultKind::BadInput => "cannot read the task",
        _ => "failed",
    };
    let message = format!("plugin {plugin}: {what}: {}; {advice}", quote_guest(text, REASON_BYTES_MAX));
    Fault { kind, message }
}

fn broken(plugin: &str, problem: &str) -> Fault {
    let message = format!("plugin {plugin}: broke the contract: it {problem}; its author has to mend it");
    Fault { kind: FaultKind::Contract, message }
}

fn check(descriptor: &Descriptor, score: types::Score) -> Result<Score, String> {
    check_value("reward", score.reward, descriptor.min, descriptor.max)?;
    let mut parts: Vec<(String, f64)> = Vec::with_capacity(score.parts.len().min(descriptor.parts.len()));
    for part in score.parts {
        let Some(spec) = descriptor.part(&part.name) else {
            return Err(format!("named part {:?}, which its descriptor does not declare", cut(&part.name, 64)));
        };
        if parts.iter().any(|(name, _)| *name == part.name) {
            return Err(format!("named part {:?} twice in one score", part.name));
        }
        check_value(&format!("part {:?}", part.name), part.value, spec.min, spec.max)?;
        parts.push((part.name, part.value));
    }
    if let Some(reason) = &score.reason {
        check_reason(reason)?;
    }
    let reason = score.reason.map(|reason| quote_guest(&reason, REASON_BYTES_MAX));
    Ok(Score { reward: score.reward, parts, reason })
}

fn check_value(what: &str, value: f64, min: f64, max: f64) -> Result<(), String> {
    if !value.is_finite() {
        return Err(format!("gave {value} as {what}, which is no number to learn from"));
    }
    if value < min || value > max {
        return Err(format!("gave {value} as {what}, outside its declared range of {min} to {max}"));
    }
    Ok(())
}

fn check_reason(reason: &str) -> Result<(), String> {
    if reason.len() <= REASON_BYTES_MAX {
        return Ok(());
    }
    Err(format!("gave a reason of {} bytes, more than {REASON_BYTES_MAX}", reason.len()))
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, option, prelude::*};

    use super::*;
    use crate::PartSpec;

    fn descriptor() -> Descriptor {
        let part = |name: &str, max| PartSpec { name: name.to_owned(), min: -1.0, max, help: String::new() };
        Descriptor {
            name: "d".to_owned(),
            version: "1.0.0".to_owned(),
            help: String::new(),
            min: -2.0,
            max: 2.0,
            parts: vec![part("a", 1.0), part("b", 10.0)],
            config_schema: true.into(),
        }
    }

    fn value() -> impl Strategy<Value = f64> {
        prop_oneof![any::<f64>(), -12.0..12.0_f64]
    }

    fn verdict() -> impl Strategy<Value = types::Verdict> {
        let name = prop_oneof![Just("a".to_owned()), Just("b".to_owned()), ".{0,3}"];
        let part = (name, value()).prop_map(|(name, value)| types::Part { name, value });
        let text = || prop_oneof![".{0,20}", ".{500,520}"];
        let score = (value(), vec(part, 0..4), option::of(text())).prop_map(|(reward, parts, reason)| types::Score {
            reward,
            parts,
            reason,
        });
        prop_oneof![score.prop_map(types::Verdict::Scored), text().prop_map(types::Verdict::Abstain)]
    }

    proptest! {
        #[test]
        fn whatever_is_said_what_is_scored_keeps_the_promises(verdicts in vec(verdict(), 0..6), samples in 0_usize..6) {
            let descriptor = descriptor();
            let outcomes = judge("p", &descriptor, verdicts, samples);
            prop_assert_eq!(outcomes.len(), samples);
            for outcome in outcomes {
                let Outcome::Scored(score) = outcome else { continue };
                prop_assert!((descriptor.min..=descriptor.max).contains(&score.reward));
                let mut names: Vec<&str> = score.parts.iter().map(|(name, _)| &name[..]).collect();
                for (name, value) in &score.parts {
                    let spec = descriptor.part(name).unwrap();
                    prop_assert!((spec.min..=spec.max).contains(value));
                }
                names.sort_unstable();
                names.dedup();
                prop_assert_eq!(names.len(), score.parts.len());
                prop_assert!(score.reason.is_none_or(|reason| !reason.chars().any(char::is_control)));
            }
        }
    }
}
