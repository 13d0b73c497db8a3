//! Signs requests for one service in one region. The key of the day is derived once.

use crate::canonical::Canonical;
use crate::credentials::Credentials;
use crate::key::{ALGORITHM, Scope, SigningKey};
use http::{HeaderMap, HeaderValue, Method};
use parking_lot::RwLock;
use time::OffsetDateTime;
use time::macros::format_description;

/// Signs requests.
#[derive(Debug)]
pub struct Signer {
    credentials: Credentials,
    region: String,
    service: String,
    today: RwLock<Option<SigningKey>>,
}

/// A request but for its headers.
#[derive(Clone, Copy, Debug)]
pub struct ToSign<'a> {
    pub method: &'a Method,
    pub path: &'a str,
    pub query: &'a str,
    pub payload_hash: &'a str,
}

impl Signer {
    #[must_use]
    pub fn new(credentials: Credentials, region: &str, service: &str) -> Signer {
        Signer { credentials, region: region.to_owned(), service: service.to_owned(), today: RwLock::default() }
    }

    #[must_use]
    pub fn service(&self) -> &str {
        &self.service
    }

    #[must_use]
    pub fn region(&self) -> &str {
        &self.region
    }

    /// Signs a request with all of these headers, which must have a host, and adds to them what
    /// says so: `x-amz-date`, `authorization` and, with temporary credentials, `x-amz-security-token`.
    pub fn sign(&self, headers: &mut HeaderMap, request: ToSign<'_>, now: OffsetDateTime) {
        let form = format_description!("[year][month][day]T[hour][minute][second]Z");
        let time = now.to_offset(time::UtcOffset::UTC).format(form).expect("every time can be written");
        headers.remove("authorization");
        headers.remove("x-amz-security-token");
        headers.insert("x-amz-date", value(&time));
        if let Some(token) = &self.credentials.token {
            headers.insert("x-amz-security-token", value(token));
        }
        let mut signed_headers: Vec<&str> = headers.keys().map(http::HeaderName::as_str).collect();
        signed_headers.sort_unstable();
        let ToSign { method, path, query, payload_hash } = request;
        let canonical = Canonical { method, path, query, headers, signed_headers: &signed_headers, payload_hash };
        let hash = canonical.hash(&self.service);
        let (scope, signature) = self.with_key(&time, |key| (key.scope().to_string(), key.sign(&time, &hash)));
        let (id, names) = (&self.credentials.access_key, signed_headers.join(";"));
        let text = format!("{ALGORITHM} Credential={id}/{scope}, SignedHeaders={names}, Signature={signature}");
        headers.insert("authorization", value(&text));
    }

    /// The key of the day that this time lies in.
    fn with_key<T>(&self, time: &str, work: impl FnOnce(&SigningKey) -> T) -> T {
        let date = time.get(..DATE_LENGTH).unwrap_or_default();
        if let Some(key) = self.today.read().as_ref().filter(|key| key.scope().date == date) {
            return work(key);
        }
        let (region, service) = (self.region.clone(), self.service.clone());
        let key = SigningKey::derive(&self.credentials.secret, Scope { date: date.to_owned(), region, service });
        let done = work(&key);
        *self.today.write() = Some(key);
        done
    }
}

/// The same key says the same.
impl PartialEq for Signer {
    fn eq(&self, other: &Signer) -> bool {
        (&self.credentials, &self.region, &self.service) == (&other.credentials, &other.region, &other.service)
    }
}

impl Eq for Signer {}

fn value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).expect("credentials are checked, and the rest is digits and names")
}

const DATE_LENGTH: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::canonical::EMPTY_PAYLOAD;
    use time::macros::datetime;

    fn signer(token: Option<&str>) -> Signer {
        let (access_key, secret) = ("AKIDEXAMPLE".to_owned(), "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".to_owned());
        Signer::new(Credentials { access_key, secret, token: token.map(str::to_owned) }, "us-east-1", "service")
    }

    fn signed(signer: &Signer, now: OffsetDateTime) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert("host", "example.amazonaws.com".parse().unwrap());
        let (method, query) = (&Method::GET, "Param2=value2&Param1=value1");
        signer.sign(&mut headers, ToSign { method, path: "/", query, payload_hash: EMPTY_PAYLOAD }, now);
        headers
    }

    #[test]
    fn awss_own_example_is_signed_as_aws_does() {
        // AWS: "Signature Version 4 signing examples", get-vanilla-query-order-key-case.
        let headers = signed(&signer(None), datetime!(2015-08-30 12:36:00 UTC));
        assert_eq!(
            headers["authorization"],
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, \
             SignedHeaders=host;x-amz-date, \
             Signature=b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"
        );
        assert!(!headers.contains_key("x-amz-security-token"));
    }

    #[test]
    fn a_day_has_one_key_and_the_next_day_another() {
        let signer = signer(None);
        let dates = [
            (datetime!(2026-01-01 23:59:59 UTC), "20260101"),
            (datetime!(2026-01-02 00:00:00 UTC), "20260102"),
            (datetime!(2026-01-02 01:00:00 +2), "20260101"),
        ];
        for (now, date) in dates {
            let fresh = signed(&super::tests::signer(None), now);
            assert_eq!(signed(&signer, now)["authorization"], fresh["authorization"]);
            assert_eq!(signer.today.read().as_ref().unwrap().scope().date, date);
        }
    }

    #[test]
    fn a_session_token_is_sent_and_signed() {
        let headers = signed(&signer(Some("token")), datetime!(2026-01-02 0:00 UTC));
        assert_eq!(headers["x-amz-security-token"], "token");
        let names = "SignedHeaders=host;x-amz-date;x-amz-security-token,";
        assert!(headers["authorization"].to_str().unwrap().contains(names));
    }
}
