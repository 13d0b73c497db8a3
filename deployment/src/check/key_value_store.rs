//! Checks of key value stores, `[key_value_stores.NAME]`, and of the functions that name them.

use super::{Author, Context};
use crate::key_values::{KeyValueStore, import};
use crate::raw::{NameOr, Named, RawFunction, RawKeyValueStore, Text};
use environment::limits::STORES_OF_FUNCTION_MAX;
use environment::{Language, Runtime};
use functions::StoreName;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

/// AWS: "CreateKeyValueStore", Name.
const NAME_MAX: usize = 64;

/// Every store that can be read, by its name.
pub(super) fn stores(ctx: &mut Context, raw: &Named<RawKeyValueStore>) -> BTreeMap<String, Arc<KeyValueStore>> {
    let mut stores = BTreeMap::new();
    for (name, store) in raw {
        let text = name.get_ref();
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        if text.is_empty() || text.len() > NAME_MAX || !text.bytes().all(allowed) {
            let rule = format!("1 to {NAME_MAX} letters, digits, - and _");
            ctx.findings.add(name.span(), format!("key value store name {text:?} must be {rule}"));
        }
        let Some(source) = &store.source else {
            ctx.findings.add(name.span(), format!("key value store {text} has no source: a .json file of pairs"));
            continue;
        };
        stores.extend(read(ctx, source).map(|store| (text.clone(), Arc::new(store))));
    }
    stores
}

/// The stores that a function names. `known` are those of the configuration file.
pub(super) fn of_function(
    ctx: &mut Context,
    raw: &RawFunction,
    runtime: Runtime,
    known: &Named<RawKeyValueStore>,
) -> Vec<StoreName> {
    let mut named: Vec<StoreName> = Vec::new();
    for written in &raw.key_value_stores {
        let store = match (written.get_ref(), ctx.author) {
            (NameOr::Name(name), Author::Operator) => {
                if !known.keys().any(|key| key.get_ref() == name) {
                    let message = format!("key value store {name:?} is not in [key_value_stores]");
                    ctx.findings.add(written.span(), message);
                }
                StoreName { name: name.clone(), id: format!("{OF_FILE}{name}") }
            }
            (NameOr::Table(store), Author::ControlPlane) => {
                StoreName { name: store.name.clone(), id: store.id.clone() }
            }
            (NameOr::Name(_), Author::ControlPlane) | (NameOr::Table(_), Author::Operator) => {
                ctx.findings.add(written.span(), "key_value_stores is a list of names");
                continue;
            }
        };
        if named.contains(&store) {
            ctx.findings.add(written.span(), format!("key value store {:?} is named twice", store.name));
        }
        named.push(store);
    }
    let place = raw.key_value_stores.first().map(toml::Spanned::span).unwrap_or_default();
    if named.len() > STORES_OF_FUNCTION_MAX {
        let message = format!("key_value_stores names {}, at most {STORES_OF_FUNCTION_MAX} are allowed", named.len());
        ctx.findings.add(place.clone(), message);
    }
    if !named.is_empty() && runtime.language() == Language::Custom {
        let message = format!("key_value_stores: a function of runtime {} has no way to read them", runtime.id());
        ctx.findings.add(place, message);
    }
    named
}

fn read(ctx: &mut Context, source: &Text) -> Option<KeyValueStore> {
    let path = ctx.path(source.get_ref());
    let opened = std::fs::read(&path).and_then(|text| Ok((text, std::fs::metadata(&path)?.modified()?)));
    let (text, modified) = match opened {
        Ok(opened) => opened,
        Err(error) => {
            ctx.findings.add(source.span(), format!("source {}: {error}", path.display()));
            return None;
        }
    };
    match import(&text) {
        Ok(pairs) => Some(KeyValueStore { source: path, modified, digest: digest(&pairs), pairs }),
        Err(error) => {
            ctx.findings.add(source.span(), format!("source {}: {error}", path.display()));
            None
        }
    }
}

fn digest(pairs: &BTreeMap<String, String>) -> String {
    let mut hasher = Sha256::new();
    for text in pairs.iter().flat_map(|(key, value)| [key, value]) {
        hasher.update((text.len() as u64).to_le_bytes());
        hasher.update(text);
    }
    hasher.finalize().iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

/// Stores of the file are published with this before their names, so that none is taken for one of the control plane's.
pub(super) const OF_FILE: &str = "file.";
