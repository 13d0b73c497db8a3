//! The keys that the state is sealed with: AES-256-GCM, one random nonce for each record,
//! and the record's own name as associated data, so that no record can stand in for
//! another. Where a key comes from and how it is exchanged is told in `docs/control.md`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::rand::{SecureRandom as _, SystemRandom};
use sha2::{Digest as _, Sha256};
use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// Seals with its first key, opens with every one.
pub(crate) struct Keyring {
    keys: Vec<Key>,
    random: SystemRandom,
}

struct Key {
    id: KeyId,
    aead: LessSafeKey,
    /// For other purposes than sealing.
    bytes: [u8; KEY_LENGTH],
}

type KeyId = [u8; ID_LENGTH];

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    #[error("key file {}: {source}", path.display())]
    File { path: PathBuf, source: io::Error },
    #[error("{origin}: each line must be one key, {KEY_LENGTH} bytes in base64")]
    Form { origin: String },
    #[error("{origin}: there is no key in it")]
    Empty { origin: String },
}

/// Why a sealed record cannot be opened.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenError {
    #[error("{0} is sealed with a key that is not in the key file")]
    UnknownKey(String),
    #[error("{0} is damaged")]
    Damaged(String),
}

impl Keyring {
    /// The keys in `$SELVEDGE_CONTROL_KEY`, or in the file, which is made with a new key
    /// when it is not there. The first line seals; the others only open.
    pub(crate) fn load(file: &Path) -> Result<Keyring, KeyError> {
        if let Ok(text) = std::env::var(VARIABLE) {
            return Keyring::parse(&text, &format!("${VARIABLE}"));
        }
        let failed = |source| KeyError::File { path: file.to_path_buf(), source };
        let text = match std::fs::read_to_string(file) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => make(file).map_err(failed)?,
            Err(error) => return Err(failed(error)),
        };
        Keyring::parse(&text, &file.display().to_string())
    }

    fn parse(text: &str, origin: &str) -> Result<Keyring, KeyError> {
        let mut keys = Vec::new();
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let form = || KeyError::Form { origin: origin.to_owned() };
            let bytes: [u8; KEY_LENGTH] =
                STANDARD.decode(line).ok().and_then(|b| b.try_into().ok()).ok_or_else(form)?;
            let aead = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &bytes).map_err(|_| form())?);
            let mut id = KeyId::default();
            id.copy_from_slice(&Sha256::digest(bytes)[..ID_LENGTH]);
            keys.push(Key { id, aead, bytes });
        }
        if keys.is_empty() {
            return Err(KeyError::Empty { origin: origin.to_owned() });
        }
        Ok(Keyring { keys, random: SystemRandom::new() })
    }

    /// Key id, nonce, and `plain` sealed for `name`.
    pub(crate) fn seal(&self, name: &str, plain: &[u8]) -> Vec<u8> {
        let key = &self.keys[0];
        let mut nonce = [0; NONCE_LEN];
        self.random.fill(&mut nonce).expect("the system has random numbers");
        let mut sealed = plain.to_vec();
        let place = Nonce::assume_unique_for_key(nonce);
        key.aead
            .seal_in_place_append_tag(place, Aad::from(name), &mut sealed)
            .expect("a record is far shorter than what AES-GCM can seal");
        [&key.id[..], &nonce, &sealed].concat()
    }

    /// What was sealed for `name`.
    pub(crate) fn open(&self, name: &str, sealed: &[u8]) -> Result<Vec<u8>, OpenError> {
        let damaged = || OpenError::Damaged(name.to_owned());
        let (id, rest) = sealed.split_at_checked(ID_LENGTH).ok_or_else(damaged)?;
        let (nonce, rest) = rest.split_at_checked(NONCE_LEN).ok_or_else(damaged)?;
        let key = self.keys.iter().find(|key| key.id == id);
        let key = key.ok_or_else(|| OpenError::UnknownKey(name.to_owned()))?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| damaged())?;
        let mut plain = rest.to_vec();
        let length = key.aead.open_in_place(nonce, Aad::from(name), &mut plain).map_err(|_| damaged())?.len();
        plain.truncate(length);
        Ok(plain)
    }

    /// Whether it would be sealed with another key today.
    pub(crate) fn is_outdated(&self, sealed: &[u8]) -> bool {
        !sealed.starts_with(&self.keys[0].id)
    }

    /// For signing what only this process must recognise.
    pub(crate) fn signing_key(&self, purpose: &str) -> ring::hmac::Key {
        let of_purpose =
            ring::hmac::sign(&ring::hmac::Key::new(ring::hmac::HMAC_SHA256, &self.keys[0].bytes), purpose.as_bytes());
        ring::hmac::Key::new(ring::hmac::HMAC_SHA256, of_purpose.as_ref())
    }
}

impl std::fmt::Debug for Keyring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keyring").field("keys", &self.keys.len()).finish_non_exhaustive()
    }
}

fn make(file: &Path) -> io::Result<String> {
    let mut key = [0; KEY_LENGTH];
    SystemRandom::new().fill(&mut key).map_err(|_| io::Error::other("the system has no random numbers"))?;
    let text = STANDARD.encode(key) + "\n";
    let mut new = OpenOptions::new().write(true).create_new(true).mode(0o600).open(file)?;
    new.write_all(text.as_bytes())?;
    new.sync_all()?;
    tracing::info!("a key for the control plane's state was made: {}; keep a copy elsewhere", file.display());
    Ok(text)
}

const VARIABLE: &str = "SELVEDGE_CONTROL_KEY";
const KEY_LENGTH: usize = 32;
const ID_LENGTH: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    fn line(byte: u8) -> String {
        STANDARD.encode([byte; KEY_LENGTH])
    }

    #[test]
    fn only_the_same_name_opens_a_record_and_a_flipped_bit_is_damage() {
        let ring = Keyring::parse(&line(1), "test").unwrap();
        let sealed = ring.seal("one", b"secret");
        assert_ne!(sealed, ring.seal("one", b"secret"));
        assert_eq!(ring.open("one", &sealed).unwrap(), b"secret");
        assert!(matches!(ring.open("two", &sealed), Err(OpenError::Damaged(_))));
        for index in [ID_LENGTH, sealed.len() - 1] {
            let mut flipped = sealed.clone();
            flipped[index] ^= 1;
            assert!(matches!(ring.open("one", &flipped), Err(OpenError::Damaged(_))));
        }
        assert!(matches!(ring.open("one", &sealed[..5]), Err(OpenError::Damaged(_))));
    }

    #[test]
    fn a_new_first_key_seals_and_the_old_one_still_opens() {
        let old = Keyring::parse(&line(1), "test").unwrap();
        let both = Keyring::parse(&format!("{}\n{}\n", line(2), line(1)), "test").unwrap();
        let new = Keyring::parse(&line(2), "test").unwrap();
        let sealed = old.seal("r", b"x");
        assert_eq!(both.open("r", &sealed).unwrap(), b"x");
        assert!(both.is_outdated(&sealed) && !both.is_outdated(&both.seal("r", b"x")));
        assert!(matches!(new.open("r", &sealed), Err(OpenError::UnknownKey(_))));
        assert_eq!(new.open("r", &both.seal("r", b"x")).unwrap(), b"x");
    }

    #[test]
    fn what_is_no_key_is_refused_and_a_missing_file_is_made_for_its_owner_alone() {
        assert!(matches!(Keyring::parse("short", "f"), Err(KeyError::Form { .. })));
        assert!(matches!(Keyring::parse("\n", "f"), Err(KeyError::Empty { .. })));
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("key");
        let first = make(&file).unwrap();
        assert_eq!(std::fs::read_to_string(&file).unwrap(), first);
        use std::os::unix::fs::PermissionsExt as _;
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    }
}
