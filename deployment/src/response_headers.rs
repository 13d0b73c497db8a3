//! CloudFront's response headers policy: what the edge takes from every response
//! of a behavior and what it adds (AWS: "Understand response headers policies"),
//! and the managed ones by name and id.

use http::{HeaderName, HeaderValue};

/// Applied in this order: [`remove`](Self::remove), [`cors`](Self::cors), [`add`](Self::add).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ResponseHeadersPolicy {
    pub remove: Vec<HeaderName>,
    /// Security headers and custom ones.
    pub add: Vec<AddedHeader>,
    pub cors: Option<Cors>,
    /// Of how many answers in a hundred `Server-Timing` tells, 0 to 100.
    pub server_timing: f64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddedHeader {
    pub name: HeaderName,
    pub value: HeaderValue,
    /// Whether it takes the place of the origin's.
    pub overrides: bool,
}

/// For requests with `Origin`; what is said about methods, headers and age goes
/// out on preflight requests only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cors {
    pub origins: Vec<AllowedOrigin>,
    /// As it is sent, for example `GET, HEAD`.
    pub methods: HeaderValue,
    pub headers: Option<HeaderValue>,
    pub expose: Option<HeaderValue>,
    pub credentials: bool,
    /// Seconds.
    pub max_age: Option<u32>,
    /// Whether it takes the place of what the origin says.
    pub overrides: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AllowedOrigin {
    Any,
    /// As browsers send it, for example `https://example.com`.
    Exact(String),
    /// `*.` and a domain, with or without a scheme before it.
    Below {
        scheme: Option<String>,
        domain: String,
    },
}

impl AllowedOrigin {
    /// Whether a request's `Origin` is one of these.
    #[must_use]
    pub fn matches(&self, origin: &str) -> bool {
        let (scheme, host) = origin.split_once("://").unwrap_or(("", origin));
        match self {
            AllowedOrigin::Any => true,
            AllowedOrigin::Exact(exact) if exact.contains("://") => exact == origin,
            AllowedOrigin::Exact(exact) => exact == host,
            AllowedOrigin::Below { scheme: wanted, domain } => {
                let below = host.strip_suffix(domain.as_str()).and_then(|rest| rest.strip_suffix('.'));
                wanted.as_deref().is_none_or(|wanted| wanted == scheme) && below.is_some_and(|label| !label.is_empty())
            }
        }
    }
}

/// The managed policy with this name or id (AWS: "Use managed response headers policies").
pub(crate) fn managed(name_or_id: &str) -> Option<ResponseHeadersPolicy> {
    MANAGED.iter().find(|row| row.name == name_or_id || row.id == name_or_id).map(Row::policy)
}

/// Every managed response headers policy with its id and name.
#[must_use]
pub fn managed_policies() -> Vec<(&'static str, &'static str, ResponseHeadersPolicy)> {
    MANAGED.iter().map(|row| (row.id, row.name, row.policy())).collect()
}

/// For messages.
pub(crate) fn managed_names() -> String {
    MANAGED.iter().map(|row| row.name).collect::<Vec<_>>().join(", ")
}

struct Row {
    name: &'static str,
    id: &'static str,
    /// Whether preflight requests are answered for, if CORS is.
    cors: Option<bool>,
    security: bool,
}

impl Row {
    fn policy(&self) -> ResponseHeadersPolicy {
        let any = AllowedOrigin::Any;
        let cors = self.cors.map(|preflight| Cors {
            origins: vec![any],
            methods: HeaderValue::from_static(if preflight {
                "DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT"
            } else {
                "GET, HEAD"
            }),
            headers: None,
            expose: preflight.then(|| HeaderValue::from_static("*")),
            credentials: false,
            max_age: None,
            overrides: false,
        });
        let security = SECURITY.iter().filter(|_| self.security).map(|(name, value, overrides)| AddedHeader {
            name: HeaderName::from_static(name),
            value: HeaderValue::from_static(value),
            overrides: *overrides,
        });
        ResponseHeadersPolicy { add: security.collect(), cors, ..ResponseHeadersPolicy::default() }
    }
}

const MANAGED: [Row; 5] = [
    Row { name: "SimpleCORS", id: "60669652-455b-4ae9-85a4-c4c02393f86c", cors: Some(false), security: false },
    Row { name: "CORS-With-Preflight", id: "5cc3b908-e619-4b99-88e5-2cf7f45965bd", cors: Some(true), security: false },
    Row { name: "SecurityHeadersPolicy", id: "67f7725c-6f97-4210-82d7-5512b31e9d03", cors: None, security: true },
    Row {
        name: "CORS-and-SecurityHeadersPolicy",
        id: "e61eb60c-9c35-4d20-a928-2b84e02af89c",
        cors: Some(false),
        security: true,
    },
    Row {
        name: "CORS-with-preflight-and-SecurityHeadersPolicy",
        id: "eaab4381-ed33-4a86-88ca-d9558dc6cd63",
        cors: Some(true),
        security: true,
    },
];

const SECURITY: [(&str, &str, bool); 5] = [
    ("referrer-policy", "strict-origin-when-cross-origin", false),
    ("strict-transport-security", "max-age=31536000", false),
    ("x-content-type-options", "nosniff", true),
    ("x-frame-options", "SAMEORIGIN", false),
    ("x-xss-protection", "1; mode=block", false),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn managed_policies_are_found_by_name_and_by_id() {
        for row in &MANAGED {
            assert!(managed(row.name).is_some());
            assert_eq!(managed(row.name), managed(row.id));
        }
        assert_eq!(managed("simplecors"), None);
    }

    #[test]
    fn an_origin_is_allowed_by_name_or_below_a_domain() {
        let below = AllowedOrigin::Below { scheme: None, domain: "example.com".into() };
        for (origin, expected) in [
            ("https://a.example.com", true),
            ("http://a.b.example.com", true),
            ("https://example.com", false),
            ("https://.example.com", false),
            ("https://badexample.com", false),
            ("https://a.example.com.evil.test", false),
        ] {
            assert_eq!(below.matches(origin), expected, "{origin}");
        }
        let https = AllowedOrigin::Below { scheme: Some("https".into()), domain: "example.com".into() };
        assert!(https.matches("https://a.example.com") && !https.matches("http://a.example.com"));
        assert!(AllowedOrigin::Exact("https://example.com".into()).matches("https://example.com"));
        assert!(!AllowedOrigin::Exact("https://example.com".into()).matches("http://example.com"));
        assert!(AllowedOrigin::Exact("example.com".into()).matches("http://example.com"));
    }
}
