//! How asynchronous invocations of a function, a version or an alias are retried, and
//! where their records go (AWS: "PutFunctionEventInvokeConfig").

use super::alias;
use super::destination::Destination;
use super::names::{LATEST, Named, arn, invalid};
use super::page::page;
use super::record::{Function, version};
use crate::answer::Answer;
use crate::error::{ApiError, Code};
use crate::plane::Plane;
use crate::request::Request;
use crate::store::{Kind, Records};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(super) struct EventConfig {
    retries: Option<u32>,
    age_s: Option<u32>,
    on_success: Option<String>,
    on_failure: Option<String>,
    /// Unix time, seconds.
    modified: f64,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Wanted {
    maximum_retry_attempts: Option<u32>,
    maximum_event_age_in_seconds: Option<u32>,
    destination_config: Option<Destinations>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Destinations {
    on_success: Option<WantedDestination>,
    on_failure: Option<WantedDestination>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct WantedDestination {
    destination: Option<String>,
}

impl EventConfig {
    pub(super) fn retries_max(&self) -> u32 {
        self.retries.unwrap_or(RETRIES_MAX)
    }

    pub(super) fn age_max(&self) -> Duration {
        Duration::from_secs(self.age_s.unwrap_or(AGE_MAX_S).into())
    }

    pub(super) fn destination(&self, succeeded: bool) -> Option<&str> {
        if succeeded { self.on_success.as_deref() } else { self.on_failure.as_deref() }
    }

    fn shown(&self, named: &Named) -> Value {
        let qualifier = named.qualifier.as_deref().unwrap_or(LATEST);
        let destination = |arn: &Option<String>| arn.as_ref().map_or(json!({}), |arn| json!({ "Destination": arn }));
        json!({
            "LastModified": self.modified,
            "FunctionArn": arn(&named.name, Some(qualifier)),
            "MaximumRetryAttempts": self.retries_max(),
            "MaximumEventAgeInSeconds": self.age_max().as_secs(),
            "DestinationConfig": {
                "OnSuccess": destination(&self.on_success),
                "OnFailure": destination(&self.on_failure),
            },
        })
    }

    fn change(&mut self, plane: &Plane, records: &Records<'_>, wanted: Wanted) -> Result<(), ApiError> {
        if let Some(retries) = wanted.maximum_retry_attempts {
            if retries > RETRIES_MAX {
                return Err(invalid(format!("MaximumRetryAttempts is {retries}, it must be 0 to {RETRIES_MAX}")));
            }
            self.retries = Some(retries);
        }
        if let Some(age) = wanted.maximum_event_age_in_seconds {
            if !(AGE_MIN_S..=AGE_MAX_S).contains(&age) {
                let bounds = format!("it must be {AGE_MIN_S} to {AGE_MAX_S}");
                return Err(invalid(format!("MaximumEventAgeInSeconds is {age}, {bounds}")));
            }
            self.age_s = Some(age);
        }
        if let Some(config) = wanted.destination_config {
            if let Some(destination) = config.on_success {
                self.on_success = checked(plane, records, destination)?;
            }
            if let Some(destination) = config.on_failure {
                self.on_failure = checked(plane, records, destination)?;
            }
        }
        self.modified = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64());
        Ok(())
    }
}

/// What holds for a qualifier; the defaults when nothing was said.
pub(super) fn of(records: &Records<'_>, function: &str, qualifier: &str) -> Result<EventConfig, ApiError> {
    Ok(records.find(Kind::EventConfig, function, qualifier)?.unwrap_or_default())
}

/// PutFunctionEventInvokeConfig.
pub(super) fn put(plane: &Plane, name: &str, request: &Request) -> Result<Answer, ApiError> {
    write(plane, name, request, |_| Ok(EventConfig::default()))
}

/// UpdateFunctionEventInvokeConfig.
pub(super) fn update(plane: &Plane, name: &str, request: &Request) -> Result<Answer, ApiError> {
    write(plane, name, request, |found| found.ok_or_else(none))
}

/// GetFunctionEventInvokeConfig.
pub(super) fn find(plane: &Plane, name: &str, request: &Request) -> Result<Answer, ApiError> {
    let named = Named::parse(name)?.qualified(request.query("Qualifier"))?;
    let found: Option<EventConfig> =
        plane.store.read(|records| records.find(Kind::EventConfig, &named.name, qualifier(&named)))?;
    Answer::json(StatusCode::OK, &found.ok_or_else(none)?.shown(&named))
}

/// DeleteFunctionEventInvokeConfig.
pub(super) fn delete(plane: &Plane, name: &str, request: &Request) -> Result<Answer, ApiError> {
    let named = Named::parse(name)?.qualified(request.query("Qualifier"))?;
    let removed = plane.store.write(|records| records.remove(Kind::EventConfig, &named.name, qualifier(&named)))?;
    removed.then(|| Answer::empty(StatusCode::NO_CONTENT)).ok_or_else(none)
}

/// ListFunctionEventInvokeConfigs.
pub(super) fn list(plane: &Plane, name: &str, request: &Request) -> Result<Answer, ApiError> {
    let Named { name, .. } = Named::parse(name)?;
    let items = plane.store.read(|records| {
        Function::find(records, &name)?;
        let all = records.list::<EventConfig>(Kind::EventConfig, &name)?.into_iter();
        Ok(all
            .map(|(id, config)| {
                let named = Named { name: name.clone(), qualifier: Some(id.clone()) };
                (id, config.shown(&named))
            })
            .collect())
    })?;
    Answer::json(StatusCode::OK, &page(request, "FunctionEventInvokeConfigs", items)?)
}

fn write(
    plane: &Plane,
    name: &str,
    request: &Request,
    start: impl FnOnce(Option<EventConfig>) -> Result<EventConfig, ApiError>,
) -> Result<Answer, ApiError> {
    let named = Named::parse(name)?.qualified(request.query("Qualifier"))?;
    let wanted: Wanted = request.json()?;
    let config = plane.store.write(|records| {
        let number = alias::main_version(records, &named.name, qualifier(&named))?;
        version(records, &named.name, &number)?;
        let mut config = start(records.find(Kind::EventConfig, &named.name, qualifier(&named))?)?;
        config.change(plane, records, wanted)?;
        records.put(Kind::EventConfig, &named.name, qualifier(&named), &config)?;
        Ok(config)
    })?;
    Answer::json(StatusCode::OK, &config.shown(&named))
}

/// `None` takes the destination away.
fn checked(plane: &Plane, records: &Records<'_>, destination: WantedDestination) -> Result<Option<String>, ApiError> {
    let Some(text) = destination.destination.filter(|text| !text.is_empty()) else { return Ok(None) };
    Destination::parse(&text, &plane.services)?.expect(records)?;
    Ok(Some(text))
}

fn qualifier(named: &Named) -> &str {
    named.qualifier.as_deref().unwrap_or(LATEST)
}

fn none() -> ApiError {
    ApiError::new(Code::NOT_FOUND, "The function has no EventInvokeConfig for this qualifier")
}

/// AWS: "PutFunctionEventInvokeConfig".
const RETRIES_MAX: u32 = 2;
const AGE_MIN_S: u32 = 60;
const AGE_MAX_S: u32 = 21_600;
