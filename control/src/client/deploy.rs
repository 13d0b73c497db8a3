//! From a directory to traffic: package, upload, publish, associate; and back.

use super::listing::{Found, text};
use super::{Client, ClientError, archive};
use crate::cloudfront::{DISTRIBUTION, associations_mut};
use crate::lambda::arn;
use crate::xml;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderValue, Method};
use serde_json::{Value, json};
use std::path::Path;

/// How a function is made that is not there yet.
#[derive(Clone, Debug)]
pub struct NewFunction {
    pub runtime: String,
    pub handler: String,
}

/// Where a function is to run.
#[derive(Clone, Copy, Debug)]
pub struct Behavior<'a> {
    /// Id or domain.
    pub distribution: Option<&'a str>,
    /// The path pattern of one of its behaviors; the default one's without it.
    pub path: Option<&'a str>,
    /// `viewer-request` and so on.
    pub event: &'a str,
}

/// What was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deployed {
    pub version: String,
    /// The distributions that use this version now.
    pub distributions: Vec<String>,
}

impl Client {
    /// Uploads the code at `path`, a directory or an archive, publishes it, and lets every
    /// distribution that uses the function use the new version. It serves when this returns.
    ///
    /// # Errors
    /// The code cannot be read, or the edge refuses it.
    pub async fn deploy(&self, name: &str, path: &Path, new: &NewFunction) -> Result<Deployed, ClientError> {
        let zip = STANDARD.encode(archive::archive(path)?);
        let function = format!("/2015-03-31/functions/{name}");
        let published = match self.json(Method::GET, &format!("{function}/configuration"), None).await {
            Ok(_) => {
                let body = json!({ "ZipFile": zip, "Publish": true });
                self.json(Method::PUT, &format!("{function}/code"), Some(body)).await?
            }
            Err(ClientError::Refused { name: refused, .. }) if refused == "ResourceNotFoundException" => {
                let body = json!({
                    "FunctionName": name,
                    "Runtime": new.runtime,
                    "Handler": new.handler,
                    "Role": ROLE,
                    "Code": { "ZipFile": zip },
                    "Publish": true,
                });
                self.json(Method::POST, "/2015-03-31/functions", Some(body)).await?
            }
            Err(error) => return Err(error),
        };
        let version = text(&published["Version"]).to_owned();
        let distributions = self.use_version(name, &version).await?;
        Ok(Deployed { version, distributions })
    }

    /// Lets a published version run at an event of a behavior, in place of whatever ran there. Says
    /// which distribution that is; it serves when this returns.
    ///
    /// # Errors
    /// There is no such distribution or behavior, or the edge refuses it.
    pub async fn associate(&self, name: &str, version: &str, place: &Behavior<'_>) -> Result<String, ClientError> {
        let mut found = self.distribution(place.distribution).await?;
        let behavior = behavior_mut(&mut found.config, place.path).ok_or_else(|| {
            let path = place.path.unwrap_or_default();
            ClientError::Nothing(format!("distribution {} has no behavior for {path:?}", found.id))
        })?;
        let wanted = json!({
            "LambdaFunctionARN": arn(name, Some(version)),
            "EventType": place.event,
            "IncludeBody": false,
        });
        let list = &mut behavior["LambdaFunctionAssociations"];
        let mut items = list["Items"].as_array().cloned().unwrap_or_default();
        match items.iter_mut().find(|item| text(&item["EventType"]) == place.event) {
            // Whether it gets the body stays as it was.
            Some(item) => item["LambdaFunctionARN"] = wanted["LambdaFunctionARN"].clone(),
            None => items.push(wanted),
        }
        *list = json!({ "Quantity": items.len(), "Items": items });
        self.put(&found).await?;
        Ok(found.id)
    }

    /// The distribution of this id or domain; without either the only one.
    async fn distribution(&self, named: Option<&str>) -> Result<Found, ClientError> {
        let mut all = self.every_distribution().await?;
        let known = all.iter().map(|found| found.id.as_str()).collect::<Vec<_>>().join(", ");
        if let Some(named) = named {
            all.retain(|found| found.is_called(named));
        }
        match (all.pop(), all.is_empty(), named) {
            (Some(only), true, _) => Ok(only),
            (Some(_), false, _) => {
                Err(ClientError::Nothing(format!("which distribution? Say --distribution and one of {known}")))
            }
            (None, _, Some(named)) => {
                Err(ClientError::Nothing(format!("no distribution is {named:?}; there are {known}")))
            }
            (None, _, None) => Err(ClientError::Nothing("the control plane has no distribution".to_owned())),
        }
    }

    /// Lets every distribution that uses the function use an earlier version again: `to`, or
    /// the one before the latest that is in use.
    ///
    /// # Errors
    /// There is no such version, or no distribution uses the function.
    pub async fn rollback(&self, name: &str, to: Option<u64>) -> Result<Deployed, ClientError> {
        let found = self.every_distribution().await?;
        let used = found.iter().flat_map(|found| crate::cloudfront::associated_in(&found.config));
        let used =
            used.filter(|(function, _)| function == name).filter_map(|(_, number)| number.parse::<u64>().ok()).max();
        let Some(used) = used else {
            return Err(ClientError::Nothing(format!("no distribution uses function {name}")));
        };
        let versions = self.versions(name).await?;
        let version = match to {
            Some(to) if versions.contains(&to) => to,
            Some(to) => return Err(ClientError::Nothing(format!("function {name} has no version {to}"))),
            None => {
                let earlier = versions.into_iter().filter(|version| *version < used).max();
                let none = || ClientError::Nothing(format!("function {name} has no version before {used}"));
                earlier.ok_or_else(none)?
            }
        };
        let version = version.to_string();
        let distributions = self.use_version(name, &version).await?;
        Ok(Deployed { version, distributions })
    }

    /// The distributions that were changed.
    async fn use_version(&self, name: &str, version: &str) -> Result<Vec<String>, ClientError> {
        let (unqualified, wanted) = (format!("{}:", arn(name, None)), arn(name, Some(version)));
        let mut changed = Vec::new();
        for mut found in self.every_distribution().await? {
            let mut any = false;
            for association in associations_mut(&mut found.config) {
                let own = text(&association["LambdaFunctionARN"]);
                if own.starts_with(&unqualified) && own != wanted {
                    association["LambdaFunctionARN"] = Value::from(wanted.as_str());
                    any = true;
                }
            }
            if any {
                self.put(&found).await?;
                changed.push(found.id);
            }
        }
        Ok(changed)
    }

    async fn put(&self, found: &Found) -> Result<(), ClientError> {
        let document = xml::document("DistributionConfig", &DISTRIBUTION.content(&found.config));
        let etag = HeaderValue::from_str(&found.etag).map_err(|error| ClientError::Unclear(error.to_string()))?;
        let headers = HeaderMap::from_iter([(http::header::IF_MATCH, etag)]);
        let path = format!("/2020-05-31/distribution/{}/config", found.id);
        self.send("cloudfront", Method::PUT, &path, (headers, document.into_bytes())).await.map(drop)
    }
}

fn behavior_mut<'a>(config: &'a mut Value, path: Option<&str>) -> Option<&'a mut Value> {
    let Some(path) = path.filter(|path| *path != "*") else { return Some(&mut config["DefaultCacheBehavior"]) };
    let mut behaviors = config["CacheBehaviors"]["Items"].as_array_mut()?.iter_mut();
    behaviors.find(|behavior| text(&behavior["PathPattern"]) == path)
}

/// Kept and shown, and of no meaning here.
const ROLE: &str = "arn:aws:iam::000000000000:role/selvedge";
