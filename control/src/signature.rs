//! AWS Signature Version 4 of a received request (AWS: "Create a signed AWS API request"), and 4a,
//! which names no region and is made with a key pair (`asymmetric`): it is made again from what
//! arrived and compared, or verified. How it is made is `sigv4`'s; who has which secret is `access`'s.

mod asymmetric;

use crate::error::{ApiError, Code};
use http::HeaderMap;
use http::request::Parts;
use sigv4::{ALGORITHM, Canonical, Credentials, Scope, Signer, SigningKey, TERMINATOR, ToSign, payload_hash};
use subtle::ConstantTimeEq as _;
use time::macros::format_description;
use time::{Duration, OffsetDateTime, PrimitiveDateTime};

/// What an `Authorization` header says, checked as far as it can be without a secret.
#[derive(Debug)]
pub(crate) struct Claim {
    algorithm: Algorithm,
    pub(crate) access_key: String,
    date: String,
    /// Empty where the signature is for a set of regions.
    region: String,
    pub(crate) service: String,
    signed_headers: Vec<String>,
    signature: String,
    time: String,
}

/// How a request is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Algorithm {
    /// Version 4: with the secret itself.
    Hmac,
    /// Version 4a: with a key pair that follows from the secret.
    Ecdsa,
}

impl Algorithm {
    const ALL: [Algorithm; 2] = [Algorithm::Hmac, Algorithm::Ecdsa];

    fn name(self) -> &'static str {
        match self {
            Algorithm::Hmac => ALGORITHM,
            Algorithm::Ecdsa => asymmetric::ALGORITHM,
        }
    }
}

impl Claim {
    /// Reads the claim of a request. Its time must be within [`SKEW_MAX`] of `now`: that is
    /// also for how long a request that somebody recorded can be sent again.
    pub(crate) fn of(parts: &Parts, now: OffsetDateTime) -> Result<Claim, ApiError> {
        let incomplete = |what: &str| ApiError::new(Code::INCOMPLETE_SIGNATURE, what);
        let Some(header) = text(&parts.headers, "authorization") else {
            return Err(ApiError::new(Code::MISSING_TOKEN, "Missing Authentication Token"));
        };
        let named = Algorithm::ALL.into_iter().find_map(|one| Some((one, header.strip_prefix(one.name())?)));
        let known = Algorithm::ALL.map(Algorithm::name).join(" and ");
        let (algorithm, fields) = named.ok_or_else(|| incomplete(&format!("only {known} are known here")))?;
        let field = |name: &str| {
            let mut all = fields.split(',').map(str::trim).filter_map(|field| field.split_once('='));
            all.find(|(key, _)| *key == name).map(|(_, value)| value.to_owned())
        };
        let (Some(credential), Some(signed), Some(signature)) =
            (field("Credential"), field("SignedHeaders"), field("Signature"))
        else {
            return Err(incomplete("Authorization header requires Credential, SignedHeaders and Signature"));
        };
        let scope: Vec<&str> = credential.split('/').collect();
        let (access_key, date, region, service) = match (algorithm, &scope[..]) {
            (Algorithm::Hmac, [key, date, region, service, TERMINATOR]) => (*key, *date, *region, *service),
            (Algorithm::Ecdsa, [key, date, service, TERMINATOR]) => (*key, *date, "", *service),
            (Algorithm::Hmac, _) => return Err(incomplete("Credential must be KEY/DATE/REGION/SERVICE/aws4_request")),
            (Algorithm::Ecdsa, _) => return Err(incomplete("Credential must be KEY/DATE/SERVICE/aws4_request")),
        };
        if algorithm == Algorithm::Ecdsa && text(&parts.headers, REGION_SET).is_none_or(str::is_empty) {
            return Err(incomplete("there is no X-Amz-Region-Set"));
        }
        let time = text(&parts.headers, "x-amz-date").ok_or_else(|| incomplete("there is no X-Amz-Date"))?.to_owned();
        let signed_headers: Vec<String> = signed.split(';').map(str::to_owned).collect();
        let claim = Claim {
            algorithm,
            access_key: access_key.to_owned(),
            date: date.to_owned(),
            region: region.to_owned(),
            service: service.to_owned(),
            signed_headers,
            signature,
            time,
        };
        claim.check_headers(&parts.headers)?;
        claim.check_time(now)?;
        Ok(claim)
    }

    /// Whether whoever knows `secret` signed exactly this request.
    pub(crate) fn verify(&self, parts: &Parts, body: &[u8], secret: &str) -> Result<(), ApiError> {
        let hash = payload_hash(body);
        if text(&parts.headers, "x-amz-content-sha256").is_some_and(|stated| stated != hash) {
            return Err(mismatch("x-amz-content-sha256 is not the hash of the body"));
        }
        let is_right = match self.algorithm {
            Algorithm::Hmac => {
                let expected = self.sign(parts, &hash, secret);
                bool::from(expected.as_bytes().ct_eq(self.signature.as_bytes()))
            }
            Algorithm::Ecdsa => {
                asymmetric::verifies((&self.access_key, secret), &self.to_sign(parts, &hash), &self.signature)
            }
        };
        if is_right {
            return Ok(());
        }
        Err(mismatch("check the secret access key and how the request is signed"))
    }

    /// What whoever knows `secret` signs the request with.
    fn sign(&self, parts: &Parts, payload_hash: &str, secret: &str) -> String {
        let (date, region, service) = (self.date.clone(), self.region.clone(), self.service.clone());
        let key = SigningKey::derive(secret, Scope { date, region, service });
        key.sign(&self.time, &self.canonical(parts, payload_hash))
    }

    /// AWS: "Create a string to sign", where there is no region.
    fn to_sign(&self, parts: &Parts, payload_hash: &str) -> String {
        let (name, canonical) = (self.algorithm.name(), self.canonical(parts, payload_hash));
        format!("{name}\n{}\n{}/{}/{TERMINATOR}\n{canonical}", self.time, self.date, self.service)
    }

    /// The hash of the request's canonical form.
    fn canonical(&self, parts: &Parts, payload_hash: &str) -> String {
        let (path, query) = (parts.uri.path(), parts.uri.query().unwrap_or_default());
        let signed_headers: Vec<&str> = self.signed_headers.iter().map(String::as_str).collect();
        let (method, headers, signed_headers) = (&parts.method, &parts.headers, &signed_headers[..]);
        let canonical = Canonical { method, path, query, headers, signed_headers, payload_hash };
        canonical.hash(&self.service)
    }

    /// What decides over a request must be signed with it.
    fn check_headers(&self, headers: &HeaderMap) -> Result<(), ApiError> {
        let must = |name: &str| name == "host" || name == "if-match" || name.starts_with("x-amz-");
        for name in headers.keys().map(http::HeaderName::as_str).filter(|name| must(name)) {
            if !self.signed_headers.iter().any(|signed| signed == name) {
                return Err(mismatch(&format!("header {name} is not among SignedHeaders")));
            }
        }
        if headers.contains_key("host") { Ok(()) } else { Err(mismatch("there is no host")) }
    }

    fn check_time(&self, now: OffsetDateTime) -> Result<(), ApiError> {
        let form = format_description!("[year][month][day]T[hour][minute][second]Z");
        let time = PrimitiveDateTime::parse(&self.time, form)
            .map_err(|_| ApiError::new(Code::INCOMPLETE_SIGNATURE, "X-Amz-Date must be as in 20260102T030405Z"))?;
        if !self.time.starts_with(&self.date) {
            return Err(mismatch("the date in Credential is not that of X-Amz-Date"));
        }
        let away = now - time.assume_utc();
        if away.abs() > SKEW_MAX {
            let which = if away.is_positive() { "Signature expired" } else { "Signature not yet current" };
            let minutes = SKEW_MAX.whole_minutes();
            let message = format!("{which}: {} is more than {minutes} min. away from this machine's time", self.time);
            return Err(ApiError::new(Code::SIGNATURE, message));
        }
        Ok(())
    }
}

/// Signs a request that this program makes, all of its headers with it. It must have a host.
pub(crate) fn sign(parts: &mut Parts, body: &[u8], (service, region): (&str, &str), credentials: &Credentials) {
    let payload_hash = payload_hash(body);
    let (path, query) = (parts.uri.path(), parts.uri.query().unwrap_or_default());
    let request = ToSign { method: &parts.method, path, query, payload_hash: &payload_hash };
    Signer::new(credentials.clone(), region, service).sign(&mut parts.headers, request, OffsetDateTime::now_utc());
}

fn mismatch(why: &str) -> ApiError {
    let message = "The request signature we calculated does not match the signature you provided";
    ApiError::new(Code::SIGNATURE, format!("{message}: {why}"))
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

const REGION_SET: &str = "x-amz-region-set";
/// AWS: "Troubleshoot Signature Version 4", how far clocks may be apart.
const SKEW_MAX: Duration = Duration::minutes(15);

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    // AWS: "Signature Version 4 signing examples", get-vanilla-query-order-key-case.
    const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
    const SIGNATURE: &str = "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500";
    const NOW: OffsetDateTime = datetime!(2015-08-30 12:36:00 UTC);

    fn parts(target: &str, signature: &str) -> Parts {
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, \
             SignedHeaders=host;x-amz-date, Signature={signature}"
        );
        let request = http::Request::get(target)
            .header("host", "example.amazonaws.com")
            .header("x-amz-date", "20150830T123600Z")
            .header("authorization", authorization);
        request.body(()).unwrap().into_parts().0
    }

    fn verify(parts: &Parts, body: &[u8], secret: &str) -> Result<(), ApiError> {
        Claim::of(parts, NOW)?.verify(parts, body, secret)
    }

    #[test]
    fn awss_own_example_is_accepted_and_nothing_else() {
        let good = parts("/?Param2=value2&Param1=value1", SIGNATURE);
        verify(&good, b"", SECRET).unwrap();
        assert_eq!(Claim::of(&good, NOW).unwrap().access_key, "AKIDEXAMPLE");
        for (parts, body, secret) in [
            (parts("/?Param2=value2&Param1=value3", SIGNATURE), &b""[..], SECRET),
            (parts("/a?Param2=value2&Param1=value1", SIGNATURE), b"", SECRET),
            (parts("/?Param2=value2&Param1=value1", SIGNATURE), b"x", SECRET),
            (parts("/?Param2=value2&Param1=value1", SIGNATURE), b"", "other"),
            (parts("/?Param2=value2&Param1=value1", &SIGNATURE.replace('b', "c")), b"", SECRET),
        ] {
            assert_eq!(verify(&parts, body, secret).unwrap_err().code, Code::SIGNATURE);
        }
    }

    #[test]
    fn what_is_signed_here_is_accepted_here() {
        let request = http::Request::put("/a%3Ab?z=1&a=%20").header("host", "h").header("if-match", "E1");
        let mut parts = request.body(()).unwrap().into_parts().0;
        let credentials = Credentials { access_key: "AKID".into(), secret: "secret".into(), token: None };
        super::sign(&mut parts, b"body", ("lambda", "us-east-1"), &credentials);
        let claim = Claim::of(&parts, OffsetDateTime::now_utc()).unwrap();
        claim.verify(&parts, b"body", "secret").unwrap();
        assert!(claim.verify(&parts, b"other", "secret").is_err());
    }

    #[test]
    fn a_request_can_be_sent_again_for_a_quarter_of_an_hour_at_most() {
        let good = parts("/", SIGNATURE);
        for (minutes, accepted) in [(0, true), (15, true), (-15, true), (16, false), (-16, false)] {
            let claim = Claim::of(&good, NOW + Duration::minutes(minutes));
            assert_eq!(claim.is_ok(), accepted, "{minutes}");
        }
    }

    #[test]
    fn what_decides_over_a_request_must_be_signed() {
        let mut unsigned = parts("/", SIGNATURE);
        unsigned.headers.insert("x-amz-invocation-type", "Event".parse().unwrap());
        assert_eq!(Claim::of(&unsigned, NOW).unwrap_err().code, Code::SIGNATURE);
        let mut stated = parts("/?Param2=value2&Param1=value1", SIGNATURE);
        stated.headers.remove("authorization");
        assert_eq!(Claim::of(&stated, NOW).unwrap_err().code, Code::MISSING_TOKEN);
        stated.headers.insert("authorization", "Basic eDp5".parse().unwrap());
        assert_eq!(Claim::of(&stated, NOW).unwrap_err().code, Code::INCOMPLETE_SIGNATURE);
    }
}
