//! A custom policy: which URLs, between which times, from which addresses.

use super::Asked;
use deployment::wildcard_matches;
use serde::Deserialize;
use std::net::{IpAddr, Ipv4Addr};
use std::time::{SystemTime, UNIX_EPOCH};

/// What this edge does not know it must not overlook: unknown fields are refused.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct Statements {
    statement: Vec<Policy>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
pub(super) struct Policy {
    resource: Option<String>,
    condition: Condition,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct Condition {
    date_less_than: Time,
    date_greater_than: Option<Time>,
    ip_address: Option<Addresses>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Time {
    #[serde(rename = "AWS:EpochTime")]
    seconds: u64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Addresses {
    #[serde(rename = "AWS:SourceIp")]
    block: String,
}

impl Policy {
    /// # Errors
    /// What is not as AWS's "Create a policy statement for a signed URL that uses a custom policy" says.
    pub(super) fn parse(json: &[u8]) -> Result<Policy, String> {
        let statements: Statements =
            serde_json::from_slice(json).map_err(|error| format!("the policy cannot be read: {error}"))?;
        let count = statements.statement.len();
        let [policy] = <[Policy; 1]>::try_from(statements.statement)
            .map_err(|_| format!("the policy has {count} statements, it must have one"))?;
        Ok(policy)
    }

    /// # Errors
    /// Why not.
    pub(super) fn allows(&self, asked: &Asked) -> Result<(), String> {
        before(self.condition.date_less_than.seconds, asked.now)?;
        if let Some(from) = &self.condition.date_greater_than
            && unix_seconds(asked.now) <= from.seconds
        {
            return Err(format!("the policy begins at {}", from.seconds));
        }
        if let Some(addresses) = &self.condition.ip_address {
            within(&addresses.block, asked.client_ip)?;
        }
        match &self.resource {
            Some(resource) if !resource_matches(resource, &asked.url) => {
                Err(format!("the policy is for {resource:?}, not for {:?}", asked.url))
            }
            _ => Ok(()),
        }
    }
}

/// # Errors
/// The time is over.
pub(super) fn before(expires: u64, now: SystemTime) -> Result<(), String> {
    if unix_seconds(now) < expires { Ok(()) } else { Err(format!("the signature ended at {expires}")) }
}

fn unix_seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// IPv4 only, as at AWS.
fn within(block: &str, client: IpAddr) -> Result<(), String> {
    let (address, bits) = block.split_once('/').unwrap_or((block, "32"));
    let (Ok(network), Ok(bits)) = (address.parse::<Ipv4Addr>(), bits.parse::<u32>()) else {
        return Err(format!("{block:?} is not an IPv4 address or block"));
    };
    let mask = match bits {
        0 => 0,
        1..=32 => u32::MAX << (32 - bits),
        _ => return Err(format!("{block:?} is not an IPv4 block")),
    };
    let allowed = match client.to_canonical() {
        IpAddr::V4(client) => u32::from(client) & mask == u32::from(network) & mask,
        IpAddr::V6(_) => bits == 0,
    };
    if allowed { Ok(()) } else { Err(format!("the policy is for {block}, not for {client}")) }
}

/// Whether a URL is one of a policy's. A wildcard stays within its part (scheme,
/// host, path, query) unless it ends the host or the path.
fn resource_matches(resource: &str, url: &str) -> bool {
    let resource = resource.replace("\\?", "?");
    let Some((scheme, rest)) = url.split_once("://") else { return false };
    let (wanted_scheme, wanted) = match resource.split_once("://") {
        Some(split) => split,
        None if resource.starts_with('*') => ("*", resource.as_str()),
        None => return false,
    };
    let (host, target) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let (wanted_host, wanted_target) = wanted.split_at(wanted.find('/').unwrap_or(wanted.len()));
    if !wildcard_matches(wanted_scheme.as_bytes(), scheme) || !wildcard_matches(wanted_host.as_bytes(), host) {
        return false;
    }
    if wanted_target.is_empty() {
        return wanted_host.ends_with('*') || matches!(target, "" | "/");
    }
    target_matches(wanted_target, target)
}

/// A `?` is one character or where the query begins.
fn target_matches(wanted: &str, target: &str) -> bool {
    let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
    let whole = (query.is_none() || wanted.ends_with('*')) && wildcard_matches(wanted.as_bytes(), path);
    let split = query.is_some_and(|query| {
        wanted.match_indices('?').any(|(at, _)| {
            wildcard_matches(&wanted.as_bytes()[..at], path) && wildcard_matches(&wanted.as_bytes()[at + 1..], query)
        })
    });
    whole || split
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_stay_within_their_part() {
        let url = "https://cdn.example.com/a/b.jpg?size=large";
        for (resource, expected) in [
            ("*", true),
            ("https://cdn.example.com/a/b.jpg?size=large", true),
            ("https://cdn.example.com/a/b.jpg\\?size=large", true),
            ("https://cdn.example.com/a/b.jpg", false),
            ("https://cdn.example.com/a/*", true),
            ("https://cdn.example.com/a/?.jpg?size=*", true),
            ("https://cdn.example.com/*?size=large", true),
            ("https://cdn.example.com/*?size=small", false),
            ("http*://cdn.example.com/*", true),
            ("http://cdn.example.com/*", false),
            ("https://*.example.com/*", true),
            ("*.example.com/*", true),
            ("https://cdn.example.com*", true),
            ("*example.com*", true),
            ("https://cdn.example.com", false),
            ("https://*/b.jpg*", false),
            ("https://cdn*large", false),
            ("cdn.example.com/*", false),
        ] {
            assert_eq!(resource_matches(resource, url), expected, "{resource}");
        }
        // What is after the host of another cannot pass for a host.
        assert!(!resource_matches("*example.com/*", "https://evil.test/?x=example.com/"));
        assert!(!resource_matches("*example.com*", "https://evil.test/example.com"));
    }

    #[test]
    fn addresses_are_within_a_block() {
        let client: IpAddr = "192.0.2.10".parse().unwrap();
        for (block, expected) in [
            ("192.0.2.10", true),
            ("192.0.2.0/24", true),
            ("0.0.0.0/0", true),
            ("192.0.2.11", false),
            ("10.0.0.0/8", false),
        ] {
            assert_eq!(within(block, client).is_ok(), expected, "{block}");
        }
        assert!(within("192.0.2.0/33", client).is_err() && within("2001:db8::/32", client).is_err());
        assert!(within("192.0.2.0/24", "::ffff:192.0.2.10".parse().unwrap()).is_ok());
        assert!(within("192.0.2.0/24", "2001:db8::1".parse().unwrap()).is_err());
    }

    #[test]
    fn a_policy_with_what_is_not_known_is_refused() {
        let good = r#"{"Statement":[{"Resource":"*","Condition":{"DateLessThan":{"AWS:EpochTime":5}}}]}"#;
        assert!(Policy::parse(good.as_bytes()).is_ok());
        for bad in [
            r#"{"Statement":[]}"#,
            r#"{"Statement":[{"Resource":"*","Condition":{}}]}"#,
            r#"{"Statement":[{"Resource":"*","Condition":{"DateLessThan":{"AWS:EpochTime":5},"Country":"SE"}}]}"#,
            r#"{"Statement":[{"Resource":"*","Effect":"Deny","Condition":{"DateLessThan":{"AWS:EpochTime":5}}}]}"#,
            "not json",
        ] {
            assert!(Policy::parse(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
