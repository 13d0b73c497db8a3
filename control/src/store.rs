//! The state of the control plane: one SQLite database of sealed records, written by one
//! writer at a time. What a record means is its owner's; here it has a kind, a parent, an
//! id and a serialised value.

use crate::error::ApiError;
use crate::keyring::Keyring;
use parking_lot::Mutex;
use rusqlite::{Connection, OptionalExtension as _, Transaction, TransactionBehavior, params};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What a record is. The names are in the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    AccessKey,
    Function,
    Version,
    Alias,
    /// An asynchronous invocation that is not over.
    Event,
    /// What is to be sent out because of one.
    Delivery,
    /// In a queue of this edge.
    Letter,
    EventConfig,
    Provisioned,
    FunctionUrl,
    CodeSigningConfig,
    LayerVersion,
    Distribution,
    Invalidation,
    /// A CallerReference that made a distribution; outlives it.
    CallerReference,
    CachePolicy,
    OriginRequestPolicy,
    ResponseHeadersPolicy,
    PublicKey,
    KeyGroup,
    OriginAccessControl,
    ContinuousDeploymentPolicy,
    /// Of the policy with the same id.
    SessionKey,
    KeyValueStore,
    /// Below the id of its store, by its key.
    KeyValue,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Kind::AccessKey => "access-key",
            Kind::Function => "function",
            Kind::Version => "version",
            Kind::Alias => "alias",
            Kind::Event => "event",
            Kind::Delivery => "delivery",
            Kind::Letter => "letter",
            Kind::EventConfig => "event-config",
            Kind::Provisioned => "provisioned",
            Kind::FunctionUrl => "function-url",
            Kind::CodeSigningConfig => "code-signing-config",
            Kind::LayerVersion => "layer-version",
            Kind::Distribution => "distribution",
            Kind::Invalidation => "invalidation",
            Kind::CallerReference => "caller-reference",
            Kind::CachePolicy => "cache-policy",
            Kind::OriginRequestPolicy => "origin-request-policy",
            Kind::ResponseHeadersPolicy => "response-headers-policy",
            Kind::PublicKey => "public-key",
            Kind::KeyGroup => "key-group",
            Kind::OriginAccessControl => "origin-access-control",
            Kind::ContinuousDeploymentPolicy => "continuous-deployment-policy",
            Kind::SessionKey => "session-key",
            Kind::KeyValueStore => "key-value-store",
            Kind::KeyValue => "key-value",
        }
    }
}

/// Why the state cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    #[error("state {}: {source}", path.display())]
    Database { path: PathBuf, source: rusqlite::Error },
    #[error("state {}: it is of version {found}, this program knows versions up to {known}", path.display())]
    Newer { path: PathBuf, found: usize, known: usize },
    #[error("state {}: {reason}", path.display())]
    Sealed { path: PathBuf, reason: String },
}

/// The database.
#[derive(Debug)]
pub(crate) struct Store {
    connection: Mutex<Connection>,
    keyring: Arc<Keyring>,
}

impl Store {
    /// Opens the database, brings it to this program's version, and seals anew what an
    /// older key sealed.
    pub(crate) fn open(path: &Path, keyring: Arc<Keyring>) -> Result<Store, StateError> {
        let failed = |source| StateError::Database { path: path.to_path_buf(), source };
        let mut connection = Connection::open(path).map_err(failed)?;
        connection.busy_timeout(crate::backup::BUSY_MAX).map_err(failed)?;
        // A commit is on the disk before anyone is told of it.
        connection.pragma_update(None, "journal_mode", "WAL").map_err(failed)?;
        connection.pragma_update(None, "synchronous", "FULL").map_err(failed)?;
        let found: usize = connection.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(failed)?;
        let Some(missing) = MIGRATIONS.get(found..) else {
            return Err(StateError::Newer { path: path.to_path_buf(), found, known: MIGRATIONS.len() });
        };
        for (nth, migration) in missing.iter().enumerate() {
            let transaction = connection.transaction().map_err(failed)?;
            transaction.execute_batch(migration).map_err(failed)?;
            transaction.pragma_update(None, "user_version", found + nth + 1).map_err(failed)?;
            transaction.commit().map_err(failed)?;
        }
        let resealed = reseal(&mut connection, &keyring).map_err(failed)?;
        let resealed = resealed.map_err(|reason| StateError::Sealed { path: path.to_path_buf(), reason })?;
        if resealed > 0 {
            tracing::info!("{resealed} records of the control plane are sealed with the new key now");
        }
        Ok(Store { connection: Mutex::new(connection), keyring })
    }

    /// Runs `work` as one transaction: all of it is kept once this returns `Ok`, and
    /// nothing of it otherwise. Blocks; one at a time.
    pub(crate) fn write<T>(&self, work: impl FnOnce(&Records<'_>) -> Result<T, ApiError>) -> Result<T, ApiError> {
        let mut connection = self.connection.lock();
        let transaction = connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(|error| ApiError::of_ours(&error))?;
        let records = Records { transaction, keyring: &self.keyring };
        let done = work(&records)?;
        records.transaction.commit().map_err(|error| ApiError::of_ours(&error))?;
        Ok(done)
    }

    /// The same for work that changes nothing.
    pub(crate) fn read<T>(&self, work: impl FnOnce(&Records<'_>) -> Result<T, ApiError>) -> Result<T, ApiError> {
        let mut connection = self.connection.lock();
        let transaction = connection.transaction().map_err(|error| ApiError::of_ours(&error))?;
        work(&Records { transaction, keyring: &self.keyring })
    }
}

/// The records within one transaction.
pub(crate) struct Records<'a> {
    transaction: Transaction<'a>,
    keyring: &'a Keyring,
}

impl Records<'_> {
    pub(crate) fn find<T: DeserializeOwned>(&self, kind: Kind, parent: &str, id: &str) -> Result<Option<T>, ApiError> {
        let query = "SELECT value FROM records WHERE kind = ?1 AND parent = ?2 AND id = ?3";
        let sealed: Option<Vec<u8>> = self
            .transaction
            .query_row(query, params![kind.name(), parent, id], |row| row.get(0))
            .optional()
            .map_err(|error| ApiError::of_ours(&error))?;
        sealed.map(|sealed| self.open(kind, parent, id, &sealed)).transpose()
    }

    /// Every record of a kind below `parent`, in order of the ids.
    pub(crate) fn list<T: DeserializeOwned>(&self, kind: Kind, parent: &str) -> Result<Vec<(String, T)>, ApiError> {
        let query = "SELECT id, value FROM records WHERE kind = ?1 AND parent = ?2 ORDER BY id";
        let mut statement = self.transaction.prepare_cached(query).map_err(|error| ApiError::of_ours(&error))?;
        let rows = statement
            .query_map(params![kind.name(), parent], |row| Ok((row.get(0)?, row.get(1)?)))
            .map_err(|error| ApiError::of_ours(&error))?;
        let mut found = Vec::new();
        for row in rows {
            let (id, sealed): (String, Vec<u8>) = row.map_err(|error| ApiError::of_ours(&error))?;
            let value = self.open(kind, parent, &id, &sealed)?;
            found.push((id, value));
        }
        Ok(found)
    }

    /// The first so many of them whose ids come after `after`.
    pub(crate) fn page<T: DeserializeOwned>(
        &self,
        kind: Kind,
        parent: &str,
        after: &str,
        max: usize,
    ) -> Result<Vec<(String, T)>, ApiError> {
        let query = "SELECT id, value FROM records WHERE kind = ?1 AND parent = ?2 AND id > ?3 ORDER BY id LIMIT ?4";
        let mut statement = self.transaction.prepare_cached(query).map_err(|error| ApiError::of_ours(&error))?;
        let rows = statement
            .query_map(params![kind.name(), parent, after, max], |row| Ok((row.get(0)?, row.get(1)?)))
            .map_err(|error| ApiError::of_ours(&error))?;
        let found: rusqlite::Result<Vec<(String, Vec<u8>)>> = rows.collect();
        let found = found.map_err(|error| ApiError::of_ours(&error))?;
        found.into_iter().map(|(id, sealed)| Ok((id.clone(), self.open(kind, parent, &id, &sealed)?))).collect()
    }

    /// Writes the record, new or in place of the old one.
    pub(crate) fn put<T: Serialize>(&self, kind: Kind, parent: &str, id: &str, value: &T) -> Result<(), ApiError> {
        let plain = serde_json::to_vec(value).map_err(|error| ApiError::of_ours(&error))?;
        let sealed = self.keyring.seal(&record_name(kind.name(), parent, id), &plain);
        let statement = "INSERT OR REPLACE INTO records (kind, parent, id, value) VALUES (?1, ?2, ?3, ?4)";
        self.transaction
            .execute(statement, params![kind.name(), parent, id, sealed])
            .map_err(|error| ApiError::of_ours(&error))?;
        Ok(())
    }

    /// Whether it was there.
    pub(crate) fn remove(&self, kind: Kind, parent: &str, id: &str) -> Result<bool, ApiError> {
        let statement = "DELETE FROM records WHERE kind = ?1 AND parent = ?2 AND id = ?3";
        let removed = self.transaction.execute(statement, params![kind.name(), parent, id]);
        removed.map(|count| count > 0).map_err(|error| ApiError::of_ours(&error))
    }

    pub(crate) fn remove_below(&self, kind: Kind, parent: &str) -> Result<(), ApiError> {
        let statement = "DELETE FROM records WHERE kind = ?1 AND parent = ?2";
        self.transaction.execute(statement, params![kind.name(), parent]).map_err(|error| ApiError::of_ours(&error))?;
        Ok(())
    }

    /// How many records of a kind are below `parent`.
    pub(crate) fn count(&self, kind: Kind, parent: &str) -> Result<usize, ApiError> {
        let query = "SELECT COUNT(*) FROM records WHERE kind = ?1 AND parent = ?2";
        let count: i64 = self
            .transaction
            .query_row(query, params![kind.name(), parent], |row| row.get(0))
            .map_err(|error| ApiError::of_ours(&error))?;
        usize::try_from(count).map_err(|error| ApiError::of_ours(&error))
    }

    /// The first id of a kind below `parent`.
    pub(crate) fn first(&self, kind: Kind, parent: &str) -> Result<Option<String>, ApiError> {
        let query = "SELECT id FROM records WHERE kind = ?1 AND parent = ?2 ORDER BY id LIMIT 1";
        let found = self.transaction.query_row(query, params![kind.name(), parent], |row| row.get(0)).optional();
        found.map_err(|error| ApiError::of_ours(&error))
    }

    /// Everything that has records of a kind below it, in order.
    pub(crate) fn parents(&self, kind: Kind) -> Result<Vec<String>, ApiError> {
        let query = "SELECT DISTINCT parent FROM records WHERE kind = ?1 ORDER BY parent";
        let mut statement = self.transaction.prepare_cached(query).map_err(|error| ApiError::of_ours(&error))?;
        let rows = statement.query_map(params![kind.name()], |row| row.get(0));
        let found: rusqlite::Result<Vec<String>> = rows.and_then(Iterator::collect);
        found.map_err(|error| ApiError::of_ours(&error))
    }

    /// Counts from 1, never the same number twice for a name, whatever else is removed.
    pub(crate) fn next_number(&self, name: &str) -> Result<u64, ApiError> {
        let statement = "INSERT INTO counters (name, value) VALUES (?1, 1) \
                         ON CONFLICT (name) DO UPDATE SET value = value + 1 RETURNING value";
        let number: i64 = self
            .transaction
            .query_row(statement, params![name], |row| row.get(0))
            .map_err(|error| ApiError::of_ours(&error))?;
        u64::try_from(number).map_err(|error| ApiError::of_ours(&error))
    }

    fn open<T: DeserializeOwned>(&self, kind: Kind, parent: &str, id: &str, sealed: &[u8]) -> Result<T, ApiError> {
        let name = record_name(kind.name(), parent, id);
        let plain = self.keyring.open(&name, sealed).map_err(|error| ApiError::of_ours(&error))?;
        serde_json::from_slice(&plain).map_err(|error| ApiError::of_ours(&error))
    }
}

/// What a record is sealed for.
fn record_name(kind: &str, parent: &str, id: &str) -> String {
    format!("{kind}\0{parent}\0{id}")
}

/// Seals anew what is not sealed with the first key; how many, or what cannot be opened.
fn reseal(connection: &mut Connection, keyring: &Keyring) -> rusqlite::Result<Result<usize, String>> {
    let transaction = connection.transaction()?;
    let mut outdated = Vec::new();
    {
        let mut statement = transaction.prepare("SELECT kind, parent, id, value FROM records")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let (kind, parent, id): (String, String, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
            let sealed: Vec<u8> = row.get(3)?;
            if !keyring.is_outdated(&sealed) {
                continue;
            }
            match keyring.open(&record_name(&kind, &parent, &id), &sealed) {
                Ok(plain) => outdated.push((kind, parent, id, plain)),
                Err(error) => return Ok(Err(error.to_string().replace('\0', " "))),
            }
        }
    }
    for (kind, parent, id, plain) in &outdated {
        let sealed = keyring.seal(&record_name(kind, parent, id), plain);
        let statement = "UPDATE records SET value = ?4 WHERE kind = ?1 AND parent = ?2 AND id = ?3";
        transaction.execute(statement, params![kind, parent, id, sealed])?;
    }
    transaction.commit()?;
    Ok(Ok(outdated.len()))
}

/// Each brings the database one version further. Only ever added to.
const MIGRATIONS: &[&str] = &["
    CREATE TABLE records (
        kind TEXT NOT NULL, parent TEXT NOT NULL, id TEXT NOT NULL, value BLOB NOT NULL,
        PRIMARY KEY (kind, parent, id)
    ) WITHOUT ROWID;
    CREATE TABLE counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
"];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Code;

    fn keyring(dir: &Path, lines: &str) -> Arc<Keyring> {
        std::fs::write(dir.join("key"), lines).unwrap();
        Arc::new(Keyring::load(&dir.join("key")).unwrap())
    }

    const ONE: &str = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";
    const TWO: &str = "AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=";

    #[test]
    fn a_failed_transaction_leaves_nothing_and_a_finished_one_survives() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state.db");
        let store = Store::open(&path, keyring(dir.path(), ONE)).unwrap();
        store.write(|records| records.put(Kind::Function, "", "kept", &"secret-value")).unwrap();
        let failed: Result<(), ApiError> = store.write(|records| {
            records.put(Kind::Function, "", "lost", &1)?;
            Err(ApiError::new(Code::CONFLICT, "no"))
        });
        assert!(failed.is_err());
        drop(store);
        let store = Store::open(&path, keyring(dir.path(), ONE)).unwrap();
        let all: Vec<(String, String)> = store.read(|records| records.list(Kind::Function, "")).unwrap();
        assert_eq!(all, [("kept".to_owned(), "secret-value".to_owned())]);
        let raw = std::fs::read(&path).unwrap();
        assert!(!raw.windows(12).any(|window| window == b"secret-value"));
    }

    #[test]
    fn numbers_are_never_given_twice() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("state.db"), keyring(dir.path(), ONE)).unwrap();
        let next = |name: &str| store.write(|records| records.next_number(name)).unwrap();
        assert_eq!((next("f"), next("f"), next("g")), (1, 2, 1));
    }

    #[test]
    fn after_a_rotation_the_old_key_is_not_needed_any_more() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state.db");
        let put = |store: &Store| store.write(|records| records.put(Kind::Alias, "f", "a", &7)).unwrap();
        put(&Store::open(&path, keyring(dir.path(), ONE)).unwrap());
        let missing = Store::open(&path, keyring(dir.path(), TWO)).unwrap_err().to_string();
        assert!(missing.contains("not in the key file"), "{missing}");
        drop(Store::open(&path, keyring(dir.path(), &format!("{TWO}\n{ONE}"))).unwrap());
        let store = Store::open(&path, keyring(dir.path(), TWO)).unwrap();
        assert_eq!(store.read(|records| records.find::<u8>(Kind::Alias, "f", "a")).unwrap(), Some(7));
    }

    #[test]
    fn the_state_of_a_later_program_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state.db");
        Connection::open(&path).unwrap().pragma_update(None, "user_version", 99).unwrap();
        let error = Store::open(&path, keyring(dir.path(), ONE)).unwrap_err().to_string();
        assert!(error.contains("version 99"), "{error}");
    }
}
