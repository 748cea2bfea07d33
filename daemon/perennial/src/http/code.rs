use axum::http::StatusCode;
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        RefOr, Schema,
        schema::{ObjectBuilder, Type},
    },
};

/// What is wrong with a request, for programs: the status says it in general, the code more closely. Codes never change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Code {
    BadRequest,
    Unauthorized,
    Forbidden,
    WrongHost,
    ForeignOrigin,
    NotFound,
    MethodNotAllowed,
    TimedOut,
    Refused,
    CycleUnderWay,
    NothingToDo,
    BodyTooLarge,
    OverBound,
    UnsupportedType,
    UnsupportedEncoding,
    Unreadable,
    Damaged,
    NothingTaken,
    Internal,
    Unavailable,
    TrainingIsStuck,
    StorageFull,
}

/// Each with its status, its name in `code` and what it says.
const CODES: [(Code, StatusCode, &str, &str); 22] = [
    (Code::BadRequest, StatusCode::BAD_REQUEST, "bad_request", "The request is not understood."),
    (Code::Unauthorized, StatusCode::UNAUTHORIZED, "unauthorized", "No token was shown, or one that is not known."),
    (Code::Forbidden, StatusCode::FORBIDDEN, "forbidden", "The token's role does not allow it."),
    (Code::WrongHost, StatusCode::FORBIDDEN, "wrong_host", "The `Host` header does not name this machine."),
    (Code::ForeignOrigin, StatusCode::FORBIDDEN, "foreign_origin", "The request comes from a page of another site."),
    (Code::NotFound, StatusCode::NOT_FOUND, "not_found", "There is no such thing."),
    (Code::MethodNotAllowed, StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "The path takes other methods."),
    (Code::TimedOut, StatusCode::REQUEST_TIMEOUT, "timed_out", "The body did not arrive within `http.body_seconds`."),
    (Code::Refused, StatusCode::CONFLICT, "refused", "It does not go with how things stand."),
    (Code::CycleUnderWay, StatusCode::CONFLICT, "cycle_under_way", "There is one cycle at a time."),
    (Code::NothingToDo, StatusCode::CONFLICT, "nothing_to_do", "No new samples wait that could be trained on."),
    (Code::BodyTooLarge, StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", "The body is longer than what is taken."),
    (
        Code::OverBound,
        StatusCode::PAYLOAD_TOO_LARGE,
        "over_bound",
        "The rows go beyond a bound of `[ingest.request]`; those before it are stored, as `report` says.",
    ),
    (Code::UnsupportedType, StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_type", "The body is of another type."),
    (
        Code::UnsupportedEncoding,
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "unsupported_encoding",
        "The body is encoded in another way.",
    ),
    (Code::Unreadable, StatusCode::UNPROCESSABLE_ENTITY, "unreadable", "The body holds no rows at all."),
    (
        Code::Damaged,
        StatusCode::UNPROCESSABLE_ENTITY,
        "damaged",
        "The body breaks off; the rows before are stored, as `report` says.",
    ),
    (
        Code::NothingTaken,
        StatusCode::UNPROCESSABLE_ENTITY,
        "nothing_taken",
        "Every row was refused; `report` says why, and they are in quarantine.",
    ),
    (
        Code::Internal,
        StatusCode::INTERNAL_SERVER_ERROR,
        "internal",
        "A defect of the program, or of what it stands on.",
    ),
    (Code::Unavailable, StatusCode::SERVICE_UNAVAILABLE, "unavailable", "For now; try again after `Retry-After`."),
    (
        Code::TrainingIsStuck,
        StatusCode::SERVICE_UNAVAILABLE,
        "training_is_stuck",
        "Training does not get on; samples are taken in all the same.",
    ),
    (
        Code::StorageFull,
        StatusCode::INSUFFICIENT_STORAGE,
        "storage_full",
        "The disk is full: nothing of the request was acknowledged.",
    ),
];

impl Code {
    fn row(self) -> (StatusCode, &'static str, &'static str) {
        let row = CODES.iter().find(|(code, ..)| *code == self);
        row.map_or((StatusCode::INTERNAL_SERVER_ERROR, "internal", ""), |(_, status, name, says)| (*status, name, says))
    }

    /// The status that it goes with.
    pub(super) fn status(self) -> StatusCode {
        self.row().0
    }

    /// What it says, in a sentence.
    pub(super) fn says(self) -> &'static str {
        self.row().2
    }

    /// The name in `code`.
    pub(crate) fn as_str(self) -> &'static str {
        self.row().1
    }
}

impl PartialSchema for Code {
    fn schema() -> RefOr<Schema> {
        let names = CODES.map(|(_, _, name, _)| name);
        ObjectBuilder::new().schema_type(Type::String).enum_values(Some(names)).into()
    }
}

impl ToSchema for Code {}
