//! CloudFront's managed policies, by name and by id (AWS: "Use managed cache
//! policies", "Use managed origin request policies").

use http::HeaderName;
use std::time::Duration;

use crate::edge_headers;
use crate::model::{CachePolicy, ForwardPolicy, HeaderSelection, Selection};

/// The managed cache policy with this name or id.
#[must_use]
pub fn cache(name_or_id: &str) -> Option<CachePolicy> {
    CACHE.iter().find(|row| row.name == name_or_id || row.id == name_or_id).map(CacheRow::policy)
}

/// The managed origin request policy with this name or id.
pub(crate) fn forward(name_or_id: &str) -> Option<ForwardPolicy> {
    let row = FORWARD.iter().find(|row| row.name == name_or_id || row.id == name_or_id)?;
    let all = |whether| if whether { Selection::All } else { Selection::None };
    let headers = match row.headers {
        Headers::All => HeaderSelection::AllViewer,
        Headers::Except(list) => HeaderSelection::AllExcept(names(list)),
        Headers::Only(list) => HeaderSelection::Only(names(list)),
    };
    let edge_headers = match row.name {
        "AllViewerAndCloudFrontHeaders-2022-06" => edge_headers::all_of_2022(),
        "AllViewerExceptHostHeader" => edge_headers::all_but_who(),
        _ => Vec::new(),
    };
    Some(ForwardPolicy { headers, edge_headers, cookies: all(row.all_cookies), query: all(row.all_query) })
}

/// Every managed cache policy with its id.
#[must_use]
pub fn cache_policies() -> Vec<(&'static str, CachePolicy)> {
    CACHE.iter().map(|row| (row.id, row.policy())).collect()
}

/// Every managed origin request policy with its id and name.
#[must_use]
pub fn forward_policies() -> Vec<(&'static str, &'static str, ForwardPolicy)> {
    FORWARD.iter().filter_map(|row| forward(row.id).map(|policy| (row.id, row.name, policy))).collect()
}

/// For messages.
pub(crate) fn cache_names() -> String {
    CACHE.iter().map(|row| row.name).collect::<Vec<_>>().join(", ")
}

/// For messages.
pub(crate) fn forward_names() -> String {
    FORWARD.iter().map(|row| row.name).collect::<Vec<_>>().join(", ")
}

struct CacheRow {
    name: &'static str,
    id: &'static str,
    /// Minimum, default and maximum, seconds.
    ttl: (u64, u64, u64),
    headers: &'static [&'static str],
    all_cookies: bool,
    query: Query,
    /// gzip, brotli.
    encodings: (bool, bool),
}

enum Query {
    None,
    Only(&'static [&'static str]),
    All,
}

impl CacheRow {
    fn policy(&self) -> CachePolicy {
        CachePolicy {
            name: self.name.into(),
            min_ttl: Duration::from_secs(self.ttl.0),
            default_ttl: Duration::from_secs(self.ttl.1),
            max_ttl: Duration::from_secs(self.ttl.2),
            headers: names(self.headers),
            cookies: if self.all_cookies { Selection::All } else { Selection::None },
            query: match self.query {
                Query::None => Selection::None,
                Query::Only(list) => Selection::Only(list.iter().map(|name| (*name).to_owned()).collect()),
                Query::All => Selection::All,
            },
            gzip: self.encodings.0,
            brotli: self.encodings.1,
        }
    }
}

struct ForwardRow {
    name: &'static str,
    id: &'static str,
    headers: Headers,
    all_cookies: bool,
    all_query: bool,
}

enum Headers {
    All,
    Except(&'static [&'static str]),
    Only(&'static [&'static str]),
}

fn names(list: &[&'static str]) -> Vec<HeaderName> {
    list.iter().map(|name| HeaderName::from_static(name)).collect()
}

const DAY: u64 = 86_400;
const YEAR: u64 = 365 * DAY;
const ORIGIN_CONTROLLED: &[&str] = &["host", "origin", "x-http-method-override", "x-http-method", "x-method-override"];

const CACHE: &[CacheRow] = &[
    CacheRow {
        name: "CachingOptimized",
        id: "658327ea-f89d-4fab-a63d-7e88639e58f6",
        ttl: (1, DAY, YEAR),
        headers: &[],
        all_cookies: false,
        query: Query::None,
        encodings: (true, true),
    },
    CacheRow {
        name: "CachingDisabled",
        id: "4135ea2d-6df8-44a3-9df3-4b5a84be39ad",
        ttl: (0, 0, 0),
        headers: &[],
        all_cookies: false,
        query: Query::None,
        encodings: (false, false),
    },
    CacheRow {
        name: "CachingOptimizedForUncompressedObjects",
        id: "b2884449-e4de-46a7-ac36-70bc7f1ddd6d",
        ttl: (1, DAY, YEAR),
        headers: &[],
        all_cookies: false,
        query: Query::None,
        encodings: (false, false),
    },
    CacheRow {
        name: "UseOriginCacheControlHeaders",
        id: "83da9c7e-98b4-4e11-a168-04f0df8e2c65",
        ttl: (0, 0, YEAR),
        headers: ORIGIN_CONTROLLED,
        all_cookies: true,
        query: Query::None,
        encodings: (true, true),
    },
    CacheRow {
        name: "UseOriginCacheControlHeaders-QueryStrings",
        id: "4cc15a8a-d715-48a4-82b8-cc0b614638fe",
        ttl: (0, 0, YEAR),
        headers: ORIGIN_CONTROLLED,
        all_cookies: true,
        query: Query::All,
        encodings: (true, true),
    },
    CacheRow {
        name: "Elemental-MediaPackage",
        id: "08627262-05a9-4f76-9ded-b50ca2e3a84f",
        ttl: (0, DAY, YEAR),
        headers: &["origin"],
        all_cookies: false,
        query: Query::Only(&["aws.manifestfilter", "start", "end", "m"]),
        encodings: (true, false),
    },
    CacheRow {
        name: "Amplify",
        id: "2e54312d-136d-493c-8eb9-b001f22f67d2",
        ttl: (2, 2, 600),
        headers: &["authorization", "cloudfront-viewer-country", "host"],
        all_cookies: true,
        query: Query::All,
        encodings: (true, true),
    },
];

const FORWARD: &[ForwardRow] = &[
    ForwardRow {
        name: "AllViewer",
        id: "216adef6-5c7f-47e4-b989-5492eafa07d3",
        headers: Headers::All,
        all_cookies: true,
        all_query: true,
    },
    ForwardRow {
        name: "AllViewerExceptHostHeader",
        id: "b689b0a8-53d0-40ab-baf2-68738e2966ac",
        headers: Headers::Except(&["host"]),
        all_cookies: true,
        all_query: true,
    },
    ForwardRow {
        name: "AllViewerAndCloudFrontHeaders-2022-06",
        id: "33f36d7e-f396-46d9-90e0-52428a34d9dc",
        headers: Headers::All,
        all_cookies: true,
        all_query: true,
    },
    ForwardRow {
        name: "CORS-CustomOrigin",
        id: "59781a5b-3903-41f3-afcb-af62929ccde1",
        headers: Headers::Only(&["origin"]),
        all_cookies: false,
        all_query: false,
    },
    ForwardRow {
        name: "CORS-S3Origin",
        id: "88a5eaf4-2fd4-4709-b370-b4c650ea3fcf",
        headers: Headers::Only(&["origin", "access-control-request-headers", "access-control-request-method"]),
        all_cookies: false,
        all_query: false,
    },
    ForwardRow {
        name: "UserAgentRefererHeaders",
        id: "acba4595-bd28-49b8-b9fe-13317c0390fa",
        headers: Headers::Only(&["user-agent", "referer"]),
        all_cookies: false,
        all_query: false,
    },
    ForwardRow {
        name: "HostHeaderOnly",
        id: "bf0718e1-ba1e-49d1-88b1-f726733018ae",
        headers: Headers::Only(&["host"]),
        all_cookies: false,
        all_query: false,
    },
    ForwardRow {
        name: "Elemental-MediaTailor-PersonalizedManifests",
        id: "775133bc-15f2-49f9-abea-afb2e0bf67d2",
        headers: Headers::Only(&[
            "origin",
            "access-control-request-headers",
            "access-control-request-method",
            "user-agent",
            "x-forwarded-for",
        ]),
        all_cookies: false,
        all_query: true,
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_are_found_by_name_and_by_id() {
        for row in CACHE {
            assert_eq!(cache(row.name), cache(row.id));
            assert_eq!(cache(row.id).unwrap().name, row.name);
        }
        for row in FORWARD {
            assert!(forward(row.name).is_some());
            assert_eq!(forward(row.name), forward(row.id));
        }
        assert_eq!(cache("cachingoptimized"), None);
    }

    #[test]
    fn caching_disabled_keeps_nothing() {
        let policy = cache("CachingDisabled").unwrap();
        assert_eq!(policy.max_ttl, Duration::ZERO);
        assert!(!policy.gzip && !policy.brotli);
    }
}
