//! How the base model reads what is stored: one sample of each shape and domain.

use std::collections::BTreeSet;

use perennial_data::segment;
use perennial_learn::model::Model;
use perennial_registry::{Registry, SampleRecord};
use perennial_types::Role;

use super::{session::Session, shown::Shown};

/// More samples say little more.
const SAMPLES_MAX: usize = 24;

/// A line for each.
///
/// # Errors
/// Where the registry or a segment cannot be read.
pub(super) fn of_stored(
    session: &Session,
    registry: &Registry,
    model: &Model,
    colour: bool,
) -> anyhow::Result<Vec<String>> {
    let length_max = session.config().train.max_length.min(model.config.positions_max);
    let mut lines = Vec::new();
    for SampleRecord { id, segment, domain, .. } in registry.one_of_each_shape(SAMPLES_MAX)? {
        let path = session.state().root().join(&*segment);
        for stored in segment::read_segment(&path, Some(&BTreeSet::from([id])))? {
            let body = &stored.sample.body;
            let read = Shown::parts_of(body, model, length_max);
            let read: Vec<String> = read.iter().map(|shown| shown.in_brief(colour)).collect();
            lines.push(format!("{domain}, {}: {}", body.kind().as_str(), read.join(" / ")));
        }
    }
    Ok(lines)
}

/// How prompts are read that are strings.
pub(super) fn prompts(model: &Model) -> &'static str {
    if model.template.reads_prompts_as_chat() {
        return "a prompt that is a string is asked as a user's turn, in the model's chat template \
                (`ingest.prompt_as_chat = false` asks it as it stands)";
    }
    match model.template.source() {
        Some(_) => {
            "a prompt that is a string is asked as it stands, without the model's chat template (`ingest.prompt_as_chat = \
             true` asks it as a user's turn)"
        }
        None => "a prompt that is a string is asked as it stands: the model has no chat template",
    }
}

/// What the chat template cannot read, where it cannot.
pub(super) fn doubts(model: &Model) -> Vec<String> {
    if model.template.source().is_none() {
        return vec!["the model has no chat template: rows of messages cannot be read".to_owned()];
    }
    let objection = |role: Role| {
        let reason = model.template.objection_to(role)?;
        Some(format!("rows with {} turns are not learned from: {reason}", role.as_str()))
    };
    [Role::User, Role::System, Role::Tool].into_iter().filter_map(objection).collect()
}
