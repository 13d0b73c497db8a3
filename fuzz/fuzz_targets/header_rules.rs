//! A function changes the headers of an event. The edge refuses exactly what
//! AWS's lists forbid, and keeps every other line as the function left it.
#![no_main]

use arbitrary::{Arbitrary, Result, Unstructured};
use event::{EventType, Headers, InvalidResult, RequestResult, encode, parse_request_result, parse_response_result};
use libfuzzer_sys::fuzz_target;
use selvedge_fuzz::events::{Seen, config, name};
use selvedge_fuzz::lawful::{is_disallowed, part_of_event, read_only};
use serde_json::{Map, Value, json};

#[derive(Debug)]
struct Edit {
    seen: Seen,
    changes: Vec<Change>,
}

#[derive(Debug)]
enum Change {
    Set { key: String, values: Vec<String> },
    Delete { name: String },
}

impl<'a> Arbitrary<'a> for Edit {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Edit> {
        let seen = u.arbitrary()?;
        let mut changes = Vec::new();
        for _ in 0..u.int_in_range(0..=4)? {
            changes.push(if u.arbitrary()? {
                let values = (0..u.int_in_range(0..=3)?).map(|_| u.arbitrary()).collect::<Result<_>>()?;
                Change::Set { key: name(u)?, values }
            } else {
                Change::Delete { name: name(u)?.to_ascii_lowercase() }
            });
        }
        Ok(Edit { seen, changes })
    }
}

fuzz_target!(|edit: Edit| {
    let Edit { seen: Seen { event, request, response }, changes } = edit;
    let answered = matches!(event, EventType::OriginResponse | EventType::ViewerResponse);
    let (sent, part) = if answered { (&response.headers, "response") } else { (&request.headers, "request") };
    let shown = part_of_event(event, &request, answered.then_some(&response), part);
    let mut returned: Value = serde_json::from_slice(&shown).expect("events are JSON");
    let headers = returned["headers"].as_object_mut().expect("headers are an object");
    for change in &changes {
        match change {
            Change::Delete { name } => drop(headers.remove(name)),
            Change::Set { key, values } => {
                let lines: Vec<Value> = values.iter().map(|value| json!({"key": key, "value": value})).collect();
                headers.insert(key.to_ascii_lowercase(), Value::from(lines));
            }
        }
    }
    let forbidden = is_forbidden(event, sent, headers);
    let headers = headers.clone();
    let json = returned.to_string();
    let encoded = encode(&config(event), &request, answered.then_some(&response));
    let left: std::result::Result<Option<Headers>, InvalidResult> = if answered {
        let parsed = parse_response_result(json.as_bytes(), event, &response);
        assert_eq!(encoded.response_result(json.as_bytes(), &response), parsed);
        parsed.map(|edit| edit.headers)
    } else {
        let parsed = parse_request_result(json.as_bytes(), event, &request);
        assert_eq!(encoded.request_result(json.as_bytes(), &request), parsed);
        parsed.map(|result| match result {
            RequestResult::Forward(edit) => edit.headers,
            RequestResult::Respond(_) => panic!("a request was taken for a response"),
        })
    };
    match left {
        Err(invalid) => assert!(forbidden, "refused without reason: {invalid:?}"),
        Ok(left) => {
            assert!(!forbidden, "passed against the rules");
            check_lines(&left.unwrap_or_else(|| sent.clone()), &headers);
        }
    }
});

/// From AWS's lists and RFC 9110 alone.
fn is_forbidden(event: EventType, sent: &Headers, left: &Map<String, Value>) -> bool {
    let values = |name: &str| -> Vec<String> {
        let lines = left.get(name).and_then(Value::as_array);
        lines.into_iter().flatten().map(|line| line["value"].as_str().expect("built above").to_owned()).collect()
    };
    let disallowed = left.iter().any(|(name, lines)| is_disallowed(name) && lines != &json!([]));
    let unsendable = left.keys().any(|name| values(name).iter().any(|value| is_unsendable(value)));
    let touched = read_only(event).iter().any(|name| values(name) != sent.values(name).map(text).collect::<Vec<_>>());
    let country = "cloudfront-viewer-country";
    let country = event == EventType::ViewerRequest && !values(country).is_empty() && !sent.contains(country);
    disallowed || unsendable || touched || country
}

/// Whether the text has a character that no header value may have.
fn is_unsendable(value: &str) -> bool {
    value.bytes().any(|byte| (byte < 0x20 && byte != b'\t') || byte == 0x7f)
}

fn check_lines(headers: &Headers, left: &Map<String, Value>) {
    let lines: usize = left.values().map(|lines| lines.as_array().expect("built above").len()).sum();
    assert_eq!(headers.iter().filter(|(name, _)| !is_disallowed(name)).count(), lines);
    // What the function never sees stays, whatever it leaves under that name.
    for (name, lines) in left.iter().filter(|(name, _)| !is_disallowed(name)) {
        let kept: Vec<(&str, String)> = headers
            .iter()
            .filter(|(other, _)| other.eq_ignore_ascii_case(name))
            .map(|(key, value)| (key, text(value)))
            .collect();
        let given: Vec<(&str, String)> = lines
            .as_array()
            .expect("built above")
            .iter()
            .map(|line| (line["key"].as_str().expect("built above"), line["value"].as_str().expect("too").to_owned()))
            .collect();
        assert_eq!(kept, given);
    }
}

fn text(value: &bytes::Bytes) -> String {
    String::from_utf8(value.to_vec()).unwrap_or_else(|_| value.iter().map(|byte| char::from(*byte)).collect())
}
