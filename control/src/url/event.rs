//! A request to a function URL as its function sees it (AWS: "Invoking Lambda function
//! URLs", request payload format).

use crate::lambda::ACCOUNT;
use crate::request::pairs;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Map, Value, json};
use time::OffsetDateTime;
use time::macros::format_description;
use uuid::Uuid;

/// What is known of a request.
#[derive(Debug)]
pub(super) struct Asked<'a> {
    pub(super) id: Uuid,
    pub(super) url_id: &'a str,
    pub(super) parts: &'a Parts,
    pub(super) body: &'a [u8],
    pub(super) from: From,
    pub(super) caller: Caller,
}

/// What the edge says of the viewer.
#[derive(Debug)]
pub(super) struct From {
    address: String,
    scheme: String,
}

/// Who asks.
#[derive(Debug)]
pub(super) enum Caller {
    Anyone,
    /// Whoever has this access key.
    Key(String),
}

/// Takes out the headers that are the edge's own, and what they say. What is left is what
/// the viewer sent, and signed if it did.
pub(super) fn take_edge_headers(headers: &mut HeaderMap) -> From {
    let text = |value: Option<HeaderValue>| value.and_then(|value| value.to_str().ok().map(str::to_owned));
    let scheme = text(headers.remove(SCHEME_HEADER)).unwrap_or_default();
    headers.remove("x-amz-cf-id");
    // The edge's entry is the last one of these lists.
    let (address, before) = last(text(headers.remove("x-forwarded-for")).unwrap_or_default());
    put_back(headers, HeaderName::from_static("x-forwarded-for"), before);
    let (_, via) = last(text(headers.remove("via")).unwrap_or_default());
    put_back(headers, HeaderName::from_static("via"), via);
    From { address, scheme }
}

/// The event, as JSON.
pub(super) fn encode(asked: &Asked<'_>) -> Vec<u8> {
    let Asked { id, url_id, parts, body, from, caller } = asked;
    let headers = headers(parts, from);
    let raw_query = parts.uri.query().unwrap_or_default();
    let now = OffsetDateTime::now_utc();
    let form = format_description!("[day]/[month repr:short]/[year]:[hour]:[minute]:[second] +0000");
    let mut context = json!({
        "accountId": if matches!(caller, Caller::Anyone) { "anonymous" } else { ACCOUNT },
        "apiId": url_id,
        "domainName": headers.get("host").and_then(Value::as_str).map(without_port),
        "domainPrefix": url_id,
        "http": {
            "method": parts.method.as_str(),
            "path": parts.uri.path(),
            "protocol": "HTTP/1.1",
            "sourceIp": from.address,
            "userAgent": headers.get("user-agent"),
        },
        "requestId": id.to_string(),
        "routeKey": "$default",
        "stage": "$default",
        "time": now.format(form).expect("every time can be written"),
        "timeEpoch": u64::try_from(now.unix_timestamp_nanos() / 1_000_000).unwrap_or_default(),
    });
    if let Caller::Key(key) = caller {
        context["authorizer"] = json!({ "iam": {
            "accessKey": key,
            "accountId": ACCOUNT,
            "callerId": key,
            "cognitoIdentity": null,
            "principalOrgId": null,
            "userArn": format!("arn:aws:iam::{ACCOUNT}:root"),
            "userId": ACCOUNT,
        } });
    }
    let mut event = json!({
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": parts.uri.path(),
        "rawQueryString": raw_query,
        "headers": headers,
        "requestContext": context,
        "isBase64Encoded": false,
    });
    let cookies = cookies(&parts.headers);
    if !cookies.is_empty() {
        event["cookies"] = json!(cookies);
    }
    if !raw_query.is_empty() {
        event["queryStringParameters"] = joined(pairs(raw_query)).into();
    }
    if !body.is_empty() {
        let text = std::str::from_utf8(body).ok().filter(|_| is_text(&parts.headers));
        event["isBase64Encoded"] = text.is_none().into();
        event["body"] = text.map_or_else(|| STANDARD.encode(body), str::to_owned).into();
    }
    event.to_string().into_bytes()
}

/// Names in lower case, several values with commas between, without cookies.
fn headers(parts: &Parts, from: &From) -> Map<String, Value> {
    let lines = parts.headers.iter().filter(|(name, _)| *name != "cookie");
    let line = |(name, value): (&HeaderName, &HeaderValue)| {
        (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
    };
    let mut headers = joined(lines.map(line));
    let forwarded = headers.get("x-forwarded-for").and_then(Value::as_str);
    let forwarded = forwarded.map_or_else(|| from.address.clone(), |before| format!("{before},{}", from.address));
    headers.insert("x-forwarded-for".into(), forwarded.into());
    let named = headers.get("host").and_then(Value::as_str).and_then(|host| host.rsplit_once(':'));
    let port = named.map_or(if from.scheme == "https" { "443" } else { "80" }, |(_, port)| port).to_owned();
    headers.insert("x-forwarded-port".into(), port.into());
    headers.insert("x-forwarded-proto".into(), from.scheme.clone().into());
    headers
}

fn joined(pairs: impl IntoIterator<Item = (String, String)>) -> Map<String, Value> {
    let mut map = Map::new();
    for (name, value) in pairs {
        let value = match map.get(&name).and_then(Value::as_str) {
            Some(before) => format!("{before},{value}"),
            None => value,
        };
        map.insert(name, value.into());
    }
    map
}

fn cookies(headers: &HeaderMap) -> Vec<String> {
    let lines = headers.get_all("cookie").iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split("; ")).filter(|cookie| !cookie.is_empty()).map(str::to_owned).collect()
}

/// Which bodies are shown as they are, when they are UTF-8.
fn is_text(headers: &HeaderMap) -> bool {
    let kind = headers.get("content-type").and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let named = ["application/json", "application/xml", "application/javascript"].contains(&kind.as_str());
    kind.starts_with("text/") || named || kind.ends_with("+json") || kind.ends_with("+xml")
}

/// The last entry of a list, and what stands before it.
fn last(list: String) -> (String, String) {
    match list.rsplit_once(',') {
        Some((before, last)) => (last.trim().to_owned(), before.trim_end().to_owned()),
        None => (list, String::new()),
    }
}

fn put_back(headers: &mut HeaderMap, name: HeaderName, value: String) {
    if let Ok(value) = HeaderValue::try_from(value)
        && !value.is_empty()
    {
        headers.insert(name, value);
    }
}

fn without_port(host: &str) -> &str {
    host.rsplit_once(':').map_or(host, |(name, _)| name)
}

/// In which the edge says how the viewer came.
const SCHEME_HEADER: &str = "cloudfront-forwarded-proto";
#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(request: http::request::Builder, body: &[u8], caller: Caller) -> Value {
        let mut parts = request.body(()).unwrap().into_parts().0;
        let from = take_edge_headers(&mut parts.headers);
        let asked = Asked { id: Uuid::nil(), url_id: "abc", parts: &parts, body, from, caller };
        serde_json::from_slice(&encode(&asked)).unwrap()
    }

    fn request(target: &str) -> http::request::Builder {
        http::Request::post(target)
            .header("host", "abc.lambda-url.us-east-1.selvedge.local:8443")
            .header("x-forwarded-for", "203.0.113.9,192.0.2.7")
            .header("via", "1.1 edge (CloudFront)")
            .header("x-amz-cf-id", "id")
            .header(SCHEME_HEADER, "https")
    }

    #[test]
    fn a_request_has_the_form_that_functions_know() {
        let asked = request("/a%20b?x=1&y=%2F&x=2")
            .header("cookie", "a=1; b=2")
            .header("x-twice", "one")
            .header("x-twice", "two")
            .header("user-agent", "curl")
            .header("content-type", "application/json; charset=utf-8");
        let event = encoded(asked, b"{}", Caller::Anyone);
        assert_eq!((event["version"].as_str(), event["routeKey"].as_str()), (Some("2.0"), Some("$default")));
        assert_eq!(
            (event["rawPath"].as_str(), event["rawQueryString"].as_str()),
            (Some("/a%20b"), Some("x=1&y=%2F&x=2"))
        );
        assert_eq!(event["queryStringParameters"], json!({"x": "1,2", "y": "/"}));
        assert_eq!(event["cookies"], json!(["a=1", "b=2"]));
        assert_eq!((event["body"].as_str(), event["isBase64Encoded"].as_bool()), (Some("{}"), Some(false)));
        let headers = event["headers"].as_object().unwrap();
        assert_eq!(headers["x-twice"], "one,two");
        assert_eq!((&headers["x-forwarded-proto"], &headers["x-forwarded-port"]), (&json!("https"), &json!("8443")));
        assert_eq!(headers["x-forwarded-for"], "203.0.113.9,192.0.2.7");
        assert!(!["cookie", "via", "x-amz-cf-id", SCHEME_HEADER].iter().any(|name| headers.contains_key(*name)));
        let context = &event["requestContext"];
        assert_eq!((context["accountId"].as_str(), context["apiId"].as_str()), (Some("anonymous"), Some("abc")));
        assert_eq!(context["domainName"], "abc.lambda-url.us-east-1.selvedge.local");
        assert_eq!(
            (context["http"]["sourceIp"].as_str(), context["http"]["method"].as_str()),
            (Some("192.0.2.7"), Some("POST"))
        );
        assert!(context.get("authorizer").is_none());
    }

    #[test]
    fn bodies_that_are_no_text_are_encoded_and_absent_ones_absent() {
        let event = encoded(request("/").header("content-type", "image/png"), b"\x89PNG", Caller::Anyone);
        assert_eq!((event["body"].as_str(), event["isBase64Encoded"].as_bool()), (Some("iVBORw=="), Some(true)));
        let form = request("/").header("content-type", "application/x-www-form-urlencoded");
        assert_eq!(encoded(form, b"a=1", Caller::Anyone)["isBase64Encoded"], true);
        let event = encoded(request("/"), b"", Caller::Key("AKID".into()));
        let absent = ["body", "cookies", "queryStringParameters"].iter().all(|name| event.get(*name).is_none());
        assert!(absent && event["requestContext"]["authorizer"]["iam"]["accessKey"] == "AKID");
    }
}
