//! Where events and records of asynchronous invocations can go: another function, a queue
//! of this edge, a queue or topic of AWS or what stands for it, or a URL. What is sent
//! there, `delivery` sends.

use super::alias;
use super::names::{ACCOUNT, LATEST, Named, REGION, invalid};
use super::record::version;
use crate::error::ApiError;
use crate::services::Services;
use crate::store::Records;
use http::Uri;

/// A place that was named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Destination {
    Function(Named),
    /// A queue that this edge keeps.
    Own {
        queue: String,
    },
    Sqs {
        region: String,
        account: String,
        queue: String,
    },
    Sns {
        region: String,
        arn: String,
    },
    Url(Uri),
}

impl Destination {
    /// What an ARN or URL names. Whatever this edge cannot reach is refused.
    pub(super) fn parse(text: &str, services: &Services) -> Result<Destination, ApiError> {
        let unsupported = |why: &str| invalid(format!("{text} is not supported by this edge: {why}"));
        let parts: Vec<&str> = text.split(':').collect();
        match parts[..] {
            ["arn", _, "lambda", ..] => Ok(Destination::Function(Named::parse(text)?)),
            ["arn", _, "sqs", region, account, queue] => {
                if !is_queue(queue) {
                    return Err(unsupported(
                        "a queue's name has 1 to 80 letters, digits, - and _, and is no FIFO queue",
                    ));
                }
                let (region, account, queue) = (region.to_owned(), account.to_owned(), queue.to_owned());
                match &services.sqs {
                    Some(_) => Ok(Destination::Sqs { region, account, queue }),
                    None if account == ACCOUNT && region == REGION => Ok(Destination::Own { queue }),
                    None => Err(unsupported("[control] has no sqs")),
                }
            }
            ["arn", _, "sns", region, _, _] => {
                let arn = Destination::Sns { region: region.to_owned(), arn: text.to_owned() };
                services.sns.as_ref().map(|_| arn).ok_or_else(|| unsupported("[control] has no sns"))
            }
            ["http" | "https", ..] => {
                let uri: Uri = text.parse().map_err(|error| invalid(format!("{text} is no URL: {error}")))?;
                let authority = uri.authority().map(|authority| authority.as_str().to_ascii_lowercase());
                let origin = format!("{}://{}", uri.scheme_str().unwrap_or_default(), authority.unwrap_or_default());
                let is_allowed = services.urls.contains(&origin);
                let why = format!("[control] url_destinations does not name {origin}");
                is_allowed.then_some(Destination::Url(uri)).ok_or_else(|| unsupported(&why))
            }
            _ => Err(unsupported("it must be a function of it, a queue, a topic or a URL")),
        }
    }

    /// Refuses a function that is not there.
    pub(super) fn expect(&self, records: &Records<'_>) -> Result<(), ApiError> {
        let Destination::Function(named) = self else { return Ok(()) };
        let qualifier = named.qualifier.as_deref().unwrap_or(LATEST);
        let number = alias::main_version(records, &named.name, qualifier)?;
        version(records, &named.name, &number).map(drop).map_err(|error| invalid(error.message))
    }

    /// Whether an event can be left there for somebody to look at (AWS: "DeadLetterConfig").
    pub(super) fn takes_letters(&self) -> bool {
        matches!(self, Destination::Own { .. } | Destination::Sqs { .. } | Destination::Sns { .. })
    }
}

/// AWS: "Amazon SQS message quotas".
pub(super) fn is_queue(name: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    (1..=80).contains(&name.len()) && name.bytes().all(allowed)
}
