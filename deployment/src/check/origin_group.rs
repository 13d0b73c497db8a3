//! Checks of origin groups: `[distributions.NAME.origin_groups.NAME]`.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Context;
use crate::model::{Failover, Origin};
use crate::raw::{RawDistribution, RawOriginGroup, Text};

/// AWS: "Quotas on CloudFront".
const GROUPS_MAX: usize = 10;
/// AWS: "OriginGroupFailoverCriteria".
const STATUSES: [u16; 9] = [400, 403, 404, 416, 429, 500, 502, 503, 504];

/// A primary origin and what takes its place.
pub(super) type Group = (Arc<Origin>, Arc<Failover>);

/// The groups without problems, by name.
pub(super) fn groups(
    ctx: &mut Context,
    raw: &RawDistribution,
    origins: &BTreeMap<String, Arc<Origin>>,
) -> BTreeMap<String, Group> {
    let mut groups = BTreeMap::new();
    if let Some((name, _)) = raw.origin_groups.iter().nth(GROUPS_MAX) {
        let count = raw.origin_groups.len();
        ctx.findings.add(name.span(), format!("there are {count} origin_groups, at most {GROUPS_MAX} are allowed"));
    }
    for (name, group) in &raw.origin_groups {
        if raw.origins.contains_key(name.get_ref().as_str()) {
            let message = format!("origin group {:?} has the name of an origin", name.get_ref());
            ctx.findings.add(name.span(), message);
        }
        if let Some(group) = self::group(ctx, raw, group, origins) {
            groups.insert(name.get_ref().clone(), group);
        }
    }
    groups
}

fn group(
    ctx: &mut Context,
    raw: &RawDistribution,
    group: &RawOriginGroup,
    origins: &BTreeMap<String, Arc<Origin>>,
) -> Option<Group> {
    let mut member = |key: &str, name: &Text| {
        if !raw.origins.contains_key(name.get_ref().as_str()) {
            let message = format!("{key} {:?} is not an origin of this distribution", name.get_ref());
            ctx.findings.add(name.span(), message);
        }
        origins.get(name.get_ref()).cloned()
    };
    let (primary, secondary) = (member("primary", &group.primary), member("secondary", &group.secondary));
    if group.primary.get_ref() == group.secondary.get_ref() {
        ctx.findings.add(group.secondary.span(), "secondary is the primary: a group has two origins");
    }
    let mut statuses = Vec::new();
    for status in group.statuses.get_ref() {
        match STATUSES.iter().find(|known| i64::from(**known) == *status) {
            Some(known) => statuses.push(*known),
            None => {
                let known = STATUSES.iter().map(u16::to_string).collect::<Vec<_>>().join(", ");
                ctx.findings.add(group.statuses.span(), format!("status {status} is not one of {known}"));
            }
        }
    }
    if group.statuses.get_ref().is_empty() {
        ctx.findings.add(group.statuses.span(), "statuses is empty: nothing would make the secondary take over");
    }
    Some((primary?, Arc::new(Failover { secondary: secondary?, statuses })))
}
