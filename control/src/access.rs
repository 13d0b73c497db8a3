//! Access keys: who may change this edge. One is made when there is none, and shown once.

use crate::error::ApiError;
use crate::store::{Kind, Store};
use rand::Rng as _;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::net::SocketAddr;

/// The keys that there are.
#[derive(Debug)]
pub(crate) struct AccessKeys {
    secrets: HashMap<String, String>,
}

#[derive(Deserialize, Serialize)]
struct Secret {
    secret: String,
}

/// A key that was just made.
#[derive(Debug)]
pub(crate) struct NewKey {
    id: String,
    secret: String,
}

impl AccessKeys {
    /// Reads all; makes the first one when there is none.
    pub(crate) fn open(store: &Store) -> Result<(AccessKeys, Option<NewKey>), ApiError> {
        let found: Vec<(String, Secret)> = store.read(|records| records.list(Kind::AccessKey, ""))?;
        let mut secrets: HashMap<String, String> = found.into_iter().map(|(id, key)| (id, key.secret)).collect();
        if !secrets.is_empty() {
            return Ok((AccessKeys { secrets }, None));
        }
        let new = NewKey { id: format!("AKIA{}", random(ID_ALPHABET, 16)), secret: random(SECRET_ALPHABET, 40) };
        store.write(|records| records.put(Kind::AccessKey, "", &new.id, &Secret { secret: new.secret.clone() }))?;
        secrets.insert(new.id.clone(), new.secret.clone());
        Ok((AccessKeys { secrets }, Some(new)))
    }

    /// One of them, for requests of this machine's own user.
    pub(crate) fn any(&self) -> Option<(&str, &str)> {
        self.secrets.iter().next().map(|(id, secret)| (id.as_str(), secret.as_str()))
    }

    pub(crate) fn secret(&self, id: &str) -> Option<&str> {
        self.secrets.get(id).map(String::as_str)
    }
}

impl NewKey {
    /// A profile for `~/.aws/config`, which also the SDKs and Terraform read.
    pub(crate) fn profile(&self, address: SocketAddr) -> String {
        format!(
            "[profile selvedge]\nregion = us-east-1\nendpoint_url = http://{address}\naws_access_key_id = {}\n\
             aws_secret_access_key = {}\n",
            self.id, self.secret
        )
    }
}

fn random(alphabet: &[u8], length: usize) -> String {
    let mut random = rand::rng();
    (0..length).map(|_| char::from(alphabet[random.random_range(0..alphabet.len())])).collect()
}

const ID_ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
const SECRET_ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
