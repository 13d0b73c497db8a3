//! The edge's own queues, for people: what lies in them, sent again or thrown away.

use super::{Client, ClientError};
use crate::letters::SERVICE;
use http::{HeaderMap, Method};
use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

impl Client {
    /// A line for each queue that has letters.
    ///
    /// # Errors
    /// The edge does not answer, or refuses.
    pub async fn queues(&self) -> Result<Vec<String>, ClientError> {
        let answer = self.queue(Method::GET, "/queues").await?;
        let queues = answer["queues"].as_array().into_iter().flatten();
        let line = |queue: &Value| {
            let (name, letters) = (queue["name"].as_str().unwrap_or_default(), &queue["letters"]);
            format!("{name}: {letters} in it, the oldest of {}", when(&queue["oldestMs"]))
        };
        Ok(queues.map(line).collect())
    }

    /// The letters of a queue, the oldest first, each as a line of JSON.
    ///
    /// # Errors
    /// The edge does not answer, or refuses.
    pub async fn letters(&self, queue: &str) -> Result<Vec<String>, ClientError> {
        let answer = self.queue(Method::GET, &format!("/queues/{queue}")).await?;
        let letters = answer["letters"].as_array().cloned().unwrap_or_default();
        let (shown, all) = (letters.len() as u64, answer["all"].as_u64().unwrap_or_default());
        let mut lines: Vec<String> = letters.into_iter().map(letter).collect();
        if all > shown {
            lines.push(format!("and {} more", all - shown));
        }
        Ok(lines)
    }

    /// Sends the events of a queue to their functions again; says how many.
    ///
    /// # Errors
    /// The edge does not answer, or refuses.
    pub async fn redrive(&self, queue: &str) -> Result<Vec<String>, ClientError> {
        let answer = self.queue(Method::POST, &format!("/queues/{queue}/redrive")).await?;
        let mut lines = vec![format!("{} events are sent again", answer["sent"])];
        if answer["kept"] != 0 {
            lines.push(format!("{} stay: their functions are not there, or too many events wait", answer["kept"]));
        }
        Ok(lines)
    }

    /// Throws the letters of a queue away; says how many.
    ///
    /// # Errors
    /// The edge does not answer, or refuses.
    pub async fn clear(&self, queue: &str) -> Result<Vec<String>, ClientError> {
        let answer = self.queue(Method::DELETE, &format!("/queues/{queue}")).await?;
        Ok(vec![format!("{} letters are thrown away", answer["cleared"])])
    }

    async fn queue(&self, method: Method, path: &str) -> Result<Value, ClientError> {
        let reply = self.send(SERVICE, method, path, (HeaderMap::new(), Vec::new())).await?;
        serde_json::from_slice(&reply.body).map_err(|error| ClientError::Unclear(error.to_string()))
    }
}

fn letter(mut letter: Value) -> String {
    let at = when(&letter["atMs"]);
    if let Some(members) = letter.as_object_mut() {
        members.remove("atMs");
        members.insert("at".into(), at.into());
        members.retain(|_, value| !value.is_null());
    }
    letter.to_string()
}

/// Milliseconds of Unix time as people read it.
fn when(ms: &Value) -> String {
    let nanoseconds = i128::from(ms.as_u64().unwrap_or_default()) * 1_000_000;
    let time = OffsetDateTime::from_unix_timestamp_nanos(nanoseconds).ok();
    time.and_then(|time| time.format(&Rfc3339).ok()).unwrap_or_default()
}
