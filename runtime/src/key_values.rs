//! The key value stores of a function, as a handler reads them: files that the PoP replaces, mapped
//! here and looked at again in each invocation. No call leaves the process but the look.

use crate::mapping::Mapping;
use environment::key_values::{FILE, Table, TableError};
use environment::limits::STORE_AGE_MAX;
use environment::manifest::KeyValueStore;
use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::Instant;

/// Those that one function names.
#[derive(Debug, Default)]
pub struct Stores {
    stores: Vec<Store>,
    /// Counts invocations: what was looked at in an earlier one is looked at again.
    invocation: u64,
}

#[derive(Debug)]
struct Store {
    name: String,
    id: String,
    file: PathBuf,
    opened: Option<Opened>,
    looked: Option<(u64, Instant)>,
}

#[derive(Debug)]
struct Opened {
    /// Device and inode. A file that is mapped keeps its inode, so no other one can have it.
    identity: (u64, u64),
    table: Table<Mapping>,
}

/// Why a handler gets nothing. The text is for its author.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("the function names no key value store; docs/key-value-stores.md says how it does")]
    None,
    #[error("the function names {0} key value stores: say which one, by its name or id")]
    Several(usize),
    #[error("{0:?} is not a key value store that the function names")]
    Unknown(String),
    #[error("key value store {name} cannot be read: {source}")]
    Unreadable { name: String, source: io::Error },
    #[error("key value store {name} is damaged: {source}")]
    Damaged { name: String, source: TableError },
}

impl Stores {
    #[must_use]
    pub fn new(stores: &[KeyValueStore]) -> Stores {
        let store = |store: &KeyValueStore| Store {
            name: store.name.clone(),
            id: store.id.clone(),
            file: store.directory.join(FILE),
            opened: None,
            looked: None,
        };
        Stores { stores: stores.iter().map(store).collect(), invocation: 0 }
    }

    /// An invocation begins: its first read of a store sees the store as it is then.
    pub fn begin(&mut self) {
        self.invocation += 1;
    }

    /// The number of the store with this name or id; of the only one when `name` is `None`.
    ///
    /// # Errors
    /// There is none, or which one is not said.
    pub fn choose(&self, name: Option<&str>) -> Result<usize, StoreError> {
        let count = self.stores.len();
        match name {
            _ if count == 0 => Err(StoreError::None),
            None if count > 1 => Err(StoreError::Several(count)),
            None => Ok(0),
            Some(name) => {
                let found = self.stores.iter().position(|store| store.name == name || store.id == name);
                found.ok_or_else(|| StoreError::Unknown(name.to_owned()))
            }
        }
    }

    /// The name of a store.
    #[must_use]
    pub fn name(&self, nth: usize) -> &str {
        self.stores.get(nth).map_or("", |store| &store.name)
    }

    /// A store as this invocation sees it, at most [`STORE_AGE_MAX`] old.
    ///
    /// # Errors
    /// Its file cannot be read.
    pub fn table(&mut self, nth: usize) -> Result<&Table<Mapping>, StoreError> {
        let Stores { stores, invocation } = self;
        let store = stores.get_mut(nth).ok_or(StoreError::None)?;
        let now = Instant::now();
        let is_fresh =
            store.looked.is_some_and(|(seen, at)| seen == *invocation && now.duration_since(at) < STORE_AGE_MAX);
        if !is_fresh {
            store.look()?;
            store.looked = Some((*invocation, now));
        }
        store.opened.as_ref().map(|opened| &opened.table).ok_or(StoreError::None)
    }
}

impl Store {
    fn look(&mut self) -> Result<(), StoreError> {
        let unreadable = |source| StoreError::Unreadable { name: self.name.clone(), source };
        let found = std::fs::metadata(&self.file).map_err(unreadable)?;
        if self.opened.as_ref().is_some_and(|opened| opened.identity == (found.dev(), found.ino())) {
            return Ok(());
        }
        let file = File::open(&self.file).map_err(unreadable)?;
        // Of the file that was opened: it may have been replaced since.
        let opened = file.metadata().map_err(unreadable)?;
        let table = Table::open(Mapping::of(&file).map_err(unreadable)?)
            .map_err(|source| StoreError::Damaged { name: self.name.clone(), source })?;
        self.opened = Some(Opened { identity: (opened.dev(), opened.ino()), table });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use environment::key_values::{Times, encode};
    use std::collections::BTreeMap;
    use std::path::Path;

    fn replace(directory: &Path, value: &str) {
        let bytes = encode(Times::default(), &BTreeMap::from([("key", value)])).unwrap();
        std::fs::write(directory.join("new"), bytes).unwrap();
        std::fs::rename(directory.join("new"), directory.join(FILE)).unwrap();
    }

    fn store(name: &str, directory: &Path) -> KeyValueStore {
        KeyValueStore { name: name.to_owned(), id: format!("id-of-{name}"), directory: directory.to_owned() }
    }

    #[test]
    fn an_invocation_sees_one_state_and_the_next_one_the_newest() {
        let dir = tempfile::tempdir().unwrap();
        replace(dir.path(), "one");
        let mut stores = Stores::new(&[store("a", dir.path())]);
        stores.begin();
        assert_eq!(stores.table(0).unwrap().find("key"), Some("one"));
        for round in 0..100 {
            let value = round.to_string();
            replace(dir.path(), &value);
            stores.begin();
            assert_eq!(stores.table(0).unwrap().find("key"), Some(value.as_str()));
        }
    }

    #[test]
    fn a_long_invocation_does_not_read_an_old_state_for_ever() {
        let dir = tempfile::tempdir().unwrap();
        replace(dir.path(), "one");
        let mut stores = Stores::new(&[store("a", dir.path())]);
        assert_eq!(stores.table(0).unwrap().find("key"), Some("one"));
        replace(dir.path(), "two");
        let began = Instant::now();
        while stores.table(0).unwrap().find("key") != Some("two") {
            assert!(began.elapsed() < STORE_AGE_MAX * 20);
        }
        assert!(began.elapsed() >= STORE_AGE_MAX / 2);
    }

    #[test]
    fn stores_are_chosen_by_name_or_id_and_the_only_one_by_neither() {
        let dir = tempfile::tempdir().unwrap();
        let (a, b) = (store("a", dir.path()), store("b", dir.path()));
        let both = Stores::new(&[a.clone(), b]);
        assert_eq!((both.choose(Some("b")).unwrap(), both.choose(Some("id-of-a")).unwrap()), (1, 0));
        assert!(matches!(both.choose(None), Err(StoreError::Several(2))));
        assert!(matches!(both.choose(Some("c")), Err(StoreError::Unknown(_))));
        assert_eq!(Stores::new(&[a]).choose(None).unwrap(), 0);
        assert!(matches!(Stores::default().choose(None), Err(StoreError::None)));
    }

    #[test]
    fn a_store_that_is_not_there_or_damaged_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let mut stores = Stores::new(&[store("a", dir.path())]);
        assert!(matches!(stores.table(0), Err(StoreError::Unreadable { .. })));
        std::fs::write(dir.path().join(FILE), "no store").unwrap();
        assert!(matches!(stores.table(0), Err(StoreError::Damaged { .. })));
        std::fs::write(dir.path().join(FILE), "").unwrap();
        assert!(matches!(stores.table(0), Err(StoreError::Unreadable { .. })));
    }
}
