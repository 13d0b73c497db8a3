//! Results that repeat the event's text are judged as those that do not.

use super::properties::{header_name, request};
use super::*;
use proptest::prelude::*;

/// The text of the request or response as it is shown.
fn shown(encoded: &Encoded) -> String {
    let text = std::str::from_utf8(encoded.json()).unwrap();
    text[encoded.response.as_ref().unwrap_or(&encoded.request).whole.clone()].to_owned()
}

/// An entry of a header map, lawful or not.
fn entry() -> impl Strategy<Value = String> {
    let value = prop_oneof![
        Just("v"),
        Just("cafe\u{301}"),
        Just("}],\\\"x\\\":[{"),
        Just("\\u0000"),
        Just("\\ud800"),
        Just("a\\tb"),
    ];
    let name = prop_oneof![4 => header_name().prop_map(|name| name.to_ascii_lowercase()),
        1 => prop::sample::select(vec!["via", "host", "content-length", "x-cache", "x-edge-z", "warning", "a b", "", "x-a\\u0062",
            "cloudfront-viewer-country"]).prop_map(String::from)];
    (name, value, 0..4_usize).prop_map(|(name, value, lines)| match lines {
        0 => format!("\"{name}\":[]"),
        3 => format!("\"{name}\":\"{value}\""),
        lines => format!("\"{name}\":[{}]", vec![format!("{{\"value\":\"{value}\"}}"); lines].join(",")),
    })
}

/// A result that a text like the one shown becomes: entries behind the others, other fields, another byte.
fn changed(text: &str, end: usize, entries: &[String], fields: &str, flipped: Option<(usize, u8)>) -> Vec<u8> {
    let (kept, rest) = text.split_at(end);
    let mut result = kept.to_owned();
    for entry in entries {
        result.push_str(if result.ends_with('{') { "" } else { "," });
        result.push_str(entry);
    }
    result.push_str(rest.strip_suffix('}').unwrap());
    let mut result = (result + fields + "}").into_bytes();
    if let Some((at, byte)) = flipped {
        let at = at % result.len();
        result[at] = byte;
    }
    result
}

fn fields() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "",
        "",
        ",\"status\":\"200\"",
        ",\"body\":\"x\"",
        ",\"headers\":{}",
        ",\"Records\":[]",
        ",\"uri\":\"/x\"",
        ", \"other\" : { } ",
        ",",
        "}",
    ])
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2048) })]

    #[test]
    fn what_repeats_the_event_is_judged_as_what_does_not(
        request in request(),
        entries in prop::collection::vec(entry(), 0..3),
        fields in fields(),
        flipped in prop::option::of((any::<usize>(), prop_oneof![any::<u8>(), Just(b','), Just(b' '), Just(b'}')])),
    ) {
        let response = EventResponse { headers: request.headers.clone(), ..sent_response() };
        for event in EventType::ALL {
            let answered = matches!(event, EventType::OriginResponse | EventType::ViewerResponse);
            let encoded = encode(&config(event), &request, answered.then_some(&response));
            let place = encoded.response.as_ref().unwrap_or(&encoded.request);
            let end = place.lines.end - place.whole.start;
            let result = changed(&shown(&encoded), end, &entries, fields, flipped);
            if answered {
                let parsed = parse_response_result(&result, event, &response);
                prop_assert_eq!(encoded.response_result(&result, &response), parsed);
            } else {
                let parsed = parse_request_result(&result, event, &request);
                prop_assert_eq!(encoded.request_result(&result, &request), parsed);
            }
        }
    }
}

#[test]
fn commas_that_json_does_not_allow_are_not_cut_away() {
    let response = sent_response();
    let encoded = encode(&config(EventType::ViewerResponse), &sent(), Some(&response));
    let text = shown(&encoded);
    let end = encoded.response.as_ref().unwrap().lines.end - encoded.response.as_ref().unwrap().whole.start;
    for (between, passes) in
        [("", true), (" ", true), (",\"x\":[]", true), (",", false), (",,\"x\":[]", false), ("]", false)]
    {
        let result = format!("{}{between}{}", &text[..end], &text[end..]);
        assert_eq!(encoded.response_result(result.as_bytes(), &response).is_ok(), passes, "{between:?}");
    }
}
