//! The response of a function URL, made of its function's result (AWS: "Invoking Lambda
//! function URLs", response payload format).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, SET_COOKIE};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use http_body_util::Full;
use serde_json::{Map, Value};
use uuid::Uuid;

/// What a viewer gets for a result; why there is nothing that it could get.
pub(super) fn decode(result: &[u8]) -> Result<Response<Full<Bytes>>, String> {
    let value: Value = serde_json::from_slice(result).map_err(|error| format!("it is no JSON: {error}"))?;
    let Some(stated) = value.as_object().filter(|object| object.contains_key("statusCode")) else {
        let text = match value {
            Value::String(text) => text,
            other => other.to_string(),
        };
        return Ok(made(StatusCode::OK, HeaderMap::new(), text.into()));
    };
    let status = status(&stated["statusCode"])?;
    Ok(made(status, headers(stated)?, body(stated)?))
}

/// For a function that failed. The viewer learns nothing of why.
pub(super) fn failed(id: Uuid) -> Response<Full<Bytes>> {
    let mut response = made(StatusCode::BAD_GATEWAY, HeaderMap::new(), Bytes::from_static(b"Internal Server Error"));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    let id = HeaderValue::from_str(&id.to_string()).expect("an id is a header's value");
    response.headers_mut().insert("x-amzn-requestid", id);
    response
}

fn made(status: StatusCode, headers: HeaderMap, body: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    let kind = HeaderValue::from_static("application/json");
    response.headers_mut().entry(CONTENT_TYPE).or_insert(kind);
    response
}

fn status(value: &Value) -> Result<StatusCode, String> {
    let number = value.as_u64().or_else(|| value.as_str()?.parse().ok());
    let code = number.and_then(|number| u16::try_from(number).ok()).filter(|code| (200..=599).contains(code));
    let status = code.and_then(|code| StatusCode::from_u16(code).ok());
    status.ok_or_else(|| format!("statusCode is {value}, it must be a number from 200 to 599"))
}

fn headers(stated: &Map<String, Value>) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::new();
    let empty = Map::new();
    let named = match stated.get("headers") {
        None | Some(Value::Null) => &empty,
        Some(Value::Object(named)) => named,
        Some(other) => return Err(format!("headers is {other}, it must be an object")),
    };
    for (name, value) in named {
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| format!("{name:?} is no name of a header"))?;
        if !OF_THE_CONNECTION.contains(&name.as_str()) {
            headers.append(name, line(value)?);
        }
    }
    let cookies = match stated.get("cookies") {
        None | Some(Value::Null) => &[][..],
        Some(Value::Array(cookies)) => cookies,
        Some(other) => return Err(format!("cookies is {other}, it must be a list")),
    };
    for cookie in cookies {
        headers.append(SET_COOKIE, line(cookie)?);
    }
    Ok(headers)
}

fn line(value: &Value) -> Result<HeaderValue, String> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(_) | Value::Bool(_) => value.to_string(),
        other => return Err(format!("{other} is no value of a header")),
    };
    HeaderValue::from_bytes(text.as_bytes()).map_err(|_| format!("{text:?} is no value of a header"))
}

fn body(stated: &Map<String, Value>) -> Result<Bytes, String> {
    let text = match stated.get("body") {
        None | Some(Value::Null) => return Ok(Bytes::new()),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    };
    if stated.get("isBase64Encoded").and_then(Value::as_bool) != Some(true) {
        return Ok(text.into());
    }
    let decoded = STANDARD.decode(text).map_err(|error| format!("body is not base64: {error}"))?;
    Ok(decoded.into())
}

/// What this program decides, not a function.
const OF_THE_CONNECTION: [&str; 6] =
    ["connection", "content-length", "keep-alive", "transfer-encoding", "trailer", "upgrade"];

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt as _;

    async fn shown(result: &str) -> (u16, Vec<String>, String) {
        let (parts, body) = decode(result.as_bytes()).unwrap().into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let lines = parts.headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()));
        (parts.status.as_u16(), lines.collect(), String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn what_is_no_response_is_one_of_json() {
        let json = vec!["content-type: application/json".to_owned()];
        assert_eq!(shown(r#"{"a":1}"#).await, (200, json.clone(), r#"{"a":1}"#.into()));
        assert_eq!(shown(r#""text""#).await, (200, json.clone(), "text".into()));
        assert_eq!(shown("null").await, (200, json, "null".into()));
    }

    #[tokio::test]
    async fn a_response_says_its_status_headers_cookies_and_body() {
        let (status, lines, body) = shown(
            r#"{"statusCode": 201, "headers": {"X-A": 1, "Content-Type": "text/plain", "Connection": "close"},
                "cookies": ["a=1", "b=2"], "isBase64Encoded": true, "body": "aGk="}"#,
        )
        .await;
        assert_eq!((status, body.as_str()), (201, "hi"));
        for line in ["x-a: 1", "content-type: text/plain", "set-cookie: a=1", "set-cookie: b=2"] {
            assert!(lines.contains(&line.to_owned()), "{lines:?}");
        }
        assert_eq!(lines.len(), 4);
    }

    #[test]
    fn a_response_that_cannot_be_sent_is_none() {
        for result in [
            r#"{"statusCode": "many"}"#,
            r#"{"statusCode": 99}"#,
            r#"{"statusCode": 200, "headers": {"a b": "1"}}"#,
            r#"{"statusCode": 200, "headers": {"a": "1\n2"}}"#,
            r#"{"statusCode": 200, "cookies": "a=1"}"#,
            r#"{"statusCode": 200, "body": "no base64!", "isBase64Encoded": true}"#,
        ] {
            assert!(decode(result.as_bytes()).is_err(), "{result}");
        }
    }
}
