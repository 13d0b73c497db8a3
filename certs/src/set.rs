//! All pairs of a directory at one moment, and the choice among them by server name.

use rustls::sign::CertifiedKey;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;
use time::OffsetDateTime;

use crate::CertError;
use crate::pair::Pair;

/// What is served until the next reload.
pub(crate) struct CertSet {
    exact: BTreeMap<String, Arc<CertifiedKey>>,
    /// By what follows `*.`.
    wildcard: BTreeMap<String, Arc<CertifiedKey>>,
    default: Arc<CertifiedKey>,
    pub(crate) warnings: Vec<String>,
}

impl CertSet {
    /// Reads every pair of `dir`; one bad pair fails the whole set.
    pub(crate) fn read(dir: &Path, now: OffsetDateTime) -> Result<CertSet, CertError> {
        let mut pairs = Vec::new();
        for certificate in certificates(dir)? {
            let pair = Pair::read(&certificate, &certificate.with_extension("key"), now)?;
            pairs.push((certificate, pair));
        }
        let default = pairs
            .iter()
            .find(|(path, _)| path.file_stem().is_some_and(|stem| stem == DEFAULT_STEM))
            .or(pairs.first())
            .map(|(_, pair)| pair.key.clone())
            .ok_or_else(|| CertError::Empty { path: dir.into() })?;
        let mut set = CertSet { exact: BTreeMap::new(), wildcard: BTreeMap::new(), default, warnings: Vec::new() };
        // The pair that lives longest is inserted last and so wins a name that several have.
        pairs.sort_by_key(|(_, pair)| pair.not_after);
        for (_, pair) in pairs {
            for name in pair.names {
                match name.strip_prefix("*.") {
                    Some(parent) => set.wildcard.insert(parent.to_owned(), pair.key.clone()),
                    None => set.exact.insert(name, pair.key.clone()),
                };
            }
            set.warnings.extend(pair.warnings);
        }
        Ok(set)
    }

    /// Exact name, else a wildcard for one label (RFC 9525 6.3), else the default pair.
    pub(crate) fn choose(&self, server_name: Option<&str>) -> Arc<CertifiedKey> {
        let Some(name) = server_name.map(str::to_ascii_lowercase) else {
            return self.default.clone();
        };
        let wildcard = || name.split_once('.').and_then(|(_, parent)| self.wildcard.get(parent));
        self.exact.get(&name).or_else(wildcard).unwrap_or(&self.default).clone()
    }
}

/// The files of `dir` a set is made of, with what tells that they changed.
pub(crate) fn fingerprint(dir: &Path) -> Vec<(PathBuf, Option<SystemTime>, u64)> {
    let Ok(entries) = std::fs::read_dir(dir) else {
        return Vec::new();
    };
    let mut files: Vec<_> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|end| end == "crt" || end == "pem" || end == "key"))
        .map(|path| {
            let metadata = std::fs::metadata(&path).ok();
            let modified = metadata.as_ref().and_then(|metadata| metadata.modified().ok());
            let bytes = metadata.map_or(0, |metadata| metadata.len());
            (path, modified, bytes)
        })
        .collect();
    files.sort();
    files
}

fn certificates(dir: &Path) -> Result<Vec<PathBuf>, CertError> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(CertError::file(dir))? {
        let path = entry.map_err(CertError::file(dir))?.path();
        let is_certificate = path.extension().is_some_and(|end| end == "crt" || end == "pem");
        let is_authority = path.file_stem().is_some_and(|stem| stem == AUTHORITY_STEM);
        if is_certificate && !is_authority {
            found.push(path);
        }
        if found.len() > PAIRS_MAX {
            return Err(CertError::TooMany { path: dir.into(), limit: PAIRS_MAX });
        }
    }
    found.sort();
    Ok(found)
}

/// A pair of this name answers when no name fits; otherwise the first by file name does.
const DEFAULT_STEM: &str = "default";
/// The local authority's own pair signs and is never served.
pub(crate) const AUTHORITY_STEM: &str = "ca";
const PAIRS_MAX: usize = 10_000;
