//! Names for content: the digest of a deployment and the stable ids of a
//! distribution. The same configuration and packages give the same digest on
//! every machine; comments, order of keys, `[server]`, `[control]` and
//! `[runtimes]` do not count.

use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fmt::Write;
use toml::{Table, Value};

/// Tables that say how one machine is set up.
const OF_THE_MACHINE: [&str; 3] = ["server", "control", "runtimes"];

const ID_ALPHABET: &[u8; 36] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";

/// The digest of what a configuration describes, `table` being the whole file
/// and `contents` the digest of each file that it only names: a function's code, a key.
pub(crate) fn deployment(table: &Table, contents: &BTreeMap<String, String>) -> String {
    let mut hasher = Sha256::new();
    let described = table.iter().filter(|(key, _)| !OF_THE_MACHINE.contains(&key.as_str()));
    hash_table(&mut hasher, described.collect());
    for (name, digest) in contents {
        hash_text(&mut hasher, name);
        hash_text(&mut hasher, digest);
    }
    hasher.finalize().iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

/// `E` and 13 upper-case letters or digits, from a distribution's name.
pub(crate) fn distribution_id(name: &str) -> String {
    format!("E{}", letters("id", name))
}

/// `d`, 13 lower-case letters or digits and `.selvedge.local`.
#[must_use]
pub fn distribution_domain(name: &str) -> String {
    format!("d{}.selvedge.local", letters("domain", name).to_lowercase())
}

fn letters(purpose: &str, name: &str) -> String {
    let hash = Sha256::digest(format!("{purpose}\0{name}"));
    hash.iter().take(13).map(|byte| char::from(ID_ALPHABET[usize::from(*byte) % ID_ALPHABET.len()])).collect()
}

fn hash_table(hasher: &mut Sha256, entries: BTreeMap<&String, &Value>) {
    hasher.update(b"{");
    for (key, value) in entries {
        hash_text(hasher, key);
        hash_value(hasher, value);
    }
    hasher.update(b"}");
}

fn hash_value(hasher: &mut Sha256, value: &Value) {
    match value {
        Value::Table(table) => hash_table(hasher, table.iter().collect()),
        Value::Array(items) => {
            hasher.update(b"[");
            for item in items {
                hash_value(hasher, item);
            }
            hasher.update(b"]");
        }
        Value::String(text) => hash_text(hasher, text),
        other => {
            hasher.update(b"=");
            hash_text(hasher, &other.to_string());
        }
    }
}

/// With its length, so that two texts never hash like one.
fn hash_text(hasher: &mut Sha256, text: &str) {
    hasher.update((text.len() as u64).to_le_bytes());
    hasher.update(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(text: &str) -> String {
        deployment(&text.parse().unwrap(), &BTreeMap::new())
    }

    #[test]
    fn order_comments_and_server_do_not_count() {
        let one = digest("[server]\nhttp = []\n[functions.a]\nx = 1\ny = 'b'\n");
        let other = digest("[functions.a] # the same\ny = 'b'\nx = 1\n");
        assert_eq!(one, other);
        assert_eq!(one.len(), 64);
    }

    #[test]
    fn every_value_counts() {
        assert_ne!(digest("a = 1"), digest("a = '1'"));
        assert_ne!(digest("a = ['b', 'c']"), digest("a = ['bc']"));
        let contents = BTreeMap::from([("f".to_owned(), "00".to_owned())]);
        assert_ne!(digest(""), deployment(&Table::new(), &contents));
    }

    #[test]
    fn ids_have_the_shape_of_cloudfront_s() {
        let id = distribution_id("site");
        assert_eq!(id.len(), 14);
        assert!(id.starts_with('E') && id.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit()));
        assert_eq!(id, distribution_id("site"));
        assert_ne!(id, distribution_id("other"));
        assert!(distribution_domain("site").ends_with(".selvedge.local"));
    }
}
