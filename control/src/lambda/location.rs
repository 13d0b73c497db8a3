//! Links to packages, as GetFunction gives them: whoever has one may download the package
//! for ten minutes, without an access key.

use crate::answer::Answer;
use crate::error::{ApiError, Code};
use crate::packages::{Packages, hex};
use crate::request::Request;
use bytes::Bytes;
use http::{Method, StatusCode};
use ring::hmac;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Makes links and recognises them.
#[derive(Debug)]
pub(crate) struct Links {
    key: hmac::Key,
}

impl Links {
    pub(crate) fn new(key: hmac::Key) -> Links {
        Links { key }
    }

    /// To the package with this digest, on the host that the client spoke to.
    pub(crate) fn of(&self, host: &str, digest: &str) -> String {
        let expires = now() + LIFETIME.as_secs();
        let signature = hex(hmac::sign(&self.key, signed(digest, expires).as_bytes()).as_ref());
        format!("http://{host}/{PREFIX}/{digest}?expires={expires}&signature={signature}")
    }

    /// The digest that a request's link is for; `None` when the request is no link.
    fn digest(&self, request: &Request, now: u64) -> Option<Result<String, ApiError>> {
        let [prefix, digest] = &request.segments[..] else { return None };
        if request.method != Method::GET || prefix != PREFIX {
            return None;
        }
        let expires = request.query("expires").and_then(|text| text.parse().ok()).unwrap_or(0);
        let signature = request.query("signature").unwrap_or_default();
        let bytes: Vec<u8> = (0..signature.len() / 2)
            .filter_map(|at| signature.get(2 * at..2 * at + 2))
            .filter_map(|pair| u8::from_str_radix(pair, 16).ok())
            .collect();
        let valid = hmac::verify(&self.key, signed(digest, expires).as_bytes(), &bytes).is_ok() && now <= expires;
        let refused = || ApiError::new(Code::SIGNATURE, "the link is not valid, or not any more");
        Some(valid.then(|| digest.clone()).ok_or_else(refused))
    }
}

/// The package, when the request is a link to one.
pub(crate) fn download(links: &Links, packages: &Packages, request: &Request) -> Option<Result<Answer, ApiError>> {
    let digest = links.digest(request, now())?;
    let content = digest.and_then(|digest| packages.content(&digest));
    Some(content.map(|content| Answer::raw(StatusCode::OK, "application/zip", Bytes::from(content))))
}

fn signed(digest: &str, expires: u64) -> String {
    format!("{digest} until {expires}")
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

const PREFIX: &str = "packages";
/// AWS: "GetFunction".
const LIFETIME: Duration = Duration::from_secs(600);

#[cfg(test)]
mod tests {
    use super::*;

    fn request(target: &str) -> Request {
        let request = http::Request::get(target).body(()).unwrap();
        Request::new(request.into_parts().0, Bytes::new())
    }

    #[test]
    fn a_link_is_for_one_package_and_ten_minutes() {
        let links = Links::new(hmac::Key::new(hmac::HMAC_SHA256, b"key"));
        let link = links.of("host", "abc");
        let target = link.strip_prefix("http://host").unwrap();
        assert_eq!(links.digest(&request(target), now()).unwrap().unwrap(), "abc");
        assert!(links.digest(&request(target), now() + 700).unwrap().is_err());
        assert!(links.digest(&request(&target.replace("abc", "abd")), now()).unwrap().is_err());
        assert!(links.digest(&request("/packages/abc"), now()).unwrap().is_err());
        assert!(links.digest(&request("/2015-03-31/functions"), now()).is_none());
    }
}
