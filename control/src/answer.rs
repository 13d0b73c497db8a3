//! What a client gets: status, headers and body, in the protocol of its service
//! (restJson1 for Lambda, restXml for CloudFront).

use crate::error::ApiError;
use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderName, HeaderValue, Response, StatusCode};
use http_body_util::Full;
use serde::Serialize;
use uuid::Uuid;

/// An answer before it is sent.
#[derive(Debug)]
pub(crate) struct Answer {
    status: StatusCode,
    headers: Vec<(HeaderName, String)>,
    body: Bytes,
}

/// How a service writes its errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    Json,
    Xml,
}

impl Protocol {
    /// Of a request whose service is not known yet.
    pub(crate) fn of_path(path: &str) -> Protocol {
        if path.trim_start_matches('/').starts_with(crate::cloudfront::VERSION) {
            Protocol::Xml
        } else {
            Protocol::Json
        }
    }
}

impl Answer {
    pub(crate) fn empty(status: StatusCode) -> Answer {
        Answer { status, headers: Vec::new(), body: Bytes::new() }
    }

    pub(crate) fn json(status: StatusCode, value: &impl Serialize) -> Result<Answer, ApiError> {
        let body = serde_json::to_vec(value).map_err(|error| ApiError::of_ours(&error))?;
        Ok(Answer::raw(status, "application/json", Bytes::from(body)))
    }

    pub(crate) fn xml(status: StatusCode, text: String) -> Answer {
        Answer::raw(status, "text/xml", Bytes::from(text))
    }

    pub(crate) fn raw(status: StatusCode, content_type: &str, body: Bytes) -> Answer {
        Answer { status, headers: vec![(CONTENT_TYPE, content_type.to_owned())], body }
    }

    pub(crate) fn with(mut self, name: &'static str, value: impl Into<String>) -> Answer {
        self.headers.push((HeaderName::from_static(name), value.into()));
        self
    }

    pub(crate) fn of_error(error: &ApiError, protocol: Protocol, id: Uuid) -> Answer {
        let (name, message) = (error.code.name, &error.message);
        match protocol {
            Protocol::Json => {
                let blame = if error.is_callers() { "User" } else { "Server" };
                let mut body =
                    serde_json::json!({ "__type": name, "Type": blame, "Message": message, "message": message });
                if let Some(reason) = error.reason {
                    body["Reason"] = reason.into();
                }
                Answer::raw(error.status(), "application/json", Bytes::from(body.to_string()))
                    .with("x-amzn-errortype", name)
            }
            Protocol::Xml => {
                let blame = if error.is_callers() { "Sender" } else { "Receiver" };
                let escaped = quick_xml::escape::escape(message.as_str());
                let body = format!(
                    "<?xml version=\"1.0\"?>\n<ErrorResponse xmlns=\"{}\"><Error><Type>{blame}</Type>\
                     <Code>{name}</Code><Message>{escaped}</Message></Error><RequestId>{id}</RequestId></ErrorResponse>",
                    crate::cloudfront::NAMESPACE
                );
                Answer::xml(error.status(), body)
            }
        }
    }

    pub(crate) fn into_response(self, id: Uuid) -> Response<Full<Bytes>> {
        let mut response = Response::new(Full::new(self.body.clone()));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        for (name, value) in self.headers {
            // What a header cannot hold was not put there by us.
            if let Ok(value) = HeaderValue::from_str(&value) {
                headers.append(name, value);
            }
        }
        if self.status != StatusCode::NO_CONTENT {
            headers.insert(CONTENT_LENGTH, HeaderValue::from(self.body.len()));
        }
        if !headers.contains_key("x-amzn-requestid")
            && let Ok(value) = HeaderValue::from_str(&id.to_string())
        {
            headers.insert("x-amzn-requestid", value);
        }
        response
    }
}
