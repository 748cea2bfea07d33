use axum::http::StatusCode;
use serde::Serialize;
use serde_json::Value;
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        Content, ContentBuilder, Ref, RefOr, Required, Schema,
        path::{Parameter, ParameterBuilder, ParameterIn},
        schema::{ArrayBuilder, ObjectBuilder, Type},
    },
};

use super::Code;

/// What the reference says of a route beside what the table of routes does.
pub(super) struct Operation {
    pub(super) summary: &'static str,
    pub(super) more: &'static str,
    pub(super) status: StatusCode,
    /// The type of the answer.
    pub(super) kind: &'static str,
    /// How the answer looks.
    pub(super) answer: Content,
    /// How the body looks, where there is one.
    pub(super) body: Option<Content>,
    pub(super) parameters: Vec<Parameter>,
    /// What may be wrong beside what may be wrong with every route of the kind.
    pub(super) problems: Vec<Code>,
    /// What the others refer to, by name.
    pub(super) schemas: Vec<(String, RefOr<Schema>)>,
}

impl Operation {
    /// What the route does, in a sentence. Unless more is said, it answers with JSON's `null`.
    pub(super) fn new(summary: &'static str) -> Self {
        let null = ObjectBuilder::new().schema_type(Type::Null);
        Self {
            summary,
            more: "",
            status: StatusCode::OK,
            kind: "application/json",
            answer: ContentBuilder::new().schema(Some(null)).build(),
            body: None,
            parameters: Vec::new(),
            problems: Vec::new(),
            schemas: Vec::new(),
        }
    }

    /// What else there is to say.
    pub(super) fn more(self, more: &'static str) -> Self {
        Self { more, ..self }
    }

    /// It answers with this type.
    pub(super) fn answers<T: ToSchema>(mut self) -> Self {
        let answer = ContentBuilder::new().schema(Some(self.named::<T>())).build();
        Self { answer, ..self }
    }

    /// It answers with a list of this type.
    pub(super) fn lists<T: ToSchema>(mut self) -> Self {
        let list = ArrayBuilder::new().items(self.named::<T>());
        let answer = ContentBuilder::new().schema(Some(list)).build();
        Self { answer, ..self }
    }

    /// It answers with this type, and the reference shows this example.
    pub(super) fn answers_such_as<T: ToSchema + Serialize>(mut self, example: &T) -> Self {
        let answer = self.such_as(example);
        Self { answer, ..self }
    }

    /// It answers with a text of this type.
    pub(super) fn says(self, kind: &'static str, example: &str) -> Self {
        let answer = ContentBuilder::new().schema(Some(String::schema())).example(Some(Value::from(example))).build();
        Self { kind, answer, ..self }
    }

    /// It answers with any JSON object.
    pub(super) fn answers_any(self) -> Self {
        let answer = ContentBuilder::new().schema(Some(ObjectBuilder::new())).build();
        Self { answer, ..self }
    }

    /// It answers before it is done.
    pub(super) fn accepts(self) -> Self {
        Self { status: StatusCode::ACCEPTED, ..self }
    }

    /// It takes a body such as this.
    pub(super) fn takes<T: ToSchema + Serialize>(mut self, example: &T) -> Self {
        let body = Some(self.such_as(example));
        Self { body, ..self }
    }

    /// It takes rows such as these.
    pub(super) fn takes_rows(self, example: &str) -> Self {
        let body = ContentBuilder::new().schema(Some(String::schema())).example(Some(Value::from(example))).build();
        Self { body: Some(body), ..self }
    }

    /// The part of its path that names something.
    pub(super) fn of<T: PartialSchema>(self, name: &str, says: &str) -> Self {
        self.parameter::<T>(name, ParameterIn::Path, Required::True, says)
    }

    /// What may stand behind its path.
    pub(super) fn query<T: PartialSchema>(self, name: &str, says: &str) -> Self {
        self.parameter::<T>(name, ParameterIn::Query, Required::False, says)
    }

    /// What may be wrong with it in particular.
    pub(super) fn problems(self, codes: &[Code]) -> Self {
        Self { problems: codes.to_vec(), ..self }
    }

    fn parameter<T: PartialSchema>(mut self, name: &str, place: ParameterIn, required: Required, says: &str) -> Self {
        let parameter = ParameterBuilder::new().name(name).parameter_in(place).required(required);
        self.parameters.push(parameter.description(Some(says)).schema(Some(T::schema())).build());
        self
    }

    fn such_as<T: ToSchema + Serialize>(&mut self, example: &T) -> Content {
        let content = ContentBuilder::new().schema(Some(self.named::<T>()));
        content.example(serde_json::to_value(example).ok()).build()
    }

    /// A type by its name.
    fn named<T: ToSchema>(&mut self) -> Ref {
        self.schemas.push((T::name().into_owned(), T::schema()));
        T::schemas(&mut self.schemas);
        Ref::from_schema_name(T::name())
    }
}
