//! What a PoP knows of an invocation when it is over, for extensions that have
//! subscribed to it (AWS: "Lambda Telemetry API Event schema reference").

use serde::{Deserialize, Serialize};

/// The end of one invocation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Of the invocation.
    pub id: String,
    pub status: Status,
    /// Of an invocation that failed.
    pub error_type: Option<String>,
    /// From the event until the runtime and all extensions had done.
    pub duration_ms: f64,
    /// What the invocation waited for its environment.
    pub init_ms: Option<f64>,
    pub memory_used_mb: u32,
}

/// How something ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    Success,
    /// The function said so.
    Error,
    /// The environment ended.
    Failure,
    Timeout,
}
