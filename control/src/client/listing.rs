//! What there is: functions with their versions, and distributions with what they use.

use super::{Client, ClientError};
use crate::cloudfront::{DISTRIBUTION, associated_in};
use crate::xml::Element;
use http::{HeaderMap, Method};
use serde_json::Value;

/// A distribution and the state that a change of it must be made for.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) id: String,
    pub(super) etag: String,
    /// A DistributionConfig.
    pub(super) config: Value,
}

impl Found {
    /// By its id, its own domain or one of its aliases.
    pub(super) fn is_called(&self, name: &str) -> bool {
        let mut domains = self.config["Aliases"]["Items"].as_array().into_iter().flatten().map(text);
        self.id == name
            || deployment::distribution_domain(&self.id) == name
            || domains.any(|domain| domain.eq_ignore_ascii_case(name))
    }
}

impl Client {
    /// A line for each function: name, runtime, last published version.
    ///
    /// # Errors
    /// The edge does not answer, or refuses.
    pub async fn functions(&self) -> Result<Vec<String>, ClientError> {
        let mut lines = Vec::new();
        for function in self.pages("/2015-03-31/functions", "Functions").await? {
            let name = text(&function["FunctionName"]);
            let versions = self.versions(name).await?;
            let last = versions.last().map_or_else(|| "not published".to_owned(), |last| format!("version {last}"));
            let (runtime, bytes) = (text(&function["Runtime"]), &function["CodeSize"]);
            lines.push(format!("{name}: {runtime}, {last}, {bytes} bytes"));
        }
        Ok(lines)
    }

    /// A line for each distribution: id, domains, and the functions that it uses.
    ///
    /// # Errors
    /// The edge does not answer, or refuses.
    pub async fn distributions(&self) -> Result<Vec<String>, ClientError> {
        let found = self.every_distribution().await?;
        let lines = found.iter().map(|found| {
            let domains = found.config["Aliases"]["Items"].as_array().into_iter().flatten().map(text);
            let mut domains: Vec<&str> = domains.collect();
            let own = deployment::distribution_domain(&found.id);
            domains.push(&own);
            let functions = associated_in(&found.config).into_iter().map(|(name, number)| format!("{name}:{number}"));
            let state = if found.config["Enabled"] == Value::Bool(true) { "enabled" } else { "disabled" };
            let functions: Vec<String> = functions.collect();
            let staging = if found.config["Staging"] == Value::Bool(true) { "staging, " } else { "" };
            format!("{}: {staging}{state}, {}, functions {}", found.id, domains.join(" "), functions.join(" "))
        });
        Ok(lines.collect())
    }

    /// The numbers of a function's published versions, in order.
    pub(super) async fn versions(&self, name: &str) -> Result<Vec<u64>, ClientError> {
        let versions = self.pages(&format!("/2015-03-31/functions/{name}/versions"), "Versions").await?;
        Ok(versions.iter().filter_map(|version| text(&version["Version"]).parse().ok()).collect())
    }

    pub(super) async fn every_distribution(&self) -> Result<Vec<Found>, ClientError> {
        let mut all = Vec::new();
        let mut marker = String::new();
        loop {
            let path = format!("/2020-05-31/distribution?Marker={marker}");
            let list = self.xml(&path).await?.0;
            let child =
                |element: &Element, name: &str| element.children.iter().find(|child| child.name == name).cloned();
            for summary in child(&list, "Items").unwrap_or_default().children {
                let id = child(&summary, "Id").unwrap_or_default().text;
                let (config, etag) = self.xml(&format!("/2020-05-31/distribution/{id}/config")).await?;
                let config = DISTRIBUTION.read(&config).map_err(|error| ClientError::Unclear(error.to_string()))?;
                all.push(Found { id, etag, config });
            }
            match child(&list, "NextMarker") {
                Some(next) => marker = next.text,
                None => return Ok(all),
            }
        }
    }

    async fn pages(&self, path: &str, list: &str) -> Result<Vec<Value>, ClientError> {
        let mut all = Vec::new();
        let mut marker = String::new();
        loop {
            let mut page = self.json(Method::GET, &format!("{path}?Marker={marker}"), None).await?;
            all.extend(page[list].as_array_mut().map(std::mem::take).unwrap_or_default());
            match page["NextMarker"].as_str() {
                Some(next) => marker = next.to_owned(),
                None => return Ok(all),
            }
        }
    }

    async fn xml(&self, path: &str) -> Result<(Element, String), ClientError> {
        let reply = self.send("cloudfront", Method::GET, path, (HeaderMap::new(), Vec::new())).await?;
        let etag = reply.headers.get("etag").and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
        let root = Element::parse(&reply.body).map_err(|error| ClientError::Unclear(error.to_string()))?;
        Ok((root, etag))
    }
}

pub(super) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
