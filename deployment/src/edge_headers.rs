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

/// Those of the managed policy `AllViewerAndCloudFrontHeaders-2022-06`, but for what this edge cannot make.
pub(crate) fn all_of_2022() -> Vec<HeaderName> {
    let lists = DEVICE.iter().chain(&REQUEST[..3]).chain(&GEO);
    lists.map(|name| HeaderName::from_static(name)).collect()
}

const DEVICE: [&str; 6] = [
    "cloudfront-is-android-viewer",
    "cloudfront-is-desktop-viewer",
    "cloudfront-is-ios-viewer",
    "cloudfront-is-mobile-viewer",
    "cloudfront-is-smarttv-viewer",
    "cloudfront-is-tablet-viewer",
];
const REQUEST: [&str; 5] = [
    "cloudfront-forwarded-proto",
    "cloudfront-viewer-address",
    "cloudfront-viewer-http-version",
    "cloudfront-viewer-header-count",
    "cloudfront-viewer-header-order",
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
