//! What a systemd unit forbids its service, put on a process without systemd: the filter of system calls, executable memory
//! and address families. Units are tested under their own rules, wherever the tests run.

use std::{
    collections::{BTreeMap, BTreeSet},
    str::FromStr,
};

use anyhow::{Context, Result, bail, ensure};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    apply_filter,
};
use syscalls::Sysno;

/// The sets of system calls that a unit may name, as systemd defines them.
const SETS: &str = include_str!("../unit/syscall-sets.txt");

const EPERM: u32 = 1;
const EAFNOSUPPORT: u32 = 97;
const AF_UNIX: u64 = 1;
const PROT_WRITE: u64 = 2;
const PROT_EXEC: u64 = 4;
const SHM_EXEC: u64 = 0o100_000;

/// What a systemd unit forbids its service, as far as a process can take it upon itself.
#[derive(Debug, PartialEq, Eq)]
pub struct UnitRules {
    allowed: BTreeSet<String>,
    denies_executable_memory: bool,
    unix_sockets_alone: bool,
}

impl UnitRules {
    /// Reads the rules out of a unit's text. Lines of the same key add up, as in systemd.
    ///
    /// # Errors
    /// Where it names a set that is not known here, or has a rule that is not carried out here.
    pub fn parse(unit: &str) -> Result<Self> {
        let sets = sets()?;
        let mut rules = Self { allowed: BTreeSet::new(), denies_executable_memory: false, unix_sockets_alone: false };
        for line in unit.lines() {
            let Some((key, value)) = line.split_once('=').filter(|_| !line.starts_with('#')) else { continue };
            match (key, value) {
                ("SystemCallFilter", value) => {
                    let removes = value.starts_with('~');
                    for name in value.trim_start_matches('~').split_whitespace() {
                        rules.change(&expand(name, &sets)?, removes);
                    }
                }
                ("SystemCallErrorNumber", value) => ensure!(value == "EPERM", "{line}"),
                ("MemoryDenyWriteExecute", value) => rules.denies_executable_memory = value == "yes",
                ("RestrictAddressFamilies", "AF_UNIX") => rules.unix_sockets_alone = true,
                ("RestrictAddressFamilies", _) => bail!("{line}: only AF_UNIX is carried out here"),
                _ => {}
            }
        }
        ensure!(!rules.allowed.is_empty(), "the unit has no list of system calls");
        Ok(rules)
    }

    fn change(&mut self, names: &BTreeSet<String>, removes: bool) {
        match removes {
            true => self.allowed.retain(|name| !names.contains(name)),
            false => self.allowed.extend(names.iter().cloned()),
        }
    }

    /// Whether a system call is allowed.
    pub fn allows(&self, name: &str) -> bool {
        self.allowed.contains(name)
    }

    /// Puts the rules on this process and all that it starts. There is no way back.
    ///
    /// # Errors
    /// Where the kernel does not take them.
    pub fn apply(&self) -> Result<()> {
        // The list of calls comes last: it may not allow the call that adds a filter.
        if self.denies_executable_memory {
            filter(executable_memory()?, SeccompAction::Allow, SeccompAction::Errno(EPERM))?;
        }
        if self.unix_sockets_alone {
            let other = SeccompCondition::new(0, SeccompCmpArgLen::Dword, SeccompCmpOp::Ne, AF_UNIX)?;
            let rules = BTreeMap::from([(number("socket"), vec![SeccompRule::new(vec![other])?])]);
            filter(known(rules), SeccompAction::Allow, SeccompAction::Errno(EAFNOSUPPORT))?;
        }
        let calls = self.allowed.iter().map(|name| (number(name), Vec::new())).collect();
        filter(known(calls), SeccompAction::Errno(EPERM), SeccompAction::Allow)
    }
}

/// As systemd denies it: no page is writable and executable, and none becomes executable.
fn executable_memory() -> Result<BTreeMap<i64, Vec<SeccompRule>>> {
    let has = |argument: u8, bits: u64| -> Result<Vec<SeccompRule>> {
        let condition = SeccompCondition::new(argument, SeccompCmpArgLen::Dword, SeccompCmpOp::MaskedEq(bits), bits)?;
        Ok(vec![SeccompRule::new(vec![condition])?])
    };
    let rules = [
        (number("mmap"), has(2, PROT_WRITE | PROT_EXEC)?),
        (number("mprotect"), has(2, PROT_EXEC)?),
        (number("pkey_mprotect"), has(2, PROT_EXEC)?),
        (number("shmat"), has(2, SHM_EXEC)?),
    ];
    Ok(known(rules.into()))
}

fn filter(rules: BTreeMap<i64, Vec<SeccompRule>>, otherwise: SeccompAction, matched: SeccompAction) -> Result<()> {
    let machine = std::env::consts::ARCH.try_into().context("this machine has no filter")?;
    let program: BpfProgram = SeccompFilter::new(rules, otherwise, matched, machine)?.try_into()?;
    apply_filter(&program).context("the kernel takes no filter")
}

/// What no system call of this machine has.
const UNKNOWN: i64 = -1;

/// The number of a system call here; the sets name those of other machines too.
fn number(name: &str) -> i64 {
    Sysno::from_str(name).map_or(UNKNOWN, |known| i64::from(known.id()))
}

fn known(mut rules: BTreeMap<i64, Vec<SeccompRule>>) -> BTreeMap<i64, Vec<SeccompRule>> {
    rules.remove(&UNKNOWN);
    rules
}

type Sets = BTreeMap<&'static str, Vec<&'static str>>;

fn sets() -> Result<Sets> {
    let mut sets = Sets::new();
    let mut set = None;
    for line in SETS.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty()) {
        match line.strip_prefix(' ') {
            None => set = Some(line),
            Some(name) => sets.entry(set.context("a name before any set")?).or_default().push(name.trim()),
        }
    }
    Ok(sets)
}

/// The system calls that a name stands for. Sets hold sets, never themselves.
fn expand(name: &str, sets: &Sets) -> Result<BTreeSet<String>> {
    if !name.starts_with('@') {
        return Ok(BTreeSet::from([name.to_owned()]));
    }
    let names = sets.get(name).with_context(|| format!("the set {name} is not in tests/unit/syscall-sets.txt"))?;
    let mut expanded = BTreeSet::new();
    for name in names {
        expanded.extend(expand(name, sets)?);
    }
    Ok(expanded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_add_up_in_their_order() {
        let unit = "SystemCallFilter=@system-service\nSystemCallFilter=~@privileged @resources\nSystemCallFilter=sched_setaffinity";
        let rules = UnitRules::parse(unit).unwrap();
        assert!(["read", "sched_setaffinity", "execve"].iter().all(|name| rules.allows(name)));
        assert!(!["setpriority", "chown", "mount"].iter().any(|name| rules.allows(name)));
        assert!(!rules.denies_executable_memory);
        assert!(UnitRules::parse("SystemCallFilter=@unheard-of").is_err());
        assert!(UnitRules::parse("User=perennial").is_err());
    }
}
