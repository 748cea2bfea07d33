use anyhow::bail;
use perennial_durable as durable;
use perennial_reward::{Member, Panel, Plugin, PluginIdentity};
use perennial_types::Domain;
use serde::{Deserialize, Serialize};

use super::Sandbox;
use crate::{
    config::{self, RewardPlugin},
    cycle_folder::CycleFolder,
};

/// A plugin as a cycle froze it; its bytes are in the cycle's folder, under its name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct FrozenPlugin {
    /// What it is: hash, version, interface, and the hash of its configuration.
    pub(crate) identity: PluginIdentity,
    /// What it was configured with.
    pub(crate) plugin: RewardPlugin,
}

/// Copies the configured plugins into the cycle's folder, whatever becomes of them afterwards, and checks each.
///
/// # Errors
/// Where a file cannot be read or is refused.
pub(crate) fn freeze(
    sandbox: &Sandbox,
    config: &config::Reward,
    folder: &CycleFolder,
) -> anyhow::Result<Vec<FrozenPlugin>> {
    let freeze = |plugin: &RewardPlugin| {
        // Judged before it is copied, so that the operator reads the path that he knows.
        let bytes = sandbox.read(&plugin.file, plugin)?;
        let identity = sandbox.load_bytes(&bytes, plugin)?.identity().clone();
        durable::write_durably(&folder.plugin(&plugin.name), &bytes)?;
        Ok(FrozenPlugin { identity, plugin: plugin.clone() })
    };
    config.plugin.iter().map(freeze).collect()
}

/// Plugins that are ready to score, with the sandbox that they run in.
pub(crate) struct Plugins {
    members: Vec<(RewardPlugin, Plugin)>,
    /// Its clock ends calls that take too long.
    _sandbox: Sandbox,
}

impl Plugins {
    /// Those that a cycle froze, from its folder.
    ///
    /// # Errors
    /// Where a file is not the one that was frozen, or is refused.
    pub(crate) fn load_frozen(sandbox: Sandbox, frozen: &[FrozenPlugin], folder: &CycleFolder) -> anyhow::Result<Self> {
        let load = |frozen: &FrozenPlugin| {
            let path = folder.plugin(&frozen.plugin.name);
            let plugin = sandbox.load(&path, &frozen.plugin)?;
            if *plugin.identity() != frozen.identity {
                bail!("{} is not the plugin that the cycle froze", path.display());
            }
            Ok((frozen.plugin.clone(), plugin))
        };
        let members = frozen.iter().map(load).collect::<anyhow::Result<_>>()?;
        Ok(Self { members, _sandbox: sandbox })
    }

    /// Those that are configured now, from where they lie.
    ///
    /// # Errors
    /// Where one is refused.
    pub(crate) fn load_configured(sandbox: Sandbox, config: &config::Reward) -> anyhow::Result<Self> {
        let load = |plugin: &RewardPlugin| Ok((plugin.clone(), sandbox.load(&plugin.file, plugin)?));
        let members = config.plugin.iter().map(load).collect::<anyhow::Result<_>>()?;
        Ok(Self { members, _sandbox: sandbox })
    }

    /// By the name in the configuration.
    pub(crate) fn named(&self, name: &str) -> Option<&Plugin> {
        self.members.iter().find(|(known, _)| known.name == name).map(|(_, plugin)| plugin)
    }

    /// All plugins that score a domain, measured ones too; `None` where none of them has a weight.
    pub(crate) fn optimised(&self, domain: &Domain) -> Option<Panel> {
        let scores = |plugin: &RewardPlugin| plugin.domains.is_empty() || plugin.domains.contains(domain);
        let members: Vec<Member> = self
            .members
            .iter()
            .filter(|(configured, _)| scores(configured))
            .map(|(configured, plugin)| Member::new(plugin.clone(), configured.weight))
            .collect();
        members.iter().any(|member| member.weight != 0.0).then_some(Panel { members })
    }

    /// Each with its configuration.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &(RewardPlugin, Plugin)> {
        self.members.iter()
    }
}
