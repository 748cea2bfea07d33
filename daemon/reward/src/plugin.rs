use std::{fmt, sync::Arc};

use perennial_types::{Fingerprint, Message, Role};
use serde::{Deserialize, Serialize};
use wasmtime::Store;

use crate::{
    Compilation, Completion, Descriptor, Fault, Outcome, Scoring, Task,
    bindings::{RewardPre, perennial::reward::types},
    call::{Budget, run},
    call_state::CallState,
    contract,
    error::LINE_BYTES_MAX,
    fault::{Failure, explain},
    host::HostInner,
    text::quote_guest,
};

/// What determines a plugin's scores, for the lineage.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PluginIdentity {
    /// The name in the configuration.
    pub name: String,
    /// The plugin's own name.
    pub plugin: String,
    /// The plugin's own version.
    pub version: String,
    /// The version of the interface that it was built for.
    pub interface: String,
    /// Of the file's bytes.
    pub hash: Fingerprint,
    /// Of the configuration, whatever the order of its keys.
    pub config_hash: Fingerprint,
}

/// A loaded plugin: compiled, described and configured. Cheap to clone, shared between threads.
#[derive(Clone)]
pub struct Plugin {
    pub(crate) inner: Arc<PluginInner>,
}

pub(crate) struct PluginInner {
    pub(crate) host: Arc<HostInner>,
    pub(crate) code: RewardPre<CallState>,
    pub(crate) budget: Budget,
    pub(crate) identity: PluginIdentity,
    pub(crate) descriptor: Descriptor,
    /// Canonical JSON, as the guest gets it.
    pub(crate) config: String,
    pub(crate) compilation: Compilation,
}

impl Plugin {
    /// What determines its scores.
    pub fn identity(&self) -> &PluginIdentity {
        &self.inner.identity
    }

    /// The name in the configuration.
    pub fn name(&self) -> &str {
        &self.inner.identity.name
    }

    /// What it says about itself.
    pub fn descriptor(&self) -> &Descriptor {
        &self.inner.descriptor
    }

    /// How its machine code came about.
    pub fn compilation(&self) -> &Compilation {
        &self.inner.compilation
    }

    /// Judges a task's completions. Whatever the plugin does, there is one outcome for each: where the call as a whole
    /// fails, all of them have the same fault or time-out; where one verdict breaks the contract, that one is a fault.
    ///
    /// Blocks until the call is over, and waits where [`concurrent_calls_max`](crate::HostOptions::concurrent_calls_max)
    /// calls run already. The outcomes depend on plugin, config and task alone, but for time-outs.
    pub fn score(&self, task: &Task) -> Scoring {
        self.score_with(task, |_| {})
    }

    /// As [`score`](Self::score), with the last word on the store before the guest starts.
    pub(crate) fn score_with(&self, task: &Task, set_up: impl FnOnce(&mut Store<CallState>)) -> Scoring {
        let PluginInner { host, code, budget, descriptor, config, .. } = &*self.inner;
        let samples = task.samples.len();
        let prompt: Vec<types::Message<'_>> = task.prompt.iter().map(lower_message).collect();
        let completions: Vec<types::Sample<'_>> = task.samples.iter().map(lower_sample).collect();
        let mut labels: Vec<(&str, &str)> = task.labels.iter().map(|(name, value)| (&name[..], &value[..])).collect();
        labels.sort_unstable();
        // JSON values with keys of text can always be written.
        let metadata = serde_json::to_string(&task.metadata).unwrap_or_else(|_| "{}".to_owned());
        let guest_task = types::Task {
            prompt: &prompt,
            reference: task.reference.as_deref(),
            labels: &labels,
            metadata_json: &metadata,
            samples: &completions,
        };
        let called =
            run(host, code, budget, samples as u64, set_up, |guest, store| guest.call_score(store, config, guest_task));
        let outcomes = match called.answer {
            Ok(Ok(verdicts)) => contract::judge(self.name(), descriptor, verdicts, samples),
            Ok(Err(fault)) => vec![Outcome::Faulted(contract::own_fault(self.name(), fault)); samples],
            Err(error) => {
                let outcome = match explain(&error, budget, &host.options, samples) {
                    Failure::Faulted(Fault { kind, message }) => {
                        Outcome::Faulted(Fault { kind, message: self.line(&message) })
                    }
                    Failure::TimedOut(message) => Outcome::TimedOut(self.line(&message)),
                };
                vec![outcome; samples]
            }
        };
        Scoring { outcomes, cost: called.cost, log: called.log.lines, log_lines_dropped: called.log.dropped }
    }

    fn line(&self, what: &str) -> String {
        format!("plugin {}: {}", self.name(), quote_guest(what, LINE_BYTES_MAX))
    }
}

impl fmt::Debug for Plugin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Plugin").field(self.identity()).finish()
    }
}

fn lower_message(message: &Message) -> types::Message<'_> {
    let role = match message.role {
        Role::System => types::Role::System,
        Role::User => types::Role::User,
        Role::Assistant => types::Role::Assistant,
        Role::Tool => types::Role::Tool,
    };
    types::Message { role, content: &message.content }
}

fn lower_sample(sample: &Completion) -> types::Sample<'_> {
    types::Sample { id: &sample.id, completion: &sample.text }
}
