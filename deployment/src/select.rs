//! Which distribution takes a host, and which behavior a path. Runs once per
//! request and allocates only for paths that need normalising.

use std::sync::Arc;

use crate::model::{Behavior, Deployment, Distribution};
use crate::normalise::normalise;

impl Deployment {
    /// The distribution for a `Host` header or SNI name, with or without port.
    /// An exact name wins over a wildcard, the longest wildcard over shorter
    /// ones, and `*` takes the rest. No host is a staging distribution's.
    #[must_use]
    pub fn distribution(&self, host: &str) -> Option<&Arc<Distribution>> {
        let name = without_port(host);
        let mut best: Option<(usize, &Arc<Distribution>)> = None;
        for distribution in self.distributions.iter().filter(|distribution| !distribution.is_staging) {
            if distribution.domain_name.eq_ignore_ascii_case(name) {
                return Some(distribution);
            }
            for domain in &distribution.domains {
                let rank = match_rank(domain, name);
                if rank > best.map_or(0, |(best, _)| best) {
                    best = Some((rank, distribution));
                }
            }
        }
        best.map(|(_, distribution)| distribution)
    }
}

impl Distribution {
    /// The behavior for the path of a request target, as the viewer sent it,
    /// without query. The first pattern that matches the normalised path wins;
    /// the default behavior matches everything.
    #[must_use]
    pub fn behavior(&self, raw_path: &str) -> &Arc<Behavior> {
        let path = normalise(raw_path);
        self.behaviors
            .iter()
            .find(|behavior| behavior.pattern.matches(&path))
            .unwrap_or_else(|| self.behaviors.last().expect("the default behavior is always there"))
    }
}

/// The host without port, without the brackets of an IPv6 literal and without
/// the dot that ends a fully qualified name.
pub(crate) fn without_port(host: &str) -> &str {
    if let Some(literal) = host.strip_prefix('[') {
        return literal.split(']').next().unwrap_or(literal);
    }
    let name = match host.split_once(':') {
        // More than one colon and no brackets: an IPv6 literal as such.
        Some((name, rest)) if !rest.contains(':') => name,
        _ => host,
    };
    name.strip_suffix('.').unwrap_or(name)
}

/// 0 when `domain` does not take `name`; otherwise larger is more specific.
fn match_rank(domain: &str, name: &str) -> usize {
    if domain == "*" {
        return 1;
    }
    if let Some(suffix) = domain.strip_prefix('*') {
        let boundary = name.len().saturating_sub(suffix.len());
        let ends = boundary > 0 && name.is_char_boundary(boundary) && name[boundary..].eq_ignore_ascii_case(suffix);
        return if ends { 1 + suffix.len() } else { 0 };
    }
    if domain.eq_ignore_ascii_case(name) { usize::MAX } else { 0 }
}
