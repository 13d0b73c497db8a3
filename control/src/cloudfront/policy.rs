//! Cache, origin request and response headers policies that clients make: one set of
//! operations for the three kinds.

use super::distribution::{Distribution, list_document, read, text};
use super::managed_headers;
use super::policy_table;
use super::shape::Shape;
use super::shapes::{CACHE_POLICY, ORIGIN_REQUEST_POLICY, RESPONSE_HEADERS_POLICY};
use super::{VERSION, now, random_id};
use crate::answer::Answer;
use crate::error::{ApiError, Code};
use crate::plane::Plane;
use crate::request::Request;
use crate::store::{Kind, Records};
use crate::xml::{self, put, put_raw};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use uuid::Uuid;

/// One kind of policy.
pub(super) struct PolicyKind {
    record: Kind,
    /// As in the names of its structures.
    name: &'static str,
    path: &'static str,
    shape: &'static Shape,
    /// The member of a behavior that names one.
    member: &'static str,
    codes: Codes,
    table: fn(&Value) -> Result<toml::Value, ApiError>,
    /// Those that are not made by clients: ids and configurations.
    managed: fn() -> Vec<(&'static str, Value)>,
}

struct Codes {
    missing: Code,
    exists: Code,
    in_use: Code,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
struct Policy {
    config: Value,
    etag: String,
    modified: String,
}

/// Policies by their ids, as a behavior has them.
pub(crate) type Tables = BTreeMap<String, toml::Value>;

/// Every policy that clients made.
pub(crate) fn tables(records: &Records<'_>) -> Result<Tables, ApiError> {
    let mut tables = Tables::new();
    for kind in [&CACHE, &ORIGIN_REQUEST, &RESPONSE_HEADERS] {
        for (id, policy) in records.list::<Policy>(kind.record, "")? {
            tables.insert(id, (kind.table)(&policy.config)?);
        }
    }
    Ok(tables)
}

impl PolicyKind {
    pub(super) fn create(&self, plane: &Plane, request: &Request) -> Result<Answer, ApiError> {
        let config = read(self.shape, &format!("{}Config", self.name), request)?;
        (self.table)(&config)?;
        let (id, policy) = (Uuid::new_v4().to_string(), Policy { config, etag: random_id('E'), modified: now() });
        plane.store.write(|records| {
            self.name_is_free(records, &id, &policy.config)?;
            records.put(self.record, "", &id, &policy)
        })?;
        let location = format!("http://{}/{VERSION}/{}/{id}", request.host(), self.path);
        Ok(self.answer(StatusCode::CREATED, &id, &policy).with("location", location))
    }

    pub(super) fn find(&self, plane: &Plane, id: &str) -> Result<Answer, ApiError> {
        let policy = plane.store.read(|records| self.existing(records, id))?;
        Ok(self.answer(StatusCode::OK, id, &policy))
    }

    pub(super) fn config(&self, plane: &Plane, id: &str) -> Result<Answer, ApiError> {
        let policy = plane.store.read(|records| self.existing(records, id))?;
        let root = format!("{}Config", self.name);
        let document = xml::document(&root, &self.shape.content(&policy.config));
        Ok(Answer::xml(StatusCode::OK, document).with("etag", policy.etag))
    }

    pub(super) fn update(&self, plane: &Plane, id: &str, request: &Request) -> Result<Answer, ApiError> {
        let config = read(self.shape, &format!("{}Config", self.name), request)?;
        (self.table)(&config)?;
        let policy = plane.change(Code::INVALID_ARGUMENT, |records| {
            let found = self.clients_own(records, id, Code::ILLEGAL_UPDATE)?;
            request.expect_etag(&found.etag)?;
            self.name_is_free(records, id, &config)?;
            let policy = Policy { config, etag: random_id('E'), modified: now() };
            records.put(self.record, "", id, &policy)?;
            Ok(policy)
        })?;
        Ok(self.answer(StatusCode::OK, id, &policy))
    }

    pub(super) fn delete(&self, plane: &Plane, id: &str, request: &Request) -> Result<Answer, ApiError> {
        plane.store.write(|records| {
            let found = self.clients_own(records, id, Code::ILLEGAL_DELETE)?;
            request.expect_etag(&found.etag)?;
            for (other, distribution) in records.list::<Distribution>(Kind::Distribution, "")? {
                let config = &distribution.config;
                let behaviors = config["CacheBehaviors"]["Items"].as_array().into_iter().flatten();
                let mut behaviors = behaviors.chain([&config["DefaultCacheBehavior"]]);
                if behaviors.any(|behavior| text(&behavior[self.member]) == id) {
                    let message = format!("the policy is used by distribution {other}");
                    return Err(ApiError::new(self.codes.in_use, message));
                }
            }
            records.remove(self.record, "", id)
        })?;
        Ok(Answer::empty(StatusCode::NO_CONTENT))
    }

    pub(super) fn list(&self, plane: &Plane, request: &Request) -> Result<Answer, ApiError> {
        let (managed, custom) = match request.query("Type") {
            None | Some("") => (true, true),
            Some("managed") => (true, false),
            Some("custom") => (false, true),
            Some(other) => {
                let message = format!("Type is {other:?}, it must be managed or custom");
                return Err(ApiError::new(Code::INVALID_ARGUMENT, message));
            }
        };
        let mut all: Vec<(String, &str, Policy)> = Vec::new();
        if managed {
            all.extend(
                (self.managed)().into_iter().map(|(id, config)| (id.into(), "managed", Policy::managed(config))),
            );
        }
        if custom {
            let found = plane.store.read(|records| records.list::<Policy>(self.record, ""))?;
            all.extend(found.into_iter().map(|(id, policy)| (id, "custom", policy)));
        }
        all.sort_by(|one, other| one.0.cmp(&other.0));
        let items = all.into_iter().map(|(id, kind, policy)| {
            let mut out = String::new();
            put(&mut out, "Type", kind);
            put_raw(&mut out, self.name, &self.shown(&id, &policy));
            (id, out)
        });
        list_document(request, &format!("{}List", self.name), &format!("{}Summary", self.name), items.collect())
    }

    fn answer(&self, status: StatusCode, id: &str, policy: &Policy) -> Answer {
        let document = xml::document(self.name, &self.shown(id, policy));
        Answer::xml(status, document).with("etag", policy.etag.clone())
    }

    fn shown(&self, id: &str, policy: &Policy) -> String {
        let mut out = String::new();
        put(&mut out, "Id", id);
        put(&mut out, "LastModifiedTime", &policy.modified);
        self.shape.write(&mut out, &format!("{}Config", self.name), &policy.config);
        out
    }

    /// One that a client made, or a managed one.
    fn existing(&self, records: &Records<'_>, id: &str) -> Result<Policy, ApiError> {
        let managed = || (self.managed)().into_iter().find(|(other, _)| *other == id);
        let found = records.find(self.record, "", id)?.or_else(|| managed().map(|(_, config)| Policy::managed(config)));
        found.ok_or_else(|| ApiError::new(self.codes.missing, "The policy does not exist."))
    }

    /// One that may be changed.
    fn clients_own(&self, records: &Records<'_>, id: &str, refused: Code) -> Result<Policy, ApiError> {
        match records.find(self.record, "", id)? {
            Some(found) => Ok(found),
            None => {
                self.existing(records, id)?;
                Err(ApiError::new(refused, "A managed policy cannot be changed."))
            }
        }
    }

    fn name_is_free(&self, records: &Records<'_>, id: &str, config: &Value) -> Result<(), ApiError> {
        let all = records.list::<Policy>(self.record, "")?;
        if all.iter().any(|(other, policy)| other != id && policy.config["Name"] == config["Name"]) {
            let message = format!("there is a policy with the name {}", config["Name"]);
            return Err(ApiError::new(self.codes.exists, message));
        }
        Ok(())
    }
}

impl Policy {
    fn managed(config: Value) -> Policy {
        Policy { config, etag: MANAGED_ETAG.into(), modified: MANAGED_SINCE.into() }
    }
}

pub(super) const CACHE: PolicyKind = PolicyKind {
    record: Kind::CachePolicy,
    name: "CachePolicy",
    path: "cache-policy",
    shape: &CACHE_POLICY,
    member: "CachePolicyId",
    codes: Codes {
        missing: Code::NO_SUCH_CACHE_POLICY,
        exists: Code::CACHE_POLICY_EXISTS,
        in_use: Code::CACHE_POLICY_IN_USE,
    },
    table: policy_table::cache,
    managed: policy_table::managed_cache,
};

pub(super) const ORIGIN_REQUEST: PolicyKind = PolicyKind {
    record: Kind::OriginRequestPolicy,
    name: "OriginRequestPolicy",
    path: "origin-request-policy",
    shape: &ORIGIN_REQUEST_POLICY,
    member: "OriginRequestPolicyId",
    codes: Codes {
        missing: Code::NO_SUCH_ORIGIN_REQUEST_POLICY,
        exists: Code::ORIGIN_REQUEST_POLICY_EXISTS,
        in_use: Code::ORIGIN_REQUEST_POLICY_IN_USE,
    },
    table: policy_table::forward,
    managed: policy_table::managed_forward,
};

pub(super) const RESPONSE_HEADERS: PolicyKind = PolicyKind {
    record: Kind::ResponseHeadersPolicy,
    name: "ResponseHeadersPolicy",
    path: "response-headers-policy",
    shape: &RESPONSE_HEADERS_POLICY,
    member: "ResponseHeadersPolicyId",
    codes: Codes {
        missing: Code::NO_SUCH_RESPONSE_HEADERS_POLICY,
        exists: Code::RESPONSE_HEADERS_POLICY_EXISTS,
        in_use: Code::RESPONSE_HEADERS_POLICY_IN_USE,
    },
    table: policy_table::response_headers,
    managed: managed_headers::configs,
};

const MANAGED_ETAG: &str = "E23ZP02F085DFQ";
const MANAGED_SINCE: &str = "2019-06-03T00:00:00.000Z";
