//! How the types of other crates look in JSON, for the reference of the HTTP interface: they are sent as they are, and know
//! nothing of it. What holds the two together are the black-box tests: every answer that one of them gets is held against the
//! reference, whose objects are closed (tests/src/reference.rs), so a field that is new, or named or typed otherwise, fails the first
//! test that gets it, as does one that is gone, unless it may be null. A variant or a type that no test gets is held by nothing.

#![expect(dead_code, reason = "only their shape is read")]

pub(crate) mod quarantine;

use std::{borrow::Cow, collections::BTreeMap};

use perennial_types::Kind as OwnKind;
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        RefOr, Schema,
        schema::{AdditionalProperties, ArrayBuilder, ObjectBuilder, Type},
    },
};

/// A text of a form.
macro_rules! text {
    ($name:ident, $says:literal, $pattern:literal, $example:literal) => {
        #[doc = $says]
        pub(crate) struct $name;

        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                let text = ObjectBuilder::new().schema_type(Type::String).description(Some($says));
                text.pattern(Some($pattern)).examples([$example]).into()
            }
        }

        impl ToSchema for $name {
            fn name() -> Cow<'static, str> {
                Cow::Borrowed(stringify!($name))
            }
        }
    };
}

text!(AdapterId, "An adapter, by the first twelve digits of its fingerprint.", "^[0-9a-f]{12}$", "0123456789ab");
text!(
    Fingerprint,
    "The blake3 hash of canonical content, in hexadecimal.",
    "^[0-9a-f]{64}$",
    "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"
);

/// A cycle, by its number: 1, 2, 3 …
#[derive(ToSchema)]
#[schema(example = 7)]
pub(crate) struct CycleId(u64);

/// The kind of a row, by its shape.
pub(crate) struct Kind;

impl PartialSchema for Kind {
    fn schema() -> RefOr<Schema> {
        let names = ObjectBuilder::new().schema_type(Type::String).enum_values(Some(OwnKind::ALL.map(OwnKind::as_str)));
        names.description(Some("The kind of a row, by its shape.")).into()
    }
}

impl ToSchema for Kind {}

/// Where an adapter stands.
#[derive(ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum AdapterState {
    Candidate,
    Champion,
    Retired,
    Rejected,
}

/// A phase of a cycle that is done.
#[derive(ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Phase {
    Collected,
    Mixed,
    Trained,
    Evaluated,
    Decided,
    Published,
}

/// How a cycle ended.
#[derive(ToSchema)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub(crate) enum CycleOutcome {
    /// The candidate became the champion.
    Promoted,
    /// The champion stayed.
    Rejected,
    /// Something broke that does not mend itself; its samples are fresh still.
    Failed {
        /// What broke.
        reason: String,
        /// How to mend it; left out where nothing is known.
        #[serde(default)]
        remedy: String,
    },
    /// It was called off; its samples are fresh still.
    Aborted {
        /// Why.
        reason: String,
    },
}

/// What a target of publishing serves, and what it should. Changes of the champion go by their number, from 1.
#[derive(ToSchema)]
pub(crate) struct Publication {
    /// The target's name.
    target: String,
    /// The fingerprint of where it is.
    place: Fingerprint,
    /// The change of the champion that it should have followed.
    wished: u64,
    /// The champion of that change; null is the base model.
    wished_adapter: Option<AdapterId>,
    /// The change that it has followed; null where it serves something else, or nobody knows what.
    served: Option<u64>,
    /// What it serves, as far as that is known; null is the base model too.
    served_adapter: Option<AdapterId>,
    /// Since when it follows, or does not, in milliseconds since the Unix epoch.
    since_ms: i64,
    /// Tries to make it follow this change.
    attempts: u32,
    /// When the next try comes by itself; null where none does.
    next_ms: Option<i64>,
    /// What the last try failed by.
    error: Option<String>,
}

/// What the gate said of an adapter, and on what.
#[derive(ToSchema)]
pub(crate) struct GateRecord {
    /// Whether it passed.
    passed: bool,
    /// The fingerprints of the suites, by name.
    suites: BTreeMap<String, Fingerprint>,
    /// The reasons, as the report has them.
    reasons: serde_json::Value,
}

/// What an adapter was made of, and what the gate said of it.
#[derive(ToSchema)]
pub(crate) struct Lineage {
    /// The cycle that trained it.
    cycle: CycleId,
    /// The adapter whose weights it started from.
    parent: Option<AdapterId>,
    /// The fingerprint of the base model's weights.
    base: Fingerprint,
    /// The fingerprint of the mix.
    mix: Fingerprint,
    /// The training configuration.
    config: serde_json::Value,
    /// The training seed.
    seed: u64,
    /// The version of the program that trained it.
    code_version: String,
    /// The gate's word; null before it has spoken, or where the cycle was called off.
    gate: Option<GateRecord>,
}

/// An adapter in the registry.
#[derive(ToSchema)]
pub(crate) struct Adapter {
    /// Its name.
    id: AdapterId,
    /// The fingerprint of its files.
    files: Fingerprint,
    /// Where it stands.
    state: AdapterState,
    /// Whether it was ever made champion against, or without, the gate's word.
    forced: bool,
    /// When it was first trained, in milliseconds since the Unix epoch.
    created_ms: i64,
    /// Its lineage.
    lineage: Lineage,
}

/// A phase that is done.
#[derive(ToSchema)]
pub(crate) struct PhaseRecord {
    /// The phase.
    phase: Phase,
    /// When it was recorded, in milliseconds since the Unix epoch.
    at_ms: i64,
    /// What it noted of itself.
    detail: serde_json::Value,
}

/// What keeps a cycle from going on.
#[derive(ToSchema)]
pub(crate) struct Trouble {
    /// The last error.
    reason: String,
    /// When it came, in milliseconds since the Unix epoch.
    at_ms: i64,
    /// When the first came since the cycle last recorded a phase.
    since_ms: i64,
}

/// A cycle in the registry.
#[derive(ToSchema)]
pub(crate) struct Cycle {
    /// Its number.
    id: CycleId,
    /// Why it was begun.
    reason: String,
    /// The configuration that it runs under.
    config: serde_json::Value,
    /// Its seed.
    seed: u64,
    /// The champion when it was begun; null is the base model.
    champion: Option<AdapterId>,
    /// When it was begun, in milliseconds since the Unix epoch.
    started_ms: i64,
    /// The phases that are done, in order.
    phases: Vec<PhaseRecord>,
    /// The fingerprint of its mix.
    mix: Option<Fingerprint>,
    /// What it trained.
    candidate: Option<AdapterId>,
    /// The fingerprints of its suites, by name.
    suites: Option<BTreeMap<String, Fingerprint>>,
    /// How it ended.
    outcome: Option<CycleOutcome>,
    /// When it ended; null while it is under way.
    finished_ms: Option<i64>,
    /// How often it was run since it last got further.
    attempts: u32,
    /// What keeps it from going on, where something does.
    trouble: Option<Trouble>,
    /// Why it is to be aborted, where somebody asked for that.
    abort: Option<String>,
}

/// All that the gate saw and said of a candidate: open, for its suites and its policy are the gate's own.
pub(crate) struct Report;

impl PartialSchema for Report {
    fn schema() -> RefOr<Schema> {
        let says = "All that the gate saw and said of a candidate, as `report.json` in the cycle's folder has it. The policy, and how \
                    learning from rewards went, stand beside what is named here.";
        ObjectBuilder::new()
            .description(Some(says))
            .property("cycle", CycleId::schema())
            .property("candidate", AdapterId::schema())
            .property("suites", ArrayBuilder::new().items(ObjectBuilder::new()))
            .property("decision", serde_json::Value::schema())
            .required("cycle")
            .required("candidate")
            .required("suites")
            .required("decision")
            .additional_properties(Some(AdditionalProperties::<Schema>::FreeForm(true)))
            .into()
    }
}

impl ToSchema for Report {}
