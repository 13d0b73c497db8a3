//! A distribution for people who have no tool of AWS's: one origin, the default behavior, and what goes without
//! saying.

use super::{Client, ClientError};
use crate::cloudfront::DISTRIBUTION;
use crate::xml::{self, Element};
use http::{HeaderMap, Method, Uri};
use serde_json::{Value, json};
use uuid::Uuid;

/// What a new distribution is to be.
#[derive(Clone, Debug)]
pub struct NewDistribution {
    /// `http://` or `https://`, a host, perhaps a port and a path.
    pub origin: String,
    /// Host names of viewers, beside its own.
    pub domains: Vec<String>,
    /// The id of a cache policy.
    pub cache_policy: String,
}

impl Client {
    /// Makes a distribution, which serves when this returns. Says its id and its own domain.
    ///
    /// # Errors
    /// The origin is no URL, or the edge refuses.
    pub async fn create_distribution(&self, new: &NewDistribution) -> Result<(String, String), ClientError> {
        let config = config(new)?;
        let document = xml::document("DistributionConfig", &DISTRIBUTION.content(&config));
        let sent = (HeaderMap::new(), document.into_bytes());
        let reply = self.send("cloudfront", Method::POST, "/2020-05-31/distribution", sent).await?;
        let root = Element::parse(&reply.body).map_err(|error| ClientError::Unclear(error.to_string()))?;
        let child = |name: &str| root.children.iter().find(|child| child.name == name).map(|child| child.text.clone());
        let unclear = || ClientError::Unclear("a distribution without Id and DomainName".to_owned());
        Ok((child("Id").ok_or_else(unclear)?, child("DomainName").ok_or_else(unclear)?))
    }
}

fn config(new: &NewDistribution) -> Result<Value, ClientError> {
    let origin = origin(&new.origin)?;
    Ok(json!({
        "CallerReference": Uuid::new_v4().to_string(),
        "Comment": "",
        "Enabled": true,
        "Aliases": { "Quantity": new.domains.len(), "Items": new.domains },
        "Origins": { "Quantity": 1, "Items": [origin] },
        "DefaultCacheBehavior": {
            "TargetOriginId": ORIGIN,
            "ViewerProtocolPolicy": "allow-all",
            "CachePolicyId": new.cache_policy,
            "Compress": true,
        },
    }))
}

fn origin(url: &str) -> Result<Value, ClientError> {
    let refused = |why: &str| ClientError::Nothing(format!("origin {url:?} {why}, as in https://www.example.com"));
    let uri: Uri = url.parse().map_err(|_| refused("must be a URL"))?;
    let policy = match uri.scheme_str() {
        Some("http") => "http-only",
        Some("https") => "https-only",
        _ => return Err(refused("must begin with http:// or https://")),
    };
    if uri.query().is_some() {
        return Err(refused("must have no query string"));
    }
    let host = uri.host().ok_or_else(|| refused("must have a host"))?;
    let (port, path) = (uri.port_u16(), uri.path().trim_end_matches('/'));
    Ok(json!({
        "Id": ORIGIN,
        "DomainName": host,
        "OriginPath": path,
        "CustomOriginConfig": {
            "HTTPPort": port.filter(|_| policy == "http-only").unwrap_or(80),
            "HTTPSPort": port.filter(|_| policy == "https-only").unwrap_or(443),
            "OriginProtocolPolicy": policy,
        },
    }))
}

const ORIGIN: &str = "origin";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_a_url() {
        let made = origin("http://127.0.0.1:9000/base/").unwrap();
        assert_eq!((&made["DomainName"], &made["OriginPath"]), (&json!("127.0.0.1"), &json!("/base")));
        assert_eq!(made["CustomOriginConfig"]["HTTPPort"], 9000);
        for wrong in ["www.example.com", "ftp://a", "https://a/?b", ""] {
            assert!(origin(wrong).is_err(), "{wrong}");
        }
    }
}
