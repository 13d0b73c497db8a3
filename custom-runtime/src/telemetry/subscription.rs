//! What an extension asks for when it subscribes (AWS: "Lambda Telemetry API
//! reference", Subscribe; "Using the Lambda Logs API", Subscribe).

use environment::manifest::RUNTIME_API;
use http::{Method, Uri};
use serde_json::Value;
use std::time::Duration;

/// With which of the two it is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Api {
    Telemetry,
    Logs,
}

/// One extension's wishes.
#[derive(Debug, PartialEq)]
pub(crate) struct Subscription {
    pub(super) api: Api,
    pub(super) schema: Schema,
    pub(super) types: Vec<Stream>,
    pub(super) destination: Destination,
    pub(super) buffering: Buffering,
}

/// A kind of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stream {
    Platform,
    Function,
    Extension,
}

/// How events are written, by age.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd)]
pub(super) enum Schema {
    Logs20200815,
    Logs20210318,
    Telemetry20220701,
    Telemetry20221213,
}

/// Where events go: always in the environment itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Destination {
    pub(super) port: u16,
    pub(super) protocol: Protocol,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    Http { method: Method, path: String },
    Tcp,
}

/// How many events are sent together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Buffering {
    pub(super) items_max: usize,
    pub(super) bytes_max: usize,
    pub(super) timeout: Duration,
}

/// Everything that is wrong with a request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Invalid(pub(crate) String);

impl Api {
    /// How its errors are called.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Api::Telemetry => "Telemetry",
            Api::Logs => "Logs",
        }
    }
}

impl Stream {
    /// As in `types`.
    pub(super) fn id(self) -> &'static str {
        match self {
            Stream::Platform => "platform",
            Stream::Function => "function",
            Stream::Extension => "extension",
        }
    }
}

impl Schema {
    pub(super) fn is_of_logs(self) -> bool {
        self <= Schema::Logs20210318
    }
}

impl Subscription {
    /// Reads the body of a request.
    pub(crate) fn read(api: Api, body: &[u8]) -> Result<Subscription, Invalid> {
        let body: Value =
            serde_json::from_slice(body).map_err(|error| Invalid(format!("the body is not JSON: {error}")))?;
        if !body.is_object() {
            return Err(Invalid("the body must be an object".to_owned()));
        }
        let schema = schema(api, &body["schemaVersion"]);
        let (types, destination) = (types(&body["types"]), destination(api, &body["destination"]));
        let buffering = buffering(&body["buffering"]);
        match (schema, types, destination, buffering) {
            (Ok(schema), Ok(types), Ok(destination), Ok(buffering)) => {
                Ok(Subscription { api, schema, types, destination, buffering })
            }
            (schema, types, destination, buffering) => {
                let wrong = [schema.err(), types.err(), destination.err(), buffering.err()];
                Err(Invalid(wrong.into_iter().flatten().collect::<Vec<_>>().join("; ")))
            }
        }
    }
}

fn schema(api: Api, said: &Value) -> Result<Schema, String> {
    match (api, said.as_str()) {
        (Api::Telemetry, Some("2022-07-01")) => Ok(Schema::Telemetry20220701),
        // The last of them is the one before for functions that run one event at a time.
        (Api::Telemetry, Some("2022-12-13" | "2025-01-29")) => Ok(Schema::Telemetry20221213),
        (Api::Logs, Some("2020-08-15")) => Ok(Schema::Logs20200815),
        (Api::Logs, Some("2021-03-18")) => Ok(Schema::Logs20210318),
        (Api::Logs, None) if said.is_null() => Ok(Schema::Logs20200815),
        (Api::Telemetry, _) => Err(format!("schemaVersion is {said}, it must be 2022-07-01, 2022-12-13 or 2025-01-29")),
        (Api::Logs, _) => Err(format!("schemaVersion is {said}, it must be 2020-08-15 or 2021-03-18")),
    }
}

fn types(said: &Value) -> Result<Vec<Stream>, String> {
    let said = said.as_array().ok_or("types must be an array")?;
    if said.is_empty() {
        return Err("types should not be empty".to_owned());
    }
    let mut types = Vec::new();
    for kind in said {
        let known = [Stream::Platform, Stream::Function, Stream::Extension];
        let found = known.into_iter().find(|stream| kind == stream.id());
        let stream = found.ok_or_else(|| format!("types has {kind}, known are platform, function and extension"))?;
        if !types.contains(&stream) {
            types.push(stream);
        }
    }
    Ok(types)
}

fn destination(api: Api, said: &Value) -> Result<Destination, String> {
    match said["protocol"].as_str() {
        Some("HTTP") => http(api, said),
        Some("TCP") => {
            let port = said["port"].as_u64().and_then(|port| u16::try_from(port).ok()).filter(|port| *port > 0);
            let port = port.ok_or_else(|| format!("destination.port is {}, it must be 1 to 65535", said["port"]))?;
            Ok(Destination { port: free(port)?, protocol: Protocol::Tcp })
        }
        _ => Err(format!("destination.protocol is {}, it must be HTTP or TCP", said["protocol"])),
    }
}

fn http(api: Api, said: &Value) -> Result<Destination, String> {
    let text = said["URI"].as_str().ok_or("destination.URI is not provided")?;
    let uri: Uri = text.parse().map_err(|_| format!("destination.URI {text:?} is no URI"))?;
    if uri.scheme_str() != Some("http") {
        return Err(format!("destination.URI {text:?} must begin with http://"));
    }
    if !uri.host().is_some_and(|host| HOSTS.contains(&host)) {
        return Err(format!("destination.URI {text:?} must have the host sandbox.localdomain"));
    }
    let port = uri.port_u16().ok_or("URI port is not provided")?;
    let method = match (api, said["method"].as_str()) {
        (Api::Logs, Some("PUT")) => Method::PUT,
        (Api::Logs, Some("POST")) | (_, None) => Method::POST,
        (Api::Logs, Some(other)) => return Err(format!("destination.method is {other:?}, it must be POST or PUT")),
        (Api::Telemetry, Some(_)) => Method::POST,
    };
    let path = uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
    Ok(Destination { port: free(port)?, protocol: Protocol::Http { method, path } })
}

fn free(port: u16) -> Result<u16, String> {
    if port == RUNTIME_API.port() { Err(format!("port {port} is the Runtime API's")) } else { Ok(port) }
}

fn buffering(said: &Value) -> Result<Buffering, String> {
    let number = |name: &str, usual: u64, (least, most): (u64, u64)| match &said[name] {
        Value::Null => Ok(usual),
        value => {
            let number = value.as_u64().filter(|number| (least..=most).contains(number));
            number.ok_or_else(|| format!("buffering.{name} is {value}, it must be {least} to {most}"))
        }
    };
    if !said.is_null() && !said.is_object() {
        return Err("buffering must be an object".to_owned());
    }
    let items = number("maxItems", 10_000, (1_000, 10_000));
    let bytes = number("maxBytes", 262_144, (262_144, 1_048_576));
    let timeout = number("timeoutMs", 1_000, (25, 30_000));
    match (items, bytes, timeout) {
        (Ok(items), Ok(bytes), Ok(timeout)) => Ok(Buffering {
            items_max: usize::try_from(items).unwrap_or(usize::MAX),
            bytes_max: usize::try_from(bytes).unwrap_or(usize::MAX),
            timeout: Duration::from_millis(timeout),
        }),
        (items, bytes, timeout) => {
            Err([items.err(), bytes.err(), timeout.err()].into_iter().flatten().collect::<Vec<_>>().join("; "))
        }
    }
}

const HOSTS: [&str; 2] = ["sandbox.localdomain", "sandbox"];
