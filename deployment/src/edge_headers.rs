//! The `CloudFront-*` request headers that the edge makes where a policy names them
//! (AWS: "Add CloudFront request headers").

use http::HeaderName;

/// What a header's value is made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MadeFrom {
    /// The request or its connection.
    Request,
    /// The database of `[server] geo_database`.
    Geo,
}

/// What a header is made from; `None` when the edge does not make it.
#[must_use]
pub fn made_from(name: &HeaderName) -> Option<MadeFrom> {
    let of = |list: &[&str]| list.contains(&name.as_str());
    if of(&DEVICE) || of(&REQUEST) { Some(MadeFrom::Request) } else { of(&GEO).then_some(MadeFrom::Geo) }
}

/// Whether a header is one of CloudFront's own, which only the edge may make.
pub(crate) fn is_cloudfronts(name: &HeaderName) -> bool {
    name.as_str().starts_with("cloudfront-")
}

/// Whether it may be in a cache key. What is another for nearly every viewer may not.
pub(crate) fn may_be_keyed(name: &HeaderName) -> bool {
    !ONLY_FORWARDED.contains(&name.as_str())
}

/// Those of the managed policy `AllViewerAndCloudFrontHeaders-2022-06`.
pub(crate) fn all_of_2022() -> Vec<HeaderName> {
    let lists = DEVICE.iter().chain(&REQUEST[..4]).chain(&GEO);
    lists.map(|name| HeaderName::from_static(name)).collect()
}

/// Those of the managed policy `AllViewerExceptHostHeader`, which tells origins less of who a viewer is.
pub(crate) fn all_but_who() -> Vec<HeaderName> {
    all_of_2022().into_iter().filter(|name| !WHO.contains(&name.as_str())).collect()
}

const DEVICE: [&str; 6] = [
    "cloudfront-is-android-viewer",
    "cloudfront-is-desktop-viewer",
    "cloudfront-is-ios-viewer",
    "cloudfront-is-mobile-viewer",
    "cloudfront-is-smarttv-viewer",
    "cloudfront-is-tablet-viewer",
];
const REQUEST: [&str; 10] = [
    "cloudfront-forwarded-proto",
    "cloudfront-viewer-address",
    "cloudfront-viewer-http-version",
    "cloudfront-viewer-tls",
    "cloudfront-viewer-header-count",
    "cloudfront-viewer-header-order",
    "cloudfront-viewer-ja3-fingerprint",
    "cloudfront-viewer-ja4-fingerprint",
    "cloudfront-error-args",
    "cloudfront-error-uri",
];
const GEO: [&str; 11] = [
    "cloudfront-viewer-asn",
    "cloudfront-viewer-city",
    "cloudfront-viewer-country",
    "cloudfront-viewer-country-name",
    "cloudfront-viewer-country-region",
    "cloudfront-viewer-country-region-name",
    "cloudfront-viewer-latitude",
    "cloudfront-viewer-longitude",
    "cloudfront-viewer-metro-code",
    "cloudfront-viewer-postal-code",
    "cloudfront-viewer-time-zone",
];
const WHO: [&str; 2] = ["cloudfront-viewer-address", "cloudfront-viewer-asn"];
const ONLY_FORWARDED: [&str; 7] = [
    "cloudfront-error-args",
    "cloudfront-error-uri",
    "cloudfront-viewer-address",
    "cloudfront-viewer-asn",
    "cloudfront-viewer-ja3-fingerprint",
    "cloudfront-viewer-ja4-fingerprint",
    "cloudfront-viewer-tls",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_managed_policies_have_the_headers_that_cloudfront_lists() {
        assert_eq!(all_of_2022().len(), 21);
        let fewer = all_but_who();
        assert_eq!(fewer.len(), 19);
        assert!(fewer.iter().all(|name| !name.as_str().ends_with("-address") && !name.as_str().ends_with("-asn")));
        assert!(all_of_2022().iter().chain(&fewer).all(|name| made_from(name).is_some()));
    }
}
