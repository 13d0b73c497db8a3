//! What clients make that is neither a distribution nor a policy, and distributions refer
//! to: public keys, key groups, origin access controls, continuous deployment policies. One set of
//! operations for all of them; what is special to a kind is in its file.

use super::distribution::{list_document, read};
use super::shape::Shape;
use super::{VERSION, now, random_id};
use crate::answer::Answer;
use crate::error::{ApiError, Code};
use crate::plane::Plane;
use crate::request::Request;
use crate::store::{Kind, Records};
use crate::xml::{self, put};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One kind.
pub(super) struct ResourceKind {
    pub(super) record: Kind,
    /// As in the names of its structures.
    pub(super) name: &'static str,
    pub(super) path: &'static str,
    pub(super) shape: &'static Shape,
    pub(super) new_id: fn() -> String,
    /// The member that says when it was made or changed, if one does.
    pub(super) time: Option<&'static str>,
    pub(super) missing: Code,
    /// Refuses a configuration, given what it is to take the place of.
    pub(super) check: Check,
    /// Refuses the end of one that is needed.
    pub(super) expect_unused: fn(&Records<'_>, &str) -> Result<(), ApiError>,
    /// The content of its element in a list.
    pub(super) summary: fn(&ResourceKind, &str, &Resource) -> String,
}

/// The plane and its records, an id, the configuration before, and the one that is wanted.
type Check = fn(&Plane, &Records<'_>, &str, Option<&Value>, &Value) -> Result<(), ApiError>;

/// One of them.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct Resource {
    pub(super) config: Value,
    pub(super) etag: String,
    pub(super) at: String,
}

impl ResourceKind {
    pub(super) fn create(&self, plane: &Plane, request: &Request) -> Result<Answer, ApiError> {
        let config = read(self.shape, &format!("{}Config", self.name), request)?;
        let (id, resource) = self.made(config);
        plane.store.write(|records| self.add(plane, records, &id, &resource))?;
        Ok(self.created(request, &id, &resource))
    }

    /// One that is not kept yet, with its id.
    pub(super) fn made(&self, config: Value) -> (String, Resource) {
        ((self.new_id)(), Resource { config, etag: random_id('E'), at: now() })
    }

    pub(super) fn add(
        &self,
        plane: &Plane,
        records: &Records<'_>,
        id: &str,
        resource: &Resource,
    ) -> Result<(), ApiError> {
        (self.check)(plane, records, id, None, &resource.config)?;
        records.put(self.record, "", id, resource)
    }

    pub(super) fn created(&self, request: &Request, id: &str, resource: &Resource) -> Answer {
        let location = format!("http://{}/{VERSION}/{}/{id}", request.host(), self.path);
        self.answer(StatusCode::CREATED, id, resource).with("location", location)
    }

    pub(super) fn find(&self, plane: &Plane, id: &str) -> Result<Answer, ApiError> {
        let resource = plane.store.read(|records| self.existing(records, id))?;
        Ok(self.answer(StatusCode::OK, id, &resource))
    }

    pub(super) fn config(&self, plane: &Plane, id: &str) -> Result<Answer, ApiError> {
        let resource = plane.store.read(|records| self.existing(records, id))?;
        let document = xml::document(&format!("{}Config", self.name), &self.shape.content(&resource.config));
        Ok(Answer::xml(StatusCode::OK, document).with("etag", resource.etag))
    }

    pub(super) fn update(&self, plane: &Plane, id: &str, request: &Request) -> Result<Answer, ApiError> {
        let config = read(self.shape, &format!("{}Config", self.name), request)?;
        let resource = plane.change(Code::INVALID_ARGUMENT, |records| {
            let found = self.existing(records, id)?;
            request.expect_etag(&found.etag)?;
            self.exchange(plane, records, id, found, config)
        })?;
        Ok(self.answer(StatusCode::OK, id, &resource))
    }

    /// What was found, with another configuration.
    pub(super) fn exchange(
        &self,
        plane: &Plane,
        records: &Records<'_>,
        id: &str,
        mut found: Resource,
        config: Value,
    ) -> Result<Resource, ApiError> {
        (self.check)(plane, records, id, Some(&found.config), &config)?;
        (found.config, found.etag) = (config, random_id('E'));
        if self.time == Some("LastModifiedTime") {
            found.at = now();
        }
        records.put(self.record, "", id, &found)?;
        Ok(found)
    }

    pub(super) fn delete(&self, plane: &Plane, id: &str, request: &Request) -> Result<Answer, ApiError> {
        plane.store.write(|records| self.take_away(records, id, request))?;
        Ok(Answer::empty(StatusCode::NO_CONTENT))
    }

    pub(super) fn take_away(&self, records: &Records<'_>, id: &str, request: &Request) -> Result<(), ApiError> {
        let found = self.existing(records, id)?;
        request.expect_etag(&found.etag)?;
        (self.expect_unused)(records, id)?;
        records.remove(self.record, "", id).map(drop)
    }

    pub(super) fn list(&self, plane: &Plane, request: &Request) -> Result<Answer, ApiError> {
        let all = plane.store.read(|records| records.list::<Resource>(self.record, ""))?;
        let items = all.into_iter().map(|(id, resource)| (id.clone(), (self.summary)(self, &id, &resource)));
        list_document(request, &format!("{}List", self.name), &format!("{}Summary", self.name), items.collect())
    }

    /// The content of its own element.
    pub(super) fn shown(&self, id: &str, resource: &Resource) -> String {
        let mut out = String::new();
        put(&mut out, "Id", id);
        if let Some(time) = self.time {
            put(&mut out, time, &resource.at);
        }
        self.shape.write(&mut out, &format!("{}Config", self.name), &resource.config);
        out
    }

    pub(super) fn existing(&self, records: &Records<'_>, id: &str) -> Result<Resource, ApiError> {
        let found = records.find(self.record, "", id)?;
        found.ok_or_else(|| ApiError::new(self.missing, format!("The {} {id} does not exist.", self.name)))
    }

    pub(super) fn answer(&self, status: StatusCode, id: &str, resource: &Resource) -> Answer {
        let document = xml::document(self.name, &self.shown(id, resource));
        Answer::xml(status, document).with("etag", resource.etag.clone())
    }
}

/// Whether another one has the same member.
pub(super) fn is_taken(
    records: &Records<'_>,
    kind: Kind,
    id: &str,
    member: &Value,
    name: &str,
) -> Result<bool, ApiError> {
    let all = records.list::<Resource>(kind, "")?;
    Ok(all.iter().any(|(other, resource)| other != id && resource.config[name] == *member))
}
