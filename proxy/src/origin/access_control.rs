//! Requests to origins that only answer signed ones (AWS: "Restrict access to an Amazon S3
//! origin", "Restrict access to an AWS Lambda function URL origin"): which are signed, how
//! their bodies count, and the signature of one attempt. How signatures are made is `sigv4`'s.

use super::{OriginRequest, Place};
use deployment::{AccessControl, SignedService, Signing};
use http::HeaderMap;
use pingora::Result;
use pingora::http::RequestHeader;
use sigv4::{EMPTY_PAYLOAD, ToSign, UNSIGNED_PAYLOAD, payload_hash, spelled_path, spelled_query};
use std::borrow::Cow;
use time::OffsetDateTime;

/// How this request is signed, if it is.
pub(crate) fn signs(request: &OriginRequest) -> Option<&AccessControl> {
    let control = request.target.access_control.as_ref()?;
    let is_signed = [&request.headers, &request.target.custom_headers].iter().any(|all| all.contains("authorization"));
    (control.signing == Signing::Always || !is_signed).then_some(control)
}

/// Whether every store of objects takes the request's path for the same name.
pub(crate) fn is_signable(request: &OriginRequest, control: &AccessControl) -> bool {
    control.service != SignedService::S3 || spelled_path(&path(request)).is_some()
}

/// Whether a body is read whole and hashed before it is sent. S3 takes it unread where nobody on the way
/// can change it; Lambda never does.
pub(crate) fn hashes_body(request: &OriginRequest, control: &AccessControl) -> bool {
    let is_private = matches!(request.target.place, Place::Http { tls: true, .. });
    control.service != SignedService::S3 || !is_private
}

/// Signs what is about to be sent, in the spelling of its target that is signed. `body` is what follows;
/// `None` when that was not read.
pub(crate) fn sign(
    up: &mut RequestHeader,
    request: &OriginRequest,
    control: &AccessControl,
    body: Option<&[u8]>,
) -> Result<()> {
    let (path, query) = (path(request), spelled_query(&request.query));
    let path = match control.service {
        SignedService::S3 => spelled_path(&path).unwrap_or(path),
        SignedService::Lambda => path,
    };
    up.set_raw_path(crate::wire::target(&path, &query).as_bytes())?;
    let hash = match body {
        Some([]) => Cow::Borrowed(EMPTY_PAYLOAD),
        Some(body) if hashes_body(request, control) => Cow::Owned(payload_hash(body)),
        _ => Cow::Borrowed(UNSIGNED_PAYLOAD),
    };
    // Which bucket a signature opens is not for a viewer's Host to say.
    up.insert_header("Host", request.target.host())?;
    up.insert_header("x-amz-content-sha256", &*hash)?;
    MADE.iter().for_each(|name| drop(up.remove_header(*name)));
    let mut signed = HeaderMap::new();
    for (name, value) in up.headers.iter().filter(|(name, _)| is_signed(name.as_str())) {
        signed.append(name, value.clone());
    }
    let to_sign = ToSign { method: &up.method, path: &path, query: &query, payload_hash: &hash };
    control.signer.sign(&mut signed, to_sign, OffsetDateTime::now_utc());
    for name in MADE {
        if let Some(value) = signed.remove(name) {
            up.insert_header(name, value)?;
        }
    }
    Ok(())
}

/// The header lines that a service wants signed.
fn is_signed(name: &str) -> bool {
    name == "host" || name.starts_with("x-amz-")
}

fn path(request: &OriginRequest) -> String {
    format!("{}{}", request.target.prefix, request.path)
}

/// What a signer adds.
const MADE: [&str; 3] = ["x-amz-date", "x-amz-security-token", "authorization"];
/// Of a body that is read before it is sent (AWS: "Lambda quotas", invocation payload).
pub(crate) const BODY_BYTES_MAX: usize = 6 * 1024 * 1024;
