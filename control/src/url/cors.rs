//! Cross-origin requests to a function URL (AWS: "CreateFunctionUrlConfig", Cors): which
//! pages may make them is said once, and not by the function.

use bytes::Bytes;
use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD,
    VARY,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response};
use http_body_util::Full;
use serde::{Deserialize, Serialize};

/// As it is stated, kept and shown.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct Cors {
    #[serde(skip_serializing_if = "Option::is_none")]
    allow_credentials: Option<bool>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    allow_headers: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    allow_methods: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    allow_origins: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    expose_headers: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_age: Option<u32>,
}

impl Cors {
    /// What is wrong with it, if anything is.
    pub(crate) fn problem(&self) -> Option<String> {
        if let Some(method) = self.allow_methods.iter().find(|method| !METHODS.contains(&method.as_str())) {
            return Some(format!("AllowMethods has {method:?}, it may have {}", METHODS.join(", ")));
        }
        if self.allow_methods.len() > METHODS_MAX {
            return Some(format!("AllowMethods has more than {METHODS_MAX}"));
        }
        for (name, list, length_max) in [
            ("AllowHeaders", &self.allow_headers, HEADER_LENGTH_MAX),
            ("AllowOrigins", &self.allow_origins, ORIGIN_LENGTH_MAX),
            ("ExposeHeaders", &self.expose_headers, HEADER_LENGTH_MAX),
        ] {
            let is_bad =
                |text: &String| text.is_empty() || text.len() > length_max || HeaderValue::from_str(text).is_err();
            if list.len() > LIST_MAX || list.iter().any(is_bad) {
                return Some(format!("{name} may have {LIST_MAX} of 1 to {length_max} characters"));
            }
        }
        let age = self.max_age.filter(|age| *age > AGE_MAX_S);
        age.map(|age| format!("MaxAge is {age}, at most {AGE_MAX_S} is possible"))
    }

    /// The answer to a browser that asks before it sends, which the function does not see.
    pub(super) fn preflight(&self, method: &Method, headers: &HeaderMap) -> Option<Response<Full<Bytes>>> {
        let asks = headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD);
        let origin = headers.get("origin").filter(|_| method == Method::OPTIONS && asks)?;
        let mut response = Response::new(Full::default());
        let out = response.headers_mut();
        if self.apply(Some(origin), out) {
            put(out, ACCESS_CONTROL_ALLOW_METHODS, &self.allow_methods);
            put(out, ACCESS_CONTROL_ALLOW_HEADERS, &self.allow_headers);
            if let Some(age) = self.max_age {
                out.insert(ACCESS_CONTROL_MAX_AGE, age.into());
            }
        }
        Some(response)
    }

    /// Sets the headers of an answer to a page of `origin`, in place of the function's own;
    /// whether that page may have it.
    pub(super) fn apply(&self, origin: Option<&HeaderValue>, headers: &mut HeaderMap) -> bool {
        for name in OURS {
            headers.remove(name);
        }
        let open = self.allow_origins.iter().any(|allowed| allowed == "*");
        let with_credentials = self.allow_credentials == Some(true);
        if !open || with_credentials {
            headers.append(VARY, HeaderValue::from_static("Origin"));
        }
        let is_named =
            |origin: &HeaderValue| self.allow_origins.iter().any(|allowed| origin.as_bytes() == allowed.as_bytes());
        let Some(origin) = origin.filter(|origin| open || is_named(origin)) else {
            return false;
        };
        // With credentials a browser wants to see its own name.
        let shown = if open && !with_credentials { HeaderValue::from_static("*") } else { origin.clone() };
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, shown);
        if with_credentials {
            headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        }
        put(headers, ACCESS_CONTROL_EXPOSE_HEADERS, &self.expose_headers);
        true
    }
}

fn put(headers: &mut HeaderMap, name: HeaderName, list: &[String]) {
    if let Ok(value) = HeaderValue::from_str(&list.join(","))
        && !list.is_empty()
    {
        headers.insert(name, value);
    }
}

const OURS: [HeaderName; 6] = [
    ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_ALLOW_CREDENTIALS,
    ACCESS_CONTROL_ALLOW_HEADERS,
    ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_EXPOSE_HEADERS,
    ACCESS_CONTROL_MAX_AGE,
];
/// AWS: "Cors".
const METHODS: [&str; 7] = ["*", "DELETE", "GET", "HEAD", "PATCH", "POST", "PUT"];
const METHODS_MAX: usize = 6;
const LIST_MAX: usize = 100;
const HEADER_LENGTH_MAX: usize = 1024;
const ORIGIN_LENGTH_MAX: usize = 253;
const AGE_MAX_S: u32 = 86_400;

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn cors(value: serde_json::Value) -> Cors {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn a_page_that_may_is_told_so_whatever_the_function_says() {
        let cors = cors(
            json!({ "AllowOrigins": ["https://a.test"], "AllowCredentials": true, "ExposeHeaders": ["x-a", "x-b"] }),
        );
        let mut headers = HeaderMap::new();
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("https://of-the-function.test"));
        assert!(cors.apply(Some(&HeaderValue::from_static("https://a.test")), &mut headers));
        assert_eq!(headers[ACCESS_CONTROL_ALLOW_ORIGIN], "https://a.test");
        assert_eq!(headers[ACCESS_CONTROL_ALLOW_CREDENTIALS], "true");
        assert_eq!(headers[VARY], "Origin");
        assert_eq!(headers[ACCESS_CONTROL_EXPOSE_HEADERS], "x-a,x-b");
        assert!(!cors.apply(Some(&HeaderValue::from_static("https://b.test")), &mut headers));
        assert!(!headers.contains_key(ACCESS_CONTROL_ALLOW_ORIGIN));
    }

    #[test]
    fn only_a_preflight_is_answered_here() {
        let cors = cors(
            json!({ "AllowOrigins": ["*"], "AllowMethods": ["GET", "PUT"], "AllowHeaders": ["x-a"], "MaxAge": 60 }),
        );
        let mut headers = HeaderMap::new();
        headers.insert("origin", HeaderValue::from_static("https://a.test"));
        assert!(cors.preflight(&Method::OPTIONS, &headers).is_none());
        headers.insert(ACCESS_CONTROL_REQUEST_METHOD, HeaderValue::from_static("PUT"));
        assert!(cors.preflight(&Method::GET, &headers).is_none());
        let answer = cors.preflight(&Method::OPTIONS, &headers).unwrap();
        assert_eq!(
            (answer.status().as_u16(), &answer.headers()[ACCESS_CONTROL_ALLOW_ORIGIN]),
            (200, &HeaderValue::from_static("*"))
        );
        assert_eq!(answer.headers()[ACCESS_CONTROL_ALLOW_METHODS], "GET,PUT");
        assert_eq!(answer.headers()[ACCESS_CONTROL_MAX_AGE], "60");
    }

    #[test]
    fn bounds_are_aws_s() {
        assert!(cors(json!({ "AllowMethods": ["OPTIONS"] })).problem().unwrap().contains("AllowMethods"));
        assert!(cors(json!({ "AllowOrigins": vec!["a"; 101] })).problem().unwrap().contains("AllowOrigins"));
        assert!(cors(json!({ "MaxAge": 86_401 })).problem().unwrap().contains("MaxAge"));
        assert!(cors(json!({ "AllowMethods": ["*"], "AllowOrigins": ["*"], "MaxAge": 86_400 })).problem().is_none());
    }
}
