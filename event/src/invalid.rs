//! Why a function's result was refused: a closed list of rules, with the header
//! and value at fault. The viewer gets a 502 (`proxy`'s `error`); the log gets this.

/// The rule that a result broke. [`Rule::as_str`] is stable: logs and metrics use it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rule {
    NotParsable,
    NotAnObject,
    EventReturned,
    NeitherRequestNorResponse,
    RequestInResponseEvent,
    StatusMissing,
    StatusInvalid,
    StatusReadOnly,
    StatusDescriptionInvalid,
    FieldReadOnly,
    UriInvalid,
    QuerystringInvalid,
    UrlTooLong,
    HeadersNotObject,
    HeaderNotArray,
    HeaderEntryInvalid,
    HeaderNameInvalid,
    HeaderNameDuplicated,
    HeaderKeyMismatch,
    HeaderValueInvalid,
    HeaderDisallowed,
    HeaderReadOnly,
    BodyInvalid,
    BodyEncodingInvalid,
    BodyNotBase64,
    BodyTooLarge,
    BodyForbidden,
    OriginInvalid,
    OriginForbidden,
}

impl Rule {
    /// The rule's name in logs and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Rule::NotParsable => "not-parsable",
            Rule::NotAnObject => "not-an-object",
            Rule::EventReturned => "event-returned",
            Rule::NeitherRequestNorResponse => "neither-request-nor-response",
            Rule::RequestInResponseEvent => "request-in-response-event",
            Rule::StatusMissing => "status-missing",
            Rule::StatusInvalid => "status-invalid",
            Rule::StatusReadOnly => "status-read-only",
            Rule::StatusDescriptionInvalid => "status-description-invalid",
            Rule::FieldReadOnly => "field-read-only",
            Rule::UriInvalid => "uri-invalid",
            Rule::QuerystringInvalid => "querystring-invalid",
            Rule::UrlTooLong => "url-too-long",
            Rule::HeadersNotObject => "headers-not-object",
            Rule::HeaderNotArray => "header-not-array",
            Rule::HeaderEntryInvalid => "header-entry-invalid",
            Rule::HeaderNameInvalid => "header-name-invalid",
            Rule::HeaderNameDuplicated => "header-name-duplicated",
            Rule::HeaderKeyMismatch => "header-key-mismatch",
            Rule::HeaderValueInvalid => "header-value-invalid",
            Rule::HeaderDisallowed => "header-disallowed",
            Rule::HeaderReadOnly => "header-read-only",
            Rule::BodyInvalid => "body-invalid",
            Rule::BodyEncodingInvalid => "body-encoding-invalid",
            Rule::BodyNotBase64 => "body-not-base64",
            Rule::BodyTooLarge => "body-too-large",
            Rule::BodyForbidden => "body-forbidden",
            Rule::OriginInvalid => "origin-invalid",
            Rule::OriginForbidden => "origin-forbidden",
        }
    }
}

/// A result that cannot be used. `Display` is one line for the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidResult {
    pub rule: Rule,
    /// The header at fault, as the function named it.
    pub header: Option<String>,
    /// What the function gave, cut to 120 characters.
    pub value: Option<String>,
    /// What is wrong, with the limit where there is one.
    pub text: String,
}

/// Ours: characters of a refused value that the log shows.
const VALUE_CHARS_MAX: usize = 120;

impl InvalidResult {
    pub(super) fn new(rule: Rule, text: impl Into<String>) -> InvalidResult {
        InvalidResult { rule, header: None, value: None, text: text.into() }
    }

    pub(super) fn header(mut self, name: &str) -> InvalidResult {
        self.header = Some(shortened(name));
        self
    }

    pub(super) fn value(mut self, value: &str) -> InvalidResult {
        self.value = Some(shortened(value));
        self
    }
}

impl std::fmt::Display for InvalidResult {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "invalid result ({}): {}", self.rule.as_str(), self.text)?;
        if let Some(header) = &self.header {
            write!(f, ", header {header:?}")?;
        }
        if let Some(value) = &self.value {
            write!(f, ", value {value:?}")?;
        }
        Ok(())
    }
}

impl std::error::Error for InvalidResult {}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(VALUE_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
