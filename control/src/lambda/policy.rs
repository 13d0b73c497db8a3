//! A resource policy: statements by their ids, changed one at a time. Whose it is, and what a
//! statement says, is its owner's.

use super::names::invalid;
use super::record::{Stamp, expect_revision};
use crate::error::{ApiError, Code};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Statements by their Sid, each as JSON. Without any there is no policy.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(crate) struct Policy {
    statements: BTreeMap<String, Value>,
    pub(super) revision: String,
}

impl Policy {
    /// Adds a statement, if the policy is what the client thinks it is.
    pub(super) fn add(&mut self, (sid, statement): (&str, &Value), revision: Option<&str>) -> Result<(), ApiError> {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        if !(1..=SID_MAX).contains(&sid.len()) || !sid.bytes().all(allowed) {
            return Err(invalid(format!("StatementId must be 1 to {SID_MAX} letters, digits, - and _")));
        }
        expect_revision(&self.revision, revision)?;
        if self.statements.contains_key(sid) {
            let message = format!("The statement id ({sid}) provided already exists.");
            return Err(ApiError::new(Code::CONFLICT, message));
        }
        self.statements.insert(sid.to_owned(), statement.clone());
        let length = self.document().len();
        if length > POLICY_MAX {
            let message = format!("the policy has {length} bytes, at most {POLICY_MAX} are allowed");
            return Err(ApiError::new(Code::POLICY_LENGTH, message));
        }
        self.revision = Stamp::now().revision;
        Ok(())
    }

    /// Takes a statement away, if the policy is what the client thinks it is.
    pub(super) fn remove(&mut self, sid: &str, revision: Option<&str>) -> Result<(), ApiError> {
        expect_revision(&self.revision, revision)?;
        self.statements.remove(sid).ok_or_else(none)?;
        self.revision = Stamp::now().revision;
        Ok(())
    }

    /// As GetPolicy and GetLayerVersionPolicy show it.
    pub(super) fn shown(&self) -> Result<Value, ApiError> {
        if self.statements.is_empty() {
            return Err(none());
        }
        Ok(json!({ "Policy": self.document(), "RevisionId": self.revision }))
    }

    fn document(&self) -> String {
        let statements: Vec<&Value> = self.statements.values().collect();
        json!({ "Version": "2012-10-17", "Id": "default", "Statement": statements }).to_string()
    }
}

fn none() -> ApiError {
    ApiError::new(Code::NOT_FOUND, "No policy is associated with the given resource.")
}

const SID_MAX: usize = 100;
const POLICY_MAX: usize = 20 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_has_its_length_and_its_revision() {
        let mut policy = Policy::default();
        assert_eq!(policy.shown().unwrap_err().code, Code::NOT_FOUND);
        let long = json!({ "Sid": "x".repeat(1024) });
        let mut count = 0;
        let error = loop {
            match policy.add((&format!("s{count}"), &long), None) {
                Ok(()) => count += 1,
                Err(error) => break error,
            }
        };
        assert_eq!((error.code, count), (Code::POLICY_LENGTH, 19));
        let mut policy = Policy::default();
        policy.add(("one", &json!({ "Sid": "one" })), None).unwrap();
        let revision = policy.revision.clone();
        for (sid, expected) in [("one", Code::CONFLICT), ("no name", Code::INVALID_PARAMETER)] {
            assert_eq!(policy.add((sid, &json!({})), Some(&revision)).unwrap_err().code, expected);
        }
        policy.add(("two", &json!({ "Sid": "two" })), Some(&revision)).unwrap();
        assert_eq!(policy.remove("one", Some(&revision)).unwrap_err().code, Code::PRECONDITION);
        assert_eq!(policy.remove("three", None).unwrap_err().code, Code::NOT_FOUND);
        policy.remove("one", Some(&policy.revision.clone())).unwrap();
        let shown = policy.shown().unwrap();
        let document: Value = serde_json::from_str(shown["Policy"].as_str().unwrap()).unwrap();
        assert_eq!(document["Statement"], json!([{ "Sid": "two" }]));
        assert_eq!(shown["RevisionId"], policy.revision);
    }
}
