//! Which of a resource's stored responses a request may get: `Vary` over what of
//! the request reaches the origin (RFC 9111 4.1). Pure.

use super::directives::split_outside_quotes;
use http::HeaderMap;
use http::header::VARY;
use sha2::{Digest, Sha256};

/// What tells the responses of one cache key apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Variance {
    /// Nothing: any request may get it.
    Nothing,
    Fields([u8; 16]),
    /// Everything: no request ever gets it again.
    Everything,
}

/// The variance of a response for a request. `seen` gives what the origin gets of a
/// named field: `Seen::Always` when that is no more than the key holds.
pub(crate) fn variance(response: &HeaderMap, seen: impl Fn(&str) -> Seen) -> Variance {
    if !response.contains_key(VARY) {
        return Variance::Nothing;
    }
    let lines = response.get_all(VARY).iter().map(|line| String::from_utf8_lossy(line.as_bytes()).to_ascii_lowercase());
    let lines: Vec<String> = lines.collect();
    let mut names: Vec<&str> = lines.iter().flat_map(|line| split_outside_quotes(line)).collect();
    if names.contains(&"*") {
        return Variance::Everything;
    }
    names.sort_unstable();
    names.dedup();
    let mut parts = Parts(None);
    for name in names {
        match seen(name) {
            Seen::Always => {}
            Seen::Absent => parts.add(name, b"-", ""),
            Seen::Value(value) => parts.add(name, b"+", &normal(name, &value)),
        }
    }
    parts.variance()
}

/// What the origin gets of a field the viewer may have sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    /// The same for every request with this cache key.
    Always,
    Absent,
    /// All its lines as one list.
    Value(String),
}

struct Parts(Option<Sha256>);

impl Parts {
    fn add(&mut self, name: &str, mark: &[u8], value: &str) {
        let hash = self.0.get_or_insert_with(Sha256::new);
        for part in [name.as_bytes(), mark, value.as_bytes()] {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
    }

    fn variance(self) -> Variance {
        let Some(hash) = self.0 else { return Variance::Nothing };
        let mut first = [0; 16];
        first.copy_from_slice(&hash.finalize()[..16]);
        Variance::Fields(first)
    }
}

/// One form for values that mean the same in every field: lists without white
/// space around their commas, language tags and codings in lower case.
fn normal(name: &str, value: &str) -> String {
    let members: Vec<&str> = split_outside_quotes(value).collect();
    let joined = members.join(",");
    match name {
        "accept-language" | "accept-encoding" => joined.to_ascii_lowercase().replace([' ', '\t'], ""),
        _ => joined,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;
    use proptest::prelude::*;

    fn vary(lines: &[&'static str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        lines.iter().for_each(|line| {
            headers.append(VARY, HeaderValue::from_static(line));
        });
        headers
    }

    fn one(name: &'static str, value: &str) -> impl Fn(&str) -> Seen {
        move |asked: &str| if asked == name { Seen::Value(value.to_owned()) } else { Seen::Absent }
    }

    #[test]
    fn a_star_anywhere_matches_nothing() {
        for lines in [&["*"][..], &["*, *"], &["*", "*"], &[", *"], &["", "*"], &["*, foo"], &["foo, *"]] {
            assert_eq!(variance(&vary(lines), |_| Seen::Absent), Variance::Everything, "{lines:?}");
        }
    }

    #[test]
    fn names_match_in_any_case_order_and_number_of_lines() {
        let seen = |name: &str| Seen::Value(format!("v of {name}"));
        let first = variance(&vary(&["Foo, bar"]), seen);
        assert_eq!(first, variance(&vary(&["BAR", "foo, foo"]), seen));
        assert_ne!(first, variance(&vary(&["foo"]), seen));
    }

    #[test]
    fn absent_empty_and_different_values_are_three_things() {
        let foo = vary(&["foo"]);
        let absent = variance(&foo, |_| Seen::Absent);
        let empty = variance(&foo, one("foo", ""));
        let value = variance(&foo, one("foo", "1"));
        assert!(absent != empty && empty != value && absent != value);
        assert_eq!(variance(&foo, |_| Seen::Always), Variance::Nothing);
        assert_eq!(variance(&vary(&[]), one("foo", "1")), Variance::Nothing);
    }

    #[test]
    fn white_space_around_commas_means_nothing_but_inside_quotes_it_does() {
        let foo = vary(&["foo"]);
        let of = |value: &str| variance(&foo, |_| Seen::Value(value.to_owned()));
        assert_eq!(of("1, 2"), of("1,2"));
        assert_ne!(of("\"1, 2\""), of("\"1,2\""));
        let language = vary(&["accept-language"]);
        let of = |value: &str| variance(&language, |_| Seen::Value(value.to_owned()));
        assert_eq!(of("en, de;q=0.5"), of("EN ,de; q=0.5"));
        // Some origins read an order into equal weights.
        assert_ne!(of("en, de"), of("de, en"));
    }

    proptest! {
        #[test]
        fn two_requests_share_a_variant_only_when_their_values_mean_the_same(a in "[a-z ,\"]{0,12}", b in "[a-z ,\"]{0,12}") {
            let foo = vary(&["foo"]);
            let of = |value: &str| variance(&foo, |_| Seen::Value(value.to_owned()));
            prop_assert_eq!(of(&a) == of(&b), normal("foo", &a) == normal("foo", &b));
        }
    }
}
