//! The origin in origin events, and the rules for one that a function sets.
//! A field left as it was is not judged: the configuration may say what a
//! function may not.

use super::headers::{Headers, read_only};
use super::{EventType, InvalidResult, Rule, header_map, json};
use serde_json::value::RawValue;
use std::net::Ipv4Addr;
use std::time::Duration;

/// `request.origin` (AWS: "Lambda@Edge event structure", origin).
#[derive(Clone, Debug, PartialEq)]
pub enum EventOrigin {
    Custom {
        domain_name: String,
        /// Empty, or starts with `/` and does not end with one.
        path: String,
        port: u16,
        protocol: OriginProtocol,
        read_timeout: Duration,
        keepalive_timeout: Duration,
        /// `None` is no limit.
        response_completion_timeout: Option<Duration>,
        /// Of [`SSL_PROTOCOLS`].
        ssl_protocols: Vec<String>,
        custom_headers: Headers,
    },
    S3 {
        domain_name: String,
        path: String,
        region: String,
        auth_method: AuthMethod,
        read_timeout: Option<Duration>,
        response_completion_timeout: Option<Duration>,
        custom_headers: Headers,
    },
}

impl EventOrigin {
    /// The host.
    #[must_use]
    pub fn domain_name(&self) -> &str {
        let (EventOrigin::Custom { domain_name, .. } | EventOrigin::S3 { domain_name, .. }) = self;
        domain_name
    }
}

/// How an origin is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OriginProtocol {
    Http,
    Https,
}

impl OriginProtocol {
    /// `http` or `https`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            OriginProtocol::Http => "http",
            OriginProtocol::Https => "https",
        }
    }
}

/// How requests to an S3 origin are signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthMethod {
    None,
    OriginAccessIdentity,
}

impl AuthMethod {
    /// `none` or `origin-access-identity`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            AuthMethod::None => "none",
            AuthMethod::OriginAccessIdentity => "origin-access-identity",
        }
    }
}

/// The origin a function returned, or `None` when it is the one sent.
/// `headers` are the request headers the function returned.
pub(super) fn parse(
    raw: &RawValue,
    sent: Option<&EventOrigin>,
    headers: &Headers,
) -> Result<Option<EventOrigin>, InvalidResult> {
    let kinds = Fields::of(raw, "origin")?;
    let present = |name: &str| kinds.field(name).filter(|raw| raw.get() != "null");
    let origin = match (present("custom"), present("s3")) {
        (Some(raw), None) => custom(&Fields::of(raw, "origin.custom")?, sent, headers)?,
        (None, Some(raw)) => s3(&Fields::of(raw, "origin.s3")?, sent, headers)?,
        (Some(_), Some(_)) => return Err(invalid("origin must have custom or s3, it has both")),
        (None, None) => return Err(invalid("origin must have custom or s3, it has neither")),
    };
    Ok(Some(keeping_secrets(origin, sent)).filter(|origin| Some(origin) != sent))
}

fn custom(fields: &Fields<'_>, sent: Option<&EventOrigin>, headers: &Headers) -> Result<EventOrigin, InvalidResult> {
    let sent = match sent {
        Some(EventOrigin::Custom {
            domain_name,
            path,
            port,
            read_timeout,
            keepalive_timeout,
            response_completion_timeout,
            ssl_protocols,
            custom_headers,
            ..
        }) => Some((
            (domain_name, path, *port, ssl_protocols, custom_headers),
            (*read_timeout, *keepalive_timeout, *response_completion_timeout),
        )),
        _ => None,
    };
    let (sent, sent_timeouts) = (sent.map(|(fields, _)| fields), sent.map(|(_, timeouts)| timeouts));
    let domain_name = fields.string("domainName")?;
    if sent.is_none_or(|sent| *sent.0 != domain_name) {
        check_domain(&domain_name)?;
    }
    let path = fields.string("path")?;
    if sent.is_none_or(|sent| *sent.1 != path) {
        check_path(&path)?;
    }
    let read_timeout = fields.timeout("readTimeout", sent_timeouts.map(|sent| sent.0))?;
    Ok(EventOrigin::Custom {
        domain_name,
        path,
        port: port(fields, sent.map(|sent| sent.2))?,
        protocol: protocol(fields)?,
        keepalive_timeout: fields.timeout("keepaliveTimeout", sent_timeouts.map(|sent| sent.1))?,
        response_completion_timeout: completion(fields, sent_timeouts.and_then(|sent| sent.2), Some(read_timeout))?,
        read_timeout,
        ssl_protocols: ssl_protocols(fields, sent.map(|sent| sent.3.as_slice()))?,
        custom_headers: custom_headers(fields, sent.map(|sent| sent.4), headers)?,
    })
}

fn s3(fields: &Fields<'_>, sent: Option<&EventOrigin>, headers: &Headers) -> Result<EventOrigin, InvalidResult> {
    let none = Headers::new();
    let (sent_domain, sent_path, sent_read, sent_completion, sent_headers) = match sent {
        Some(EventOrigin::S3 {
            domain_name, path, read_timeout, response_completion_timeout, custom_headers, ..
        }) => (Some(domain_name), Some(path), *read_timeout, *response_completion_timeout, custom_headers),
        _ => (None, None, None, None, &none),
    };
    let domain_name = fields.string("domainName")?;
    if sent_domain.is_none_or(|sent| *sent != domain_name) {
        check_s3_domain(&domain_name)?;
    }
    let path = fields.string("path")?;
    if sent_path.is_none_or(|sent| *sent != path) {
        check_path(&path)?;
    }
    let auth_method = match fields.string("authMethod")?.as_str() {
        "none" => AuthMethod::None,
        "origin-access-identity" => AuthMethod::OriginAccessIdentity,
        other => {
            return Err(invalid("origin.s3.authMethod must be \"none\" or \"origin-access-identity\"").value(other));
        }
    };
    let region = fields.field("region").map(|_| fields.string("region")).transpose()?.unwrap_or_default();
    if auth_method == AuthMethod::OriginAccessIdentity && region.is_empty() {
        return Err(invalid("origin.s3.region is required when authMethod is \"origin-access-identity\""));
    }
    let read_timeout = fields.field("readTimeout").map(|_| fields.timeout("readTimeout", sent_read)).transpose()?;
    Ok(EventOrigin::S3 {
        domain_name,
        path,
        region,
        auth_method,
        read_timeout,
        response_completion_timeout: completion(fields, sent_completion, read_timeout)?,
        custom_headers: custom_headers(fields, Some(sent_headers), headers)?,
    })
}

/// Hidden custom headers, which the function never saw, go to the host they were configured for only.
fn keeping_secrets(mut origin: EventOrigin, sent: Option<&EventOrigin>) -> EventOrigin {
    if sent.is_none_or(|sent| sent.domain_name() != origin.domain_name()) {
        let (EventOrigin::Custom { custom_headers, .. } | EventOrigin::S3 { custom_headers, .. }) = &mut origin;
        *custom_headers = std::mem::take(custom_headers).without_hidden();
    }
    origin
}

fn port(fields: &Fields<'_>, sent: Option<u16>) -> Result<u16, InvalidResult> {
    let given = fields.number("port")?;
    match u16::try_from(given) {
        Ok(port) if sent == Some(port) || matches!(port, 80 | 443 | 1024..) => Ok(port),
        _ => Err(invalid("origin.custom.port must be 80, 443, or 1024 to 65535").value(&given.to_string())),
    }
}

fn protocol(fields: &Fields<'_>) -> Result<OriginProtocol, InvalidResult> {
    match fields.string("protocol")?.as_str() {
        "http" => Ok(OriginProtocol::Http),
        "https" => Ok(OriginProtocol::Https),
        other => Err(invalid("origin.custom.protocol must be \"http\" or \"https\"").value(other)),
    }
}

fn completion(
    fields: &Fields<'_>,
    sent: Option<Duration>,
    read_timeout: Option<Duration>,
) -> Result<Option<Duration>, InvalidResult> {
    let name = "responseCompletionTimeout";
    let seconds = match fields.field(name) {
        None => return Ok(None),
        Some(_) => fields.number(name)?,
    };
    if sent.is_some_and(|sent| sent.as_secs() == seconds) {
        return Ok(sent);
    }
    let least = read_timeout.map_or(0, |timeout| timeout.as_secs());
    match seconds {
        0 => Ok(None),
        seconds if seconds >= least => Ok(Some(Duration::from_secs(seconds))),
        seconds => Err(invalid(&format!("{}.{name} must be at least readTimeout, {least}", fields.path))
            .value(&seconds.to_string())),
    }
}

fn ssl_protocols(fields: &Fields<'_>, sent: Option<&[String]>) -> Result<Vec<String>, InvalidResult> {
    let raw = fields.required("sslProtocols")?;
    let reason = format!("origin.custom.sslProtocols must be an array of {}", SSL_PROTOCOLS.join(", "));
    let wrong = || invalid(&reason).value(raw.get());
    let listed: Vec<String> = serde_json::from_str(raw.get()).map_err(|_| wrong())?;
    let lawful = sent == Some(&listed) || listed.iter().all(|protocol| SSL_PROTOCOLS.contains(&protocol.as_str()));
    if lawful { Ok(listed) } else { Err(wrong()) }
}

/// The custom headers, of which those that are new must not be disallowed,
/// read-only, or request headers already.
fn custom_headers(fields: &Fields<'_>, sent: Option<&Headers>, request: &Headers) -> Result<Headers, InvalidResult> {
    let none = Headers::new();
    let sent = sent.unwrap_or(&none);
    let map = serde_json::from_str(fields.required("customHeaders")?.get());
    let lines = header_map::lines(Some(map.map_err(|error| invalid(&format!("customHeaders: {error}")))?))?;
    let Some(returned) = header_map::changed(lines, sent) else { return Ok(sent.clone()) };
    for (name, _) in returned.iter().filter(|(name, _)| !sent.contains(name)) {
        let refused = |reason| Err(InvalidResult::new(Rule::HeaderDisallowed, reason).header(name));
        if request.contains(name) {
            return refused("customHeaders must not have a name that request.headers has");
        }
        if read_only(EventType::OriginRequest).contains(&name.to_ascii_lowercase().as_str()) {
            return refused("customHeaders must not have a read-only header");
        }
    }
    Ok(returned.merge_hidden(sent))
}

fn check_domain(domain: &str) -> Result<(), InvalidResult> {
    let wrong = |reason: &str| Err(invalid(&format!("origin.custom.domainName {reason}")).value(domain));
    if domain.is_empty() || domain.len() > DOMAIN_CHARS_MAX {
        return wrong(&format!("must have 1 to {DOMAIN_CHARS_MAX} characters"));
    }
    if domain.contains(':') || domain.starts_with('[') || domain.parse::<Ipv4Addr>().is_ok() {
        return wrong("must be a name, without an address or a port");
    }
    if !is_host(domain) {
        return wrong("must be a host name");
    }
    Ok(())
}

fn check_s3_domain(domain: &str) -> Result<(), InvalidResult> {
    let regional = domain.contains(".s3.") || domain.contains(".s3-");
    let lawful = domain.len() <= S3_DOMAIN_CHARS_MAX
        && is_host(domain)
        && !domain.bytes().any(|byte| byte.is_ascii_uppercase())
        && regional
        && domain.ends_with(".amazonaws.com");
    if lawful {
        return Ok(());
    }
    let reason = format!(
        "origin.s3.domainName must be bucket.s3.region.amazonaws.com in lower case, at most {S3_DOMAIN_CHARS_MAX} characters"
    );
    Err(invalid(&reason).value(domain))
}

fn is_host(domain: &str) -> bool {
    domain.split('.').all(|label| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    })
}

fn check_path(path: &str) -> Result<(), InvalidResult> {
    let lawful = path.is_empty()
        || (path.starts_with('/')
            && !path.ends_with('/')
            && path.len() <= PATH_CHARS_MAX
            && path.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"#<>?\\^`{|}".contains(&byte)));
    if lawful {
        return Ok(());
    }
    let reason = format!(
        "origin path must be empty, or start with \"/\", not end with one, be URL-encoded and have at most {PATH_CHARS_MAX} characters"
    );
    Err(invalid(&reason).value(path))
}

fn invalid(reason: &str) -> InvalidResult {
    InvalidResult::new(Rule::OriginInvalid, reason)
}

/// The fields of one object, which must all be there.
struct Fields<'a> {
    path: &'static str,
    entries: Vec<(String, &'a RawValue)>,
}

impl<'a> Fields<'a> {
    fn of(raw: &'a RawValue, path: &'static str) -> Result<Fields<'a>, InvalidResult> {
        match json::entries(raw) {
            Some(entries) => Ok(Fields { path, entries }),
            None => Err(invalid(&format!("{path} is {}, it must be an object", json::kind(raw.get())))),
        }
    }

    fn field(&self, name: &str) -> Option<&'a RawValue> {
        self.entries.iter().rev().find(|(field, _)| field == name).map(|(_, raw)| *raw)
    }

    fn required(&self, name: &str) -> Result<&'a RawValue, InvalidResult> {
        self.field(name).ok_or_else(|| invalid(&format!("{}.{name} is missing", self.path)))
    }

    fn string(&self, name: &str) -> Result<String, InvalidResult> {
        let raw = self.required(name)?;
        match json::string(raw) {
            Some(text) => Ok(text.into_owned()),
            None => Err(invalid(&format!("{}.{name} must be a string", self.path)).value(raw.get())),
        }
    }

    fn number(&self, name: &str) -> Result<u64, InvalidResult> {
        let raw = self.required(name)?;
        json::number(raw)
            .ok_or_else(|| invalid(&format!("{}.{name} must be a whole number", self.path)).value(raw.get()))
    }

    fn timeout(&self, name: &str, sent: Option<Duration>) -> Result<Duration, InvalidResult> {
        let seconds = self.number(name)?;
        match sent {
            Some(sent) if sent.as_secs() == seconds => Ok(sent),
            _ if (1..=TIMEOUT_SECONDS_MAX).contains(&seconds) => Ok(Duration::from_secs(seconds)),
            _ => Err(invalid(&format!("{}.{name} must be 1 to {TIMEOUT_SECONDS_MAX} seconds", self.path))
                .value(&seconds.to_string())),
        }
    }
}

/// What `sslProtocols` may list.
pub const SSL_PROTOCOLS: [&str; 4] = ["TLSv1.2", "TLSv1.1", "TLSv1", "SSLv3"];

const DOMAIN_CHARS_MAX: usize = 253;
const S3_DOMAIN_CHARS_MAX: usize = 128;
const PATH_CHARS_MAX: usize = 255;
const TIMEOUT_SECONDS_MAX: u64 = 120;
