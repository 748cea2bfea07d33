//! Adapter folders that never change, and the link to the one in service. What is in service is the registry's to say;
//! these make the disk agree, and each can be repeated after a crash. The link has one owner, the [`Publisher`].

mod error;
mod folder;
mod link;
mod publisher;

pub use error::{ChangeError, PublishError};
pub use folder::{copy_adapter, fingerprint_files, store_adapter, verify_adapter};
pub use link::{astray, current};
pub use publisher::{Publisher, Unpublished};
