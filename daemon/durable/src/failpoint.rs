//! Named places where tests make the program fail: at every sync, rename, commit and switch. A release build has none.
//!
//! `PERENNIAL_FAILPOINTS` lists rules, separated by commas: `NAME=ACTION`, with `@N` behind it for the N-th hit alone (the
//! first where it is missing) and `+K` for it and the K hits that follow. `*` is every name, and its hits are counted
//! together. Actions:
//!
//! | action | what happens |
//! |---|---|
//! | `kill` | the process is gone, as suddenly as by `kill -9` |
//! | `eio`, `enospc` | the step fails with this error of the system |
//! | `delay:MS` | the step takes so many milliseconds longer |
//! | `trace:FILE` | each hit's name goes to the end of the file, a line each |

use std::io;

/// The step of this name is about to be taken.
///
/// # Errors
/// What a test asked for; never in a release build.
#[inline]
pub fn hit(name: &str) -> io::Result<()> {
    #[cfg(debug_assertions)]
    return armed::hit(name);
    #[cfg(not(debug_assertions))]
    {
        let _ = name;
        Ok(())
    }
}

#[cfg(debug_assertions)]
mod armed {
    use std::{
        env,
        fs::OpenOptions,
        io::{self, Write},
        sync::{
            LazyLock,
            atomic::{AtomicU64, Ordering},
        },
        thread,
        time::Duration,
    };

    const VARIABLE: &str = "PERENNIAL_FAILPOINTS";
    const EIO: i32 = 5;
    const ENOSPC: i32 = 28;

    static RULES: LazyLock<Vec<Rule>> = LazyLock::new(|| {
        let rules = env::var(VARIABLE).unwrap_or_default();
        rules.split(',').filter_map(Rule::parse).collect()
    });

    pub(super) fn hit(name: &str) -> io::Result<()> {
        RULES.iter().filter(|rule| rule.name == "*" || rule.name == name).try_for_each(|rule| rule.hit(name))
    }

    struct Rule {
        name: String,
        action: Action,
        first: u64,
        last: u64,
        hits: AtomicU64,
    }

    #[derive(Debug, PartialEq)]
    enum Action {
        Kill,
        Fail(i32),
        Delay(Duration),
        Trace(String),
    }

    impl Rule {
        fn parse(rule: &str) -> Option<Self> {
            let (name, rest) = rule.split_once('=')?;
            let (rest, more) = rest.rsplit_once('+').map_or((rest, "0"), |(rest, more)| (rest, more));
            let (action, first) = rest.rsplit_once('@').map_or((rest, "1"), |(action, first)| (action, first));
            let first = first.parse().ok()?;
            let action = match action.split_once(':') {
                None if action == "kill" => Action::Kill,
                None if action == "eio" => Action::Fail(EIO),
                None if action == "enospc" => Action::Fail(ENOSPC),
                Some(("delay", milliseconds)) => Action::Delay(Duration::from_millis(milliseconds.parse().ok()?)),
                Some(("trace", file)) => Action::Trace(file.to_owned()),
                _ => return None,
            };
            let last = if matches!(action, Action::Trace(_)) { u64::MAX } else { first + more.parse::<u64>().ok()? };
            Some(Self { name: name.to_owned(), action, first, last, hits: AtomicU64::new(0) })
        }

        fn hit(&self, name: &str) -> io::Result<()> {
            let number = self.hits.fetch_add(1, Ordering::Relaxed) + 1;
            if !(self.first..=self.last).contains(&number) {
                return Ok(());
            }
            match &self.action {
                Action::Kill => die(),
                Action::Fail(code) => Err(io::Error::from_raw_os_error(*code)),
                Action::Delay(time) => {
                    thread::sleep(*time);
                    Ok(())
                }
                Action::Trace(file) => {
                    let mut file = OpenOptions::new().create(true).append(true).open(file)?;
                    file.write_all(format!("{name}\n").as_bytes())
                }
            }
        }
    }

    /// A signal that nobody catches: no destructor runs, and nothing is flushed.
    #[expect(clippy::disallowed_methods, reason = "to leave everything as it lies is what is asked for")]
    fn die() -> ! {
        std::process::abort()
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn rules_say_what_happens_at_which_hits() {
            let rule = Rule::parse("durable.sync=enospc@2+1").unwrap();
            let failed: Vec<bool> = (0..4).map(|_| rule.hit("durable.sync").is_err()).collect();
            assert_eq!(failed, [false, true, true, false]);
            let error = Rule::parse("*=eio").unwrap().hit("x").unwrap_err();
            assert_eq!(error.raw_os_error(), Some(EIO));
            assert_eq!(Rule::parse("a=delay:7").unwrap().action, Action::Delay(Duration::from_millis(7)));
            assert_eq!(Rule::parse("a=kill@3").unwrap().first, 3);
            assert!(Rule::parse("a=what").is_none() && Rule::parse("").is_none());
        }

        #[test]
        fn a_trace_names_every_hit() {
            let folder = tempfile::tempdir().unwrap();
            let file = folder.path().join("trace");
            let rule = Rule::parse(&format!("*=trace:{}", file.display())).unwrap();
            rule.hit("a").unwrap();
            rule.hit("b").unwrap();
            assert_eq!(std::fs::read_to_string(file).unwrap(), "a\nb\n");
        }
    }
}
