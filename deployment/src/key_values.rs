//! Key value stores: what the configuration file names, and the format that they are imported from
//! (AWS: "Create a file of key-value pairs").

use environment::limits::{KEY_BYTES_MAX, STORE_BYTES_MAX, VALUE_BYTES_MAX};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::SystemTime;

/// A store of the configuration file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyValueStore {
    /// The file that its pairs come from.
    pub source: PathBuf,
    /// When that was written.
    pub modified: SystemTime,
    /// SHA-256 of the pairs, lower-case hex.
    pub digest: String,
    pub pairs: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Import {
    data: Vec<Pair>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Pair {
    key: String,
    value: String,
}

/// Why pairs are not imported.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    #[error("its keys and values have {0} bytes, a store has at most {STORE_BYTES_MAX}")]
    TooLarge(usize),
    /// Says which rule of the format, or which pair.
    #[error("{0}")]
    Invalid(String),
}

/// The pairs of an import, `{"data": [{"key": "…", "value": "…"}]}`.
///
/// # Errors
/// What is wrong with it, or with the first pair that cannot be in a store.
pub fn import(text: &[u8]) -> Result<BTreeMap<String, String>, ImportError> {
    let import: Import = serde_json::from_slice(text).map_err(|error| {
        ImportError::Invalid(format!("it is not {{\"data\": [{{\"key\": …, \"value\": …}}]}}: {error}"))
    })?;
    let mut pairs = BTreeMap::new();
    let mut bytes = 0;
    for Pair { key, value } in import.data {
        check_pair(&key, &value).map_err(ImportError::Invalid)?;
        bytes += key.len() + value.len();
        if pairs.contains_key(&key) {
            return Err(ImportError::Invalid(format!("key {key:?} is there twice")));
        }
        pairs.insert(key, value);
    }
    if bytes > STORE_BYTES_MAX {
        return Err(ImportError::TooLarge(bytes));
    }
    Ok(pairs)
}

/// Refuses a key or a value that no store takes.
///
/// # Errors
/// A sentence with the limit.
pub fn check_pair(key: &str, value: &str) -> Result<(), String> {
    if key.is_empty() || key.len() > KEY_BYTES_MAX {
        let start: String = key.chars().take(SHOWN_MAX).collect();
        return Err(format!("key {start:?} has {} bytes, it must have 1 to {KEY_BYTES_MAX}", key.len()));
    }
    if value.len() > VALUE_BYTES_MAX {
        return Err(format!(
            "the value of key {key:?} has {} bytes, at most {VALUE_BYTES_MAX} are allowed",
            value.len()
        ));
    }
    Ok(())
}

const SHOWN_MAX: usize = 40;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_import_is_what_cloudfront_takes() {
        let pairs =
            import(br#"{"data": [{"key": "b", "value": ""}, {"key": "a/\u00e4", "value": "{\"x\": 1}"}]}"#).unwrap();
        assert_eq!(pairs.get("a/ä").map(String::as_str), Some("{\"x\": 1}"));
        assert_eq!(pairs.len(), 2);
    }

    #[test]
    fn what_no_store_takes_is_named() {
        let pair = |key: &str, value: &str| format!(r#"{{"data": [{{"key": "{key}", "value": "{value}"}}]}}"#);
        let twice = r#"{"data": [{"key": "a", "value": "1"}, {"key": "a", "value": "2"}]}"#;
        let many: Vec<String> =
            (0..5_200).map(|nth| format!(r#"{{"key": "{nth:06}", "value": "{}"}}"#, "v".repeat(1_010))).collect();
        for (text, said) in [
            ("[]".to_owned(), "data"),
            (r#"{"data": [{"key": "a"}]}"#.to_owned(), "value"),
            (r#"{"data": [{"key": "a", "value": 1}]}"#.to_owned(), "string"),
            (pair("", "v"), "1 to 512"),
            (pair(&"k".repeat(513), "v"), "has 513 bytes"),
            (pair("key", &"v".repeat(1_025)), "key \"key\" has 1025 bytes"),
            (twice.to_owned(), "\"a\" is there twice"),
            (format!(r#"{{"data": [{}]}}"#, many.join(",")), "at most 5242880"),
        ] {
            let error = import(text.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
        }
        assert!(import(pair(&"k".repeat(512), &"v".repeat(1_024)).as_bytes()).is_ok());
    }
}
