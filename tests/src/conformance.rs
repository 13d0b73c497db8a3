//! The conformance cases as values (`tests/conformance/README.md`), and the
//! verdict of the edge on a result. Running handlers is left to the tests.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use event::{
    EventBody, EventConfig, EventOrigin, EventRequest, EventResponse, EventType, Headers, OriginProtocol, RequestResult,
};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// One folder of `tests/conformance`.
#[derive(Clone, Debug)]
pub struct Case {
    pub name: String,
    /// The function's package.
    pub dir: PathBuf,
    pub about: About,
    pub event: Value,
    pub result: Option<Value>,
    pub error: Option<Value>,
    pub verdict: Option<Value>,
}

/// `case.toml`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct About {
    pub spec: String,
    pub runtimes: Vec<String>,
    #[serde(default = "default_handler")]
    pub handler: String,
    pub elapsed_ms_min: Option<u64>,
    pub elapsed_ms_max: Option<u64>,
    /// Why AWS's own client gives something else in a custom runtime.
    pub not_by_client: Option<String>,
}

/// Every case, by name.
#[must_use]
pub fn cases() -> Vec<Case> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("conformance");
    let entries = std::fs::read_dir(&root).expect("tests/conformance is there");
    let mut dirs: Vec<PathBuf> = entries.map(|entry| entry.expect("a folder can be listed").path()).collect();
    dirs.retain(|path| path.is_dir());
    dirs.sort();
    dirs.into_iter().map(case).collect()
}

fn case(dir: PathBuf) -> Case {
    let name = dir.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let about = std::fs::read_to_string(dir.join("case.toml")).unwrap_or_else(|error| panic!("{name}: {error}"));
    let about = toml::from_str(&about).unwrap_or_else(|error| panic!("{name}/case.toml: {error}"));
    let read = |file: &str| {
        let json = std::fs::read(dir.join(file)).ok()?;
        Some(serde_json::from_slice(&json).unwrap_or_else(|error| panic!("{name}/{file}: {error}")))
    };
    let event = read("event.json").unwrap_or_else(|| panic!("{name}: no event.json"));
    Case {
        event,
        result: read("result.json"),
        error: read("error.json"),
        verdict: read("verdict.json"),
        about,
        name,
        dir,
    }
}

impl Case {
    /// What the edge makes of this result of the case's handler, in the form of `verdict.json`.
    #[must_use]
    pub fn judge(&self, result: &[u8]) -> Value {
        let cf = &self.event["Records"][0]["cf"];
        let event_type = event_type(&cf["config"]);
        let request = request(&cf["request"]);
        let invalid = |invalid: event::InvalidResult| json!({"invalid": invalid.rule.as_str()});
        if matches!(event_type, EventType::ViewerRequest | EventType::OriginRequest) {
            return match event::parse_request_result(result, event_type, &request) {
                Ok(result) => request_verdict(result, request),
                Err(error) => invalid(error),
            };
        }
        let edit = match event::parse_response_result(result, event_type, &response(&cf["response"])) {
            Ok(edit) => edit,
            Err(error) => return invalid(error),
        };
        let mut fields = Map::new();
        put(&mut fields, "status", edit.status.map(Value::from));
        put(&mut fields, "statusDescription", edit.status_description.map(Value::from));
        put(&mut fields, "headers", edit.headers.as_ref().map(pairs));
        put_body(&mut fields, edit.body.as_ref());
        json!({"edit": fields})
    }
}

fn request_verdict(result: RequestResult, sent: EventRequest) -> Value {
    let mut fields = Map::new();
    match result {
        RequestResult::Forward(edit) => {
            put(&mut fields, "uri", edit.uri.map(Value::from));
            put(&mut fields, "querystring", edit.querystring.map(Value::from));
            put(&mut fields, "headers", edit.headers.as_ref().map(pairs));
            put_body(&mut fields, edit.body.as_ref());
            put(&mut fields, "origin", edit.origin.map(|origin| origin_json(origin, sent)));
            json!({"forward": fields})
        }
        RequestResult::Respond(response) => {
            put(&mut fields, "status", Some(response.status.into()));
            put(&mut fields, "statusDescription", response.status_description.map(Value::from));
            put(&mut fields, "headers", Some(pairs(&response.headers)));
            put_body(&mut fields, Some(&response.body));
            json!({"respond": fields})
        }
    }
}

fn put(fields: &mut Map<String, Value>, name: &str, value: Option<Value>) {
    if let Some(value) = value {
        fields.insert(name.to_owned(), value);
    }
}

fn put_body(fields: &mut Map<String, Value>, body: Option<&Bytes>) {
    match body {
        None => {}
        Some(body) if body.len() > BODY_SHOWN_MAX => put(fields, "bodyBytes", Some(body.len().into())),
        Some(body) => put(fields, "body", Some(String::from_utf8_lossy(body).into())),
    }
}

fn pairs(headers: &Headers) -> Value {
    headers.iter().map(|(name, value)| json!([name, String::from_utf8_lossy(value)])).collect()
}

/// The origin as an event shows it.
fn origin_json(origin: EventOrigin, sent: EventRequest) -> Value {
    let config = EventConfig {
        distribution_domain_name: "",
        distribution_id: "",
        request_id: "",
        event_type: EventType::OriginRequest,
    };
    let event = event::encode(&config, &EventRequest { origin: Some(origin), ..sent }, None);
    let event: Value = serde_json::from_slice(event.json()).expect("an event is JSON");
    event["Records"][0]["cf"]["request"]["origin"].clone()
}

fn event_type(config: &Value) -> EventType {
    let name = text(config, "eventType");
    EventType::ALL.into_iter().find(|event| event.as_str() == name).expect("eventType is one of four")
}

fn request(request: &Value) -> EventRequest {
    let body = request.get("body").map(|body| EventBody {
        data: STANDARD.decode(text(body, "data")).expect("body.data of an event is base64").into(),
        truncated: body["inputTruncated"].as_bool().unwrap_or_default(),
    });
    EventRequest {
        client_ip: text(request, "clientIp").parse().expect("clientIp is an address"),
        method: text(request, "method").parse().expect("method is a method"),
        uri: text(request, "uri").to_owned(),
        querystring: text(request, "querystring").to_owned(),
        headers: headers(&request["headers"]),
        body,
        origin: request
            .get("origin")
            .map(|origin| custom_origin(origin.get("custom").expect("the origin in the event of a case is custom"))),
    }
}

fn response(response: &Value) -> EventResponse {
    EventResponse {
        status: text(response, "status").parse().expect("status is a number"),
        status_description: text(response, "statusDescription").to_owned(),
        headers: headers(&response["headers"]),
    }
}

fn custom_origin(custom: &Value) -> EventOrigin {
    let seconds = |name: &str| custom[name].as_u64().map(Duration::from_secs);
    EventOrigin::Custom {
        domain_name: text(custom, "domainName").to_owned(),
        path: text(custom, "path").to_owned(),
        port: custom["port"].as_u64().and_then(|port| port.try_into().ok()).expect("port is a port"),
        protocol: if custom["protocol"] == "http" { OriginProtocol::Http } else { OriginProtocol::Https },
        read_timeout: seconds("readTimeout").expect("readTimeout is a number"),
        keepalive_timeout: seconds("keepaliveTimeout").expect("keepaliveTimeout is a number"),
        response_completion_timeout: seconds("responseCompletionTimeout"),
        ssl_protocols: serde_json::from_value(custom["sslProtocols"].clone()).expect("sslProtocols is an array"),
        custom_headers: headers(&custom["customHeaders"]),
    }
}

fn headers(map: &Value) -> Headers {
    let entries = map.as_object().expect("headers is an object").values();
    let lines = entries.flat_map(|lines| lines.as_array().expect("a header is an array"));
    lines.map(|line| (text(line, "key").to_owned(), text(line, "value").to_owned())).collect()
}

fn text<'a>(object: &'a Value, name: &str) -> &'a str {
    object[name].as_str().unwrap_or_else(|| panic!("{name} must be a string in {object}"))
}

fn default_handler() -> String {
    "handler.handler".to_owned()
}

const BODY_SHOWN_MAX: usize = 1024;
