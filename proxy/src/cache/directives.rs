//! What an origin says about storing a response: `Cache-Control`, or the targeted
//! field that stands above it (RFC 9111 5.2.2, RFC 5861, RFC 8246, RFC 9213). Pure.

use http::header::CACHE_CONTROL;
use http::{HeaderMap, HeaderName};
use sfv::{BareItem, Item, ListEntry, Parser};
use std::time::Duration;

/// The directives that bear on a shared cache. `immutable` has no member: it
/// speaks to browsers, a fresh response is never revalidated here anyway.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Directives {
    /// Read from a targeted field: `Cache-Control` and `Expires` have no say.
    pub(crate) targeted: bool,
    pub(crate) s_maxage: Option<Duration>,
    pub(crate) max_age: Option<Duration>,
    pub(crate) stale_while_revalidate: Option<Duration>,
    pub(crate) stale_if_error: Option<Duration>,
    pub(crate) no_store: bool,
    /// Without a field list; with one see [`Directives::fields`].
    pub(crate) no_cache: bool,
    pub(crate) private: bool,
    pub(crate) public: bool,
    pub(crate) must_revalidate: bool,
    pub(crate) proxy_revalidate: bool,
    pub(crate) must_understand: bool,
    /// Fields that `no-cache` or `private` name: the rest of the response may be
    /// stored, they may not.
    pub(crate) fields: Vec<HeaderName>,
}

impl Directives {
    /// The directives of a response, from the first targeted field that is valid,
    /// else from `Cache-Control`.
    pub(crate) fn of(headers: &HeaderMap) -> Directives {
        let targeted = targeted(headers).or_else(|| surrogate_control(headers));
        targeted.unwrap_or_else(|| {
            let mut found = Directives::default();
            each(headers, CACHE_CONTROL.as_str(), |directive| found.add_text(directive));
            found
        })
    }

    /// How long the response is fresh by its own word, `Expires` aside.
    pub(crate) fn lifetime(&self) -> Option<Duration> {
        self.s_maxage.or(self.max_age)
    }

    /// Whether the response must not be stored by a shared cache.
    pub(crate) fn forbids_storing(&self) -> bool {
        self.private || (self.no_store && !self.must_understand)
    }

    /// Whether it must not be served stale even if the origin says how long it may
    /// be (RFC 9111 4.2.4).
    pub(crate) fn forbids_stale(&self) -> bool {
        self.must_revalidate || self.proxy_revalidate || self.no_cache
    }

    /// Whether it may answer a request without the `Authorization` it was made for (RFC 9111 3.5).
    pub(crate) fn allows_authorized(&self) -> bool {
        self.public || self.must_revalidate || self.s_maxage.is_some()
    }

    /// Adds a directive in the syntax of `Cache-Control`.
    fn add_text(&mut self, directive: &str) {
        match directive.split_once('=') {
            Some((name, value)) => self.add(name.trim_end(), Some(Value::Text(unquoted(name, value)))),
            None => self.add(directive, None),
        }
    }

    /// The first of several directives of one name counts (RFC 9111 4.2.1); a
    /// lifetime that is no number is none at all: the response is stale.
    fn add(&mut self, name: &str, value: Option<Value<'_>>) {
        let seconds = || Some(value.as_ref().and_then(Value::seconds).unwrap_or_default());
        match name.to_ascii_lowercase().as_str() {
            "s-maxage" if self.s_maxage.is_none() => self.s_maxage = seconds(),
            "max-age" if self.max_age.is_none() => self.max_age = seconds(),
            "stale-while-revalidate" if self.stale_while_revalidate.is_none() => {
                self.stale_while_revalidate = seconds();
            }
            "stale-if-error" if self.stale_if_error.is_none() => self.stale_if_error = seconds(),
            "no-store" => self.no_store = true,
            "public" => self.public = true,
            "must-revalidate" => self.must_revalidate = true,
            "proxy-revalidate" => self.proxy_revalidate = true,
            "must-understand" => self.must_understand = true,
            "no-cache" => match value.and_then(Value::fields) {
                Some(fields) => self.fields.extend(fields),
                None => self.no_cache = true,
            },
            "private" => match value.and_then(Value::fields) {
                Some(fields) => self.fields.extend(fields),
                None => self.private = true,
            },
            _ => {}
        }
    }
}

/// What stands after a directive's `=`.
enum Value<'a> {
    Text(&'a str),
    Number(i64),
}

impl Value<'_> {
    /// Whole seconds; a number too large counts as the largest (RFC 9111 1.2.2).
    fn seconds(&self) -> Option<Duration> {
        let seconds = match self {
            Value::Number(number) => u64::try_from(*number).ok()?,
            Value::Text(digits) if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                return None;
            }
            Value::Text(digits) => digits.parse().unwrap_or(u64::MAX),
        };
        Some(Duration::from_secs(seconds.min(DELTA_SECONDS_MAX)))
    }

    /// The names of a field list; `None` when there are none, so that the
    /// directive stands for the whole response.
    fn fields(self) -> Option<Vec<HeaderName>> {
        let Value::Text(text) = self else { return None };
        let names = text.split(',').map(str::trim).filter(|name| !name.is_empty());
        let names: Option<Vec<HeaderName>> = names.map(|name| HeaderName::from_bytes(name.as_bytes()).ok()).collect();
        names.filter(|names| !names.is_empty())
    }
}

/// Gives each member of a field that is a list to `take`.
fn each(headers: &HeaderMap, name: &str, mut take: impl FnMut(&str)) {
    for value in headers.get_all(name) {
        split_outside_quotes(&String::from_utf8_lossy(value.as_bytes())).for_each(&mut take);
    }
}

/// A value without its quotes. White space around `=` makes it no value at all.
fn unquoted<'a>(name: &str, value: &'a str) -> &'a str {
    if name.ends_with([' ', '\t']) || value.starts_with([' ', '\t']) {
        return "";
    }
    let inside = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
    inside.unwrap_or(value)
}

/// The members of a comma-separated list. A comma in a quoted string separates nothing.
pub(crate) fn split_outside_quotes(text: &str) -> impl Iterator<Item = &str> {
    let (mut quoted, mut escaped) = (false, false);
    let members = text.split(move |character| {
        let separates = character == ',' && !quoted;
        match character {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            _ => {}
        }
        separates
    });
    members.map(str::trim).filter(|member| !member.is_empty())
}

/// `CDN-Cache-Control`: a dictionary (RFC 9213 2.1). One that is none, or is
/// empty, is ignored; parameters of its members have no meaning here.
fn targeted(headers: &HeaderMap) -> Option<Directives> {
    let lines: Vec<&[u8]> = headers.get_all("cdn-cache-control").iter().map(|value| value.as_bytes()).collect();
    let members = Parser::parse_dictionary(&lines.join(&b", "[..])).ok().filter(|members| !members.is_empty())?;
    let mut found = Directives { targeted: true, ..Directives::default() };
    for (name, member) in &members {
        let ListEntry::Item(Item { bare_item, .. }) = member else { continue };
        match bare_item {
            BareItem::Boolean(true) => found.add(name, None),
            BareItem::Integer(number) => found.add(name, Some(Value::Number(*number))),
            BareItem::String(text) | BareItem::Token(text) => found.add(name, Some(Value::Text(text))),
            _ => {}
        }
    }
    Some(found)
}

/// Its older form, of the W3C's Edge Architecture. A directive with a target
/// (`max-age=60;name`) is for the surrogate of that name, and above one without.
fn surrogate_control(headers: &HeaderMap) -> Option<Directives> {
    let mut found = Directives::default();
    // What is said first counts.
    each(headers, "surrogate-control", |directive| {
        let targeted = directive.rsplit_once(';').filter(|(_, target)| target.trim() == SURROGATE);
        targeted.into_iter().for_each(|(directive, _)| found.add_text(directive.trim_end()));
    });
    each(headers, "surrogate-control", |directive| {
        if !directive.contains(';') {
            found.add_text(directive);
        }
    });
    (found != Directives::default()).then_some(Directives { targeted: true, ..found })
}

/// Announces this cache to an origin, under the name that [`Directives::of`] goes by.
pub(crate) const SURROGATE_CAPABILITY: &str = "selvedge=\"Surrogate/1.0\"";
const SURROGATE: &str = "selvedge";

/// CloudFront's bound of every lifetime, seconds: one hundred years.
const DELTA_SECONDS_MAX: u64 = 100 * 365 * 86_400;

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;
    use proptest::prelude::*;

    fn of(lines: &[(&'static str, &str)]) -> Directives {
        let lines = lines.iter().map(|(name, value)| {
            (HeaderName::from_static(name), HeaderValue::from_str(value).expect("a test's value is valid"))
        });
        let mut headers = HeaderMap::new();
        lines.for_each(|(name, value)| {
            headers.append(name, value);
        });
        Directives::of(&headers)
    }

    fn max_age(value: &str) -> Option<u64> {
        of(&[("cache-control", value)]).max_age.map(|age| age.as_secs())
    }

    #[test]
    fn a_lifetime_is_digits_alone_and_anything_else_is_zero() {
        for (value, expected) in [
            ("max-age=60", Some(60)),
            ("MaX-aGe=60", Some(60)),
            ("max-age=\"60\"", Some(60)),
            ("max-age=0060", Some(60)),
            ("max-age=99999999999999999999999", Some(DELTA_SECONDS_MAX)),
            ("max-age='60'", Some(0)),
            ("max-age=60.5", Some(0)),
            ("max-age=-60", Some(0)),
            ("max-age=60a", Some(0)),
            ("max-age =60", Some(0)),
            ("max-age= 60", Some(0)),
            ("max-age", Some(0)),
            ("max-age=", Some(0)),
            ("x-max-age=60", None),
        ] {
            assert_eq!(max_age(value), expected, "{value}");
        }
    }

    #[test]
    fn quoted_commas_and_directives_in_quotes_mean_nothing() {
        assert_eq!(max_age("ext=\"a, max-age=60\", max-age=1"), Some(1));
        assert_eq!(max_age("max-age=1, ext=\"max-age=60\""), Some(1));
        assert_eq!(max_age("ext=\"\\\", max-age=60\", public"), None);
    }

    #[test]
    fn the_first_of_two_lifetimes_counts_on_one_line_or_on_two() {
        assert_eq!(max_age("max-age=1, max-age=60"), Some(1));
        let two = of(&[("cache-control", "max-age=60"), ("cache-control", "max-age=1")]);
        assert_eq!(two.max_age, Some(Duration::from_secs(60)));
    }

    #[test]
    fn a_field_list_keeps_the_rest_of_the_response_storable() {
        let named = of(&[("cache-control", "no-cache=\"Set-Cookie, X-A\", private=\"x-b\"")]);
        assert_eq!((named.no_cache, named.private), (false, false));
        assert_eq!(named.fields, ["set-cookie", "x-a", "x-b"].map(HeaderName::from_static));
        for whole in ["no-cache=\"\"", "no-cache=\"not a name\"", "No-CaChE", "private="] {
            let whole = of(&[("cache-control", whole)]);
            assert!((whole.no_cache || whole.private) && whole.fields.is_empty());
        }
    }

    #[test]
    fn a_targeted_field_replaces_cache_control_unless_it_is_malformed() {
        let both = of(&[("cache-control", "no-store"), ("cdn-cache-control", "max-age=60;x=y, must-revalidate")]);
        assert_eq!((both.targeted, both.no_store, both.must_revalidate), (true, false, true));
        assert_eq!(both.max_age, Some(Duration::from_secs(60)));
        let surrogate = of(&[("cdn-cache-control", "max-age=1"), ("surrogate-control", "max-age=60")]);
        assert_eq!(surrogate.max_age, Some(Duration::from_secs(1)));
        let surrogate = of(&[
            ("surrogate-control", "content=\"ESI/1.0\", max-age=9, max-age=60;selvedge, no-store;other"),
            ("cache-control", "private"),
        ]);
        assert_eq!(
            (surrogate.max_age, surrogate.no_store, surrogate.private),
            (Some(Duration::from_secs(60)), false, false)
        );
        assert!(of(&[("surrogate-control", "max-age=60;other"), ("cache-control", "private")]).private);
        for malformed in ["max-age=", "max-age =60", "&", ""] {
            let fallen = of(&[("cache-control", "no-store"), ("cdn-cache-control", malformed)]);
            assert!(fallen.no_store && !fallen.targeted, "{malformed}");
        }
    }

    #[test]
    fn must_understand_takes_the_place_of_no_store() {
        assert!(of(&[("cache-control", "no-store")]).forbids_storing());
        assert!(!of(&[("cache-control", "no-store, must-understand")]).forbids_storing());
    }

    proptest! {
        #[test]
        fn no_value_panics_or_lives_longer_than_a_century(value in "[ -~]{0,60}") {
            let found = of(&[("cache-control", &value), ("cdn-cache-control", &value)]);
            prop_assert!(found.lifetime().is_none_or(|age| age.as_secs() <= DELTA_SECONDS_MAX));
        }

        #[test]
        fn directives_keep_their_meaning_in_any_order(max_age in 0u64..1_000_000, before in "[a-z]{1,8}", after in "[a-z]{1,8}") {
            let known = ["public", "private", "immutable"];
            prop_assume!(!known.contains(&before.as_str()) && !known.contains(&after.as_str()));
            let value = format!("{before}, max-age={max_age} , {after}=\"x,y\"");
            prop_assert_eq!(of(&[("cache-control", &value)]).max_age, Some(Duration::from_secs(max_age)));
        }
    }
}
