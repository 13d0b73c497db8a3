//! What makes two requests the same to the cache, and what of a request the
//! policies let through to the origin: headers, cookies, query parameters and
//! the accepted encodings. Pure.

use deployment::{Behavior, CachePolicy, Distribution, HeaderSelection, Selection};
use http::header::{ACCEPT_ENCODING, COOKIE, HOST};
use http::{HeaderMap, Method};
use sha2::{Digest, Sha256};

/// The cache key's bytes: every part with its length before it, so that no part
/// can pass for another. Holds the distribution, the behavior, the raw path, and
/// what the cache policy names (AWS: "Understand the cache key"), and `OPTIONS`: reads
/// share theirs. The viewer's host and scheme are in it where they reach the origin.
pub(crate) fn cache_key(place: &Place<'_>, method: &Method, headers: &HeaderMap) -> Vec<u8> {
    let policy = &place.behavior.cache;
    let mut key = place.bytes();
    let scheme = place.behavior.edge_headers.iter().find(|name| *name == SCHEME && !policy.headers.contains(name));
    for name in policy.headers.iter().filter(|name| *name != HOST).chain(scheme) {
        let values = headers.get_all(name);
        key.part(name.as_str());
        key.part((values.iter().count() as u64).to_le_bytes());
        values.iter().for_each(|value| key.part(value.as_bytes()));
    }
    match &policy.cookies {
        Selection::None => key.part(""),
        cookies => key.part(selected_cookies(headers, |name| selects(cookies, name))),
    }
    if let AcceptEncoding::Normalized(value) = accept_encoding(policy, headers) {
        key.part(value);
    }
    if method == Method::OPTIONS {
        key.part(method.as_str());
    }
    key.0
}

/// Where a request goes, before anything else of it counts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'a> {
    pub(crate) distribution: &'a Distribution,
    pub(crate) behavior: &'a Behavior,
    pub(crate) path: &'a str,
    pub(crate) query: &'a str,
    pub(crate) host: &'a str,
}

/// What all stored responses of one place have in common, whatever headers and
/// cookies they are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct PlaceKey([u8; 16]);

impl Place<'_> {
    /// Path and the part of the query string that is in the key: what invalidations name.
    pub(crate) fn target(&self) -> String {
        let policy = &self.behavior.cache;
        crate::wire::target(self.path, &selected_query(self.query, |name| selects(&policy.query, name)))
    }

    /// For what is stored: hits do without.
    pub(crate) fn key(&self) -> PlaceKey {
        let mut key = [0; 16];
        key[..4].copy_from_slice(&BehaviorKey::of(self.distribution, self.behavior).0);
        key[4..].copy_from_slice(&Sha256::digest(self.bytes().0)[..12]);
        PlaceKey(key)
    }

    fn bytes(&self) -> KeyBytes {
        let policy = &self.behavior.cache;
        let mut key = KeyBytes(Vec::with_capacity(KEY_BYTES + self.path.len() + self.query.len()));
        key.part(&self.distribution.id);
        key.part(self.behavior.pattern.as_str());
        key.part(self.path);
        key.part(selected_query(self.query, |name| selects(&policy.query, name)));
        if self.behavior.forward.headers.forwards_host() || policy.headers.contains(&HOST) {
            key.part(self.host.to_ascii_lowercase());
        }
        key
    }
}

/// A behavior of a distribution: where its places begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct BehaviorKey([u8; 4]);

impl BehaviorKey {
    pub(crate) fn of(distribution: &Distribution, behavior: &Behavior) -> BehaviorKey {
        let mut parts = KeyBytes::default();
        parts.part(&distribution.id);
        parts.part(behavior.pattern.as_str());
        let mut first = [0; 4];
        first.copy_from_slice(&Sha256::digest(parts.0)[..4]);
        BehaviorKey(first)
    }
}

impl PlaceKey {
    /// The behavior that stored what is there.
    pub(crate) fn behavior(&self) -> BehaviorKey {
        let [a, b, c, d, ..] = self.0;
        BehaviorKey([a, b, c, d])
    }

    /// A key that was stored as these bytes.
    pub(crate) fn of(bytes: [u8; 16]) -> PlaceKey {
        PlaceKey(bytes)
    }

    pub(crate) fn bytes(&self) -> [u8; 16] {
        self.0
    }
}

/// The header that tells the origin which scheme the viewer used.
const SCHEME: &str = "cloudfront-forwarded-proto";

#[derive(Default)]
struct KeyBytes(Vec<u8>);

impl KeyBytes {
    fn part(&mut self, part: impl AsRef<[u8]>) {
        let part = part.as_ref();
        self.0.extend_from_slice(&(part.len() as u64).to_le_bytes());
        self.0.extend_from_slice(part);
    }
}

/// Whether a policy's selection has this name.
pub(crate) fn selects(selection: &Selection, name: &str) -> bool {
    match selection {
        Selection::None => false,
        Selection::All => true,
        Selection::Only(names) => names.iter().any(|other| other == name),
        Selection::AllExcept(names) => !names.iter().any(|other| other == name),
    }
}

/// The parameters of a query string whose names are wanted, in their order.
pub(crate) fn selected_query(query: &str, wanted: impl Fn(&str) -> bool) -> String {
    let wanted = |pair: &&str| !pair.is_empty() && wanted(pair.split('=').next().unwrap_or_default());
    query.split('&').filter(wanted).collect::<Vec<_>>().join("&")
}

/// The cookies whose names are wanted, sorted by name, as one `Cookie` value; empty when there are none.
/// A `Cookie` header that is not in `name=value` form counts as absent.
pub(crate) fn selected_cookies(headers: &HeaderMap, wanted: impl Fn(&str) -> bool) -> String {
    let values = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut cookies: Vec<(&str, &str)> = values
        .flat_map(|value| value.split(';'))
        .map(str::trim)
        .filter_map(|pair| pair.split_once('=').map(|(name, _)| (name, pair)))
        .filter(|(name, _)| wanted(name))
        .collect();
    cookies.sort_by_key(|(name, _)| *name);
    cookies.into_iter().map(|(_, pair)| pair).collect::<Vec<_>>().join("; ")
}

/// What becomes of the viewer's `Accept-Encoding` (AWS: "Cache compressed objects").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AcceptEncoding {
    /// The policy does not handle it: a header like any other.
    Ordinary,
    /// The viewer sent none: not in the key, not sent.
    Absent,
    /// The viewer accepts neither of ours: not in the key, `identity` to the origin.
    Identity,
    /// In the key, and to the origin.
    Normalized(&'static str),
}

/// Table 3.5: which of the policy's encodings the viewer accepts.
pub(crate) fn accept_encoding(policy: &CachePolicy, headers: &HeaderMap) -> AcceptEncoding {
    if !policy.gzip && !policy.brotli {
        return AcceptEncoding::Ordinary;
    }
    let accepted: Vec<&str> = headers.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok()).collect();
    if accepted.is_empty() {
        return AcceptEncoding::Absent;
    }
    let accepts = |encoding: &str| {
        accepted.iter().flat_map(|value| value.split(',')).any(|item| {
            let mut parts = item.split(';').map(str::trim);
            let named = parts.next().is_some_and(|name| name.eq_ignore_ascii_case(encoding));
            named && !parts.any(|part| matches!(part, "q=0" | "q=0.0" | "q=0.00" | "q=0.000"))
        })
    };
    match (policy.brotli && accepts("br"), policy.gzip && accepts("gzip")) {
        (true, true) => AcceptEncoding::Normalized("br,gzip"),
        (true, false) => AcceptEncoding::Normalized("br"),
        (false, true) => AcceptEncoding::Normalized("gzip"),
        (false, false) => AcceptEncoding::Identity,
    }
}

/// Whether a policy lets a header through.
pub(crate) trait ForwardsHeaders {
    fn forwards(&self, name: &http::HeaderName) -> bool;

    fn forwards_host(&self) -> bool {
        self.forwards(&HOST)
    }
}

impl ForwardsHeaders for HeaderSelection {
    fn forwards(&self, name: &http::HeaderName) -> bool {
        match self {
            HeaderSelection::None => false,
            HeaderSelection::AllViewer => true,
            HeaderSelection::Only(names) => names.contains(name),
            HeaderSelection::AllExcept(names) => !names.contains(name),
        }
    }
}

/// What most keys have besides path and query.
const KEY_BYTES: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderName, HeaderValue};
    use proptest::prelude::*;

    fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        lines.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect()
    }

    fn policy(gzip: bool, brotli: bool) -> CachePolicy {
        CachePolicy {
            name: "test".into(),
            min_ttl: std::time::Duration::ZERO,
            default_ttl: std::time::Duration::ZERO,
            max_ttl: std::time::Duration::ZERO,
            headers: vec![],
            cookies: Selection::None,
            query: Selection::None,
            gzip,
            brotli,
        }
    }

    #[test]
    fn parameters_are_chosen_by_exact_name_and_keep_their_order() {
        let only = Selection::Only(vec!["b".into(), "a".into()]);
        assert_eq!(selected_query("a=1&c=3&b=2&A=4", |name| selects(&only, name)), "a=1&b=2");
        assert_eq!(selected_query("b=2&a=1", |name| selects(&only, name)), "b=2&a=1");
        let except = Selection::AllExcept(vec!["a".into()]);
        assert_eq!(selected_query("a=1&&b&c=3", |name| selects(&except, name)), "b&c=3");
        assert_eq!(selected_query("a=1", |name| selects(&Selection::None, name)), "");
    }

    #[test]
    fn cookies_are_sorted_by_name_and_malformed_ones_left_out() {
        let sent = headers(&[("cookie", "z=1; a=2; junk; m=3")]);
        assert_eq!(selected_cookies(&sent, |_| true), "a=2; m=3; z=1");
        assert_eq!(selected_cookies(&sent, |name| name == "m"), "m=3");
        assert_eq!(selected_cookies(&HeaderMap::new(), |_| true), "");
    }

    #[test]
    fn accept_encoding_follows_the_policy_table() {
        use AcceptEncoding::{Absent, Identity, Normalized, Ordinary};
        for (gzip, brotli, sent, expected) in [
            (true, true, "br, gzip, deflate", Normalized("br,gzip")),
            (true, true, "gzip", Normalized("gzip")),
            (true, true, "deflate", Identity),
            (true, false, "br", Identity),
            (false, true, "br;q=1, gzip", Normalized("br")),
            (true, false, "gzip;q=0", Identity),
            (false, false, "br, gzip", Ordinary),
        ] {
            assert_eq!(accept_encoding(&policy(gzip, brotli), &headers(&[("accept-encoding", sent)])), expected);
        }
        assert_eq!(accept_encoding(&policy(true, true), &HeaderMap::new()), Absent);
    }

    #[test]
    fn a_part_of_the_key_cannot_pass_for_another() {
        let mut one = KeyBytes::default();
        one.part("ab");
        one.part("c");
        let mut two = KeyBytes::default();
        two.part("a");
        two.part("bc");
        assert_ne!(one.0, two.0);
    }

    fn behavior(policy: CachePolicy) -> Behavior {
        Behavior {
            trusted_key_groups: Vec::new(),
            cached_methods: deployment::CachedMethods::ReadAndOptions,
            edge_headers: Vec::new(),
            failover: None,
            compress: false,
            response_headers: None,
            pattern: deployment::PathPattern::any(),
            origin: std::sync::Arc::new(deployment::Origin {
                name: "o".into(),
                kind: deployment::OriginKind::Directory("/srv".into()),
                custom_headers: vec![],
                connection_attempts: 1,
                connect_timeout: std::time::Duration::from_secs(1),
                read_timeout: std::time::Duration::from_secs(1),
                keepalive_timeout: std::time::Duration::from_secs(1),
                access_control: None,
            }),
            allowed_methods: deployment::AllowedMethods::Read,
            viewer_protocol: deployment::ViewerProtocol::AllowAll,
            cache: policy,
            forward: deployment::ForwardPolicy {
                edge_headers: Vec::new(),
                headers: HeaderSelection::AllViewer,
                cookies: Selection::All,
                query: Selection::All,
            },
            hooks: deployment::Hooks::default(),
        }
    }

    fn distribution() -> Distribution {
        Distribution {
            name: "site".into(),
            id: "E1".into(),
            domain_name: "site.test".into(),
            domains: vec![],
            default_root_object: None,
            origins: std::collections::BTreeMap::new(),
            behaviors: vec![],
            error_pages: vec![],
            cache_tag_header: None,
            geo_restriction: None,
            is_staging: false,
            continuous_deployment: None,
        }
    }

    proptest! {
        /// The key is the same exactly when everything it stands for is.
        #[test]
        fn two_requests_share_a_key_only_when_all_that_is_in_it_is_the_same(
            paths in prop::array::uniform2("/[ab/]{0,3}"), queries in prop::array::uniform2("[ab=&]{0,4}"),
            hosts in prop::array::uniform2("[ab]{1,2}"), lines in prop::array::uniform2(prop::collection::vec("[ab]{0,2}", 0..3)),
            cookies in prop::array::uniform2("[ab=;]{0,4}"),
            methods in prop::array::uniform2(prop::sample::select(vec![Method::GET, Method::HEAD, Method::OPTIONS])),
        ) {
            let behavior = behavior(CachePolicy {
                headers: vec![HeaderName::from_static("x-a")],
                cookies: Selection::Only(vec!["a".into()]),
                query: Selection::AllExcept(vec!["b".into()]),
                ..policy(false, false)
            });
            let distribution = distribution();
            let request = |nth: usize| {
                let mut headers = headers(&[]);
                for line in &lines[nth] {
                    headers.append("x-a", HeaderValue::from_str(line).unwrap());
                }
                headers.insert(COOKIE, HeaderValue::from_str(&cookies[nth]).unwrap());
                headers
            };
            let key = |nth: usize| {
                let (path, query, host) = (paths[nth].as_str(), queries[nth].as_str(), hosts[nth].as_str());
                let place = Place { distribution: &distribution, behavior: &behavior, path, query, host };
                cache_key(&place, &methods[nth], &request(nth))
            };
            let meaning = |nth: usize| (
                paths[nth].clone(),
                selected_query(&queries[nth], |name| name != "b"),
                hosts[nth].clone(),
                lines[nth].clone(),
                selected_cookies(&request(nth), |name| name == "a"),
                methods[nth] == Method::OPTIONS,
            );
            prop_assert_eq!(key(0) == key(1), meaning(0) == meaning(1));
        }
    }
}
