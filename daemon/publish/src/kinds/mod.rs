//! The kinds of targets: a file each, and a line in [`kinds!`].

mod command;
mod folder;
mod llama_cpp;
mod vllm;
mod webhook;

use serde::{Deserialize, Serialize};

pub use self::{
    command::CommandConfig, folder::FolderConfig, llama_cpp::LlamaCppConfig, vllm::VllmConfig, webhook::WebhookConfig,
};
use crate::Settings;

macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident($config:ty)),+ $(,)?) => {
        /// `[[publish]]`: a target, by its `kind`.
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[serde(tag = "kind", rename_all = "snake_case")]
        pub enum TargetConfig {
            $($(#[$doc])* $kind($config),)+
        }

        impl TargetConfig {
            /// What its keys can do.
            pub fn settings(&self) -> &dyn Settings {
                match self {
                    $(Self::$kind(config) => config,)+
                }
            }

            /// As [`settings`](Self::settings), to be changed.
            pub fn settings_mut(&mut self) -> &mut dyn Settings {
                match self {
                    $(Self::$kind(config) => config,)+
                }
            }
        }
    };
}

kinds! {
    /// A folder with a link to the champion's.
    Folder(FolderConfig),
    /// An address that each change is posted to.
    Webhook(WebhookConfig),
    /// A server of vLLM's that loads the champion beside its base model.
    Vllm(VllmConfig),
    /// A server of llama.cpp's, which is restarted for a new adapter.
    LlamaCpp(LlamaCppConfig),
    /// A program of the user's that is told of each change.
    Command(CommandConfig),
}

impl Default for TargetConfig {
    fn default() -> Self {
        Self::Folder(FolderConfig::default())
    }
}
