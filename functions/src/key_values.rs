//! The key value stores of a PoP, where its environments read them: a directory for each, with one
//! file that is written elsewhere and takes the place of the one before. An environment has the
//! directories of its own function's stores and no others. Which pairs a store has is kept by whoever
//! publishes it; a process begins without any.

use crate::config::FunctionConfig;
use crate::functions::PrepareError;
use environment::key_values::{FILE, Table, Times, encode};
use environment::manifest::KeyValueStore;
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::PathBuf;
use tempfile::TempDir;

/// The stores of a PoP.
#[derive(Debug)]
pub struct KeyValueStores {
    root: TempDir,
    /// Stores whose file is what was published last. Held while one is written: one at a time.
    whole: Mutex<HashSet<String>>,
}

impl KeyValueStores {
    pub(crate) fn new(root: TempDir) -> KeyValueStores {
        KeyValueStores { root, whole: Mutex::default() }
    }

    /// Environments see these pairs, and no others, once this returns. Blocks.
    ///
    /// # Errors
    /// They see what they saw before.
    pub fn publish(&self, id: &str, times: Times, pairs: &BTreeMap<&str, &str>) -> io::Result<()> {
        let mut whole = self.whole.lock();
        self.put(&mut whole, id, times, pairs)
    }

    /// The same for what changes in a store. A failure leaves the store to be published whole.
    ///
    /// # Errors
    /// As `publish`, and when the store was not published, or could not be the last time.
    pub fn change(
        &self,
        id: &str,
        updated_ms: u64,
        puts: &BTreeMap<String, String>,
        deletes: &BTreeSet<String>,
    ) -> io::Result<()> {
        let mut whole = self.whole.lock();
        if !whole.contains(id) {
            return Err(io::Error::other("it is not published"));
        }
        let before = Table::open(fs::read(self.directory(id)?.join(FILE))?).map_err(io::Error::other)?;
        let mut pairs: BTreeMap<&str, &str> = before.pairs().filter(|(key, _)| !deletes.contains(*key)).collect();
        pairs.extend(puts.iter().map(|(key, value)| (key.as_str(), value.as_str())));
        self.put(&mut whole, id, Times { updated_ms, ..before.times() }, &pairs)
    }

    /// The store is over.
    pub fn withdraw(&self, id: &str) {
        let mut whole = self.whole.lock();
        whole.remove(id);
        // Environments that have it open keep it until they end.
        if let Err(error) = fs::remove_dir_all(self.root.path().join(id))
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(store = id, %error, "a key value store cannot be removed");
        }
    }

    /// What an environment of the function is told of its stores.
    pub(crate) fn of_function(&self, config: &FunctionConfig) -> Result<Vec<KeyValueStore>, PrepareError> {
        let of_name = |store: &crate::config::StoreName| {
            let directory = self.directory(&store.id).map_err(|source| PrepareError::Directory {
                function: config.name.clone(),
                path: self.root.path().join(&store.id),
                source,
            })?;
            Ok(KeyValueStore { name: store.name.clone(), id: store.id.clone(), directory })
        };
        config.key_value_stores.iter().map(of_name).collect()
    }

    fn put(&self, whole: &mut HashSet<String>, id: &str, times: Times, pairs: &BTreeMap<&str, &str>) -> io::Result<()> {
        whole.remove(id);
        let bytes = encode(times, pairs).ok_or_else(|| io::Error::other("it is larger than a store may be"))?;
        let written = self.root.path().join(format!("{id}.new"));
        fs::write(&written, bytes)?;
        // The user that environments run as owns nothing.
        fs::set_permissions(&written, Permissions::from_mode(0o644))?;
        fs::rename(&written, self.directory(id)?.join(FILE))?;
        whole.insert(id.to_owned());
        Ok(())
    }

    /// Of one store; made when there is none.
    fn directory(&self, id: &str) -> io::Result<PathBuf> {
        let path = self.root.path().join(id);
        match DirBuilder::new().mode(0o755).create(&path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
            Err(_) => Ok(path),
            Ok(()) => fs::set_permissions(&path, Permissions::from_mode(0o755)).map(|()| path),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stores() -> KeyValueStores {
        KeyValueStores::new(tempfile::tempdir().unwrap())
    }

    fn read(stores: &KeyValueStores, id: &str) -> Vec<(String, String)> {
        let table = Table::open(fs::read(stores.directory(id).unwrap().join(FILE)).unwrap()).unwrap();
        table.pairs().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
    }

    #[test]
    fn a_change_keeps_what_it_does_not_name() {
        let (stores, times) = (stores(), Times { created_ms: 1, updated_ms: 1 });
        stores.publish("s", times, &BTreeMap::from([("a", "1"), ("b", "2"), ("c", "3")])).unwrap();
        let puts = BTreeMap::from([("b".to_owned(), "new".to_owned()), ("d".to_owned(), "4".to_owned())]);
        stores.change("s", 5, &puts, &BTreeSet::from(["a".to_owned(), "absent".to_owned()])).unwrap();
        let owned = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
            pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
        };
        assert_eq!(read(&stores, "s"), owned(&[("b", "new"), ("c", "3"), ("d", "4")]));
        let table = Table::open(fs::read(stores.directory("s").unwrap().join(FILE)).unwrap()).unwrap();
        assert_eq!(table.times(), Times { created_ms: 1, updated_ms: 5 });
    }

    #[test]
    fn after_a_failure_only_the_whole_store_is_taken() {
        let (stores, times, none) = (stores(), Times::default(), BTreeMap::new());
        assert!(stores.change("s", 1, &none, &BTreeSet::new()).is_err());
        stores.publish("s", times, &BTreeMap::from([("a", "1")])).unwrap();
        // A directory where the new file is to be written.
        fs::create_dir(stores.root.path().join("s.new")).unwrap();
        let puts = BTreeMap::from([("b".to_owned(), "2".to_owned())]);
        assert!(stores.change("s", 1, &puts, &BTreeSet::new()).is_err());
        fs::remove_dir(stores.root.path().join("s.new")).unwrap();
        assert!(stores.change("s", 1, &puts, &BTreeSet::new()).is_err());
        stores.publish("s", times, &BTreeMap::from([("a", "1"), ("b", "2")])).unwrap();
        assert_eq!(read(&stores, "s").len(), 2);
        stores.withdraw("s");
        assert!(stores.change("s", 1, &puts, &BTreeSet::new()).is_err());
    }
}
