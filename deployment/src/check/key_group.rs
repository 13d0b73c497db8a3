//! Checks of key groups: `[key_groups.NAME]`.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Author, Context};
use crate::key_group::{KeyGroup, PublicKey};
use crate::raw::{Named, RawKeyGroup, Text};

/// AWS: "Quotas on key groups".
const KEYS_MAX: usize = 5;
const GROUPS_OF_A_BEHAVIOR_MAX: usize = 4;

/// Every group, without the keys that cannot be read.
pub(super) fn groups(ctx: &mut Context, raw: &Named<RawKeyGroup>) -> BTreeMap<String, Arc<KeyGroup>> {
    let mut groups = BTreeMap::new();
    for (name, group) in raw {
        let count = group.keys.len();
        if count == 0 || count > KEYS_MAX {
            let message = format!("key group {} has {count} keys, it must have 1 to {KEYS_MAX}", name.get_ref());
            ctx.findings.add(name.span(), message);
        }
        let mut keys = BTreeMap::new();
        for (id, file) in &group.keys {
            let (place, read) = match ctx.author {
                // It has no files.
                Author::ControlPlane => (String::new(), Ok(file.get_ref().clone().into_bytes())),
                Author::Operator => {
                    let path = ctx.path(file.get_ref());
                    let read = std::fs::read(&path).map_err(|error| format!("cannot be read: {error}"));
                    (format!("{} ", path.display()), read)
                }
            };
            match read.and_then(|pem| PublicKey::from_pem(&pem)) {
                Ok(key) => drop(keys.insert(id.get_ref().clone(), key)),
                Err(message) => ctx.findings.add(file.span(), format!("key {}: {place}{message}", id.get_ref())),
            }
        }
        groups.insert(name.get_ref().clone(), Arc::new(KeyGroup { keys }));
    }
    groups
}

/// The groups that a behavior trusts.
pub(super) fn trusted(ctx: &mut Context, groups: &BTreeMap<String, Arc<KeyGroup>>, raw: &[Text]) -> Vec<Arc<KeyGroup>> {
    if let Some(last) = raw.get(GROUPS_OF_A_BEHAVIOR_MAX) {
        let count = raw.len();
        let message = format!("behavior trusts {count} key groups, at most {GROUPS_OF_A_BEHAVIOR_MAX} are allowed");
        ctx.findings.add(last.span(), message);
    }
    let mut trusted = Vec::with_capacity(raw.len());
    for name in raw {
        match groups.get(name.get_ref()) {
            Some(group) => trusted.push(Arc::clone(group)),
            None => ctx.findings.add(name.span(), format!("key group {:?} does not exist", name.get_ref())),
        }
    }
    trusted
}
