//! Which operation a request asks for, by method, path and query, and how it is done.

use crate::answer::Answer;
use crate::error::{ApiError, Code};
use crate::plane::Plane;
use crate::request::Request;
use std::sync::Arc;

/// One operation of an API.
#[derive(Debug)]
pub(crate) struct Operation {
    name: &'static str,
    method: &'static str,
    /// `{}` stands for a segment of any content.
    path: &'static str,
    /// A query parameter, with its value if one is stated, that the request must have.
    query: &'static str,
}

pub(crate) const fn operation(
    name: &'static str,
    method: &'static str,
    path: &'static str,
    query: &'static str,
) -> Operation {
    Operation { name, method, path, query }
}

/// How an API does an operation: its name, what stands for the `{}` of its path, the request.
pub(crate) type Perform = fn(&Plane, &str, &[String], &Request) -> Result<Answer, ApiError>;

/// The name of the operation that a request asks for, with what stands for its `{}`; an error
/// with this code when there is none.
pub(crate) fn expect(
    operations: &'static [Operation],
    request: &Request,
    none: Code,
) -> Result<(&'static str, Vec<String>), ApiError> {
    let found = find(operations, request).map(|(operation, named)| (operation.name, named));
    let message = || format!("there is no operation {} /{}", request.method, request.segments.join("/"));
    found.ok_or_else(|| ApiError::new(none, message()))
}

/// Does an operation that blocks.
pub(crate) async fn perform(
    plane: &Arc<Plane>,
    (name, named): (&'static str, Vec<String>),
    request: Request,
    how: Perform,
) -> Result<Answer, ApiError> {
    let plane = Arc::clone(plane);
    let done = tokio::task::spawn_blocking(move || how(&plane, name, &named, &request)).await;
    done.map_err(|error| ApiError::of_ours(&error))?
}

/// The first operation that fits, with what stands for its `{}`.
fn find<'a>(operations: &'a [Operation], request: &Request) -> Option<(&'a Operation, Vec<String>)> {
    operations.iter().find_map(|operation| operation.matches(request).map(|named| (operation, named)))
}

impl Operation {
    fn matches(&self, request: &Request) -> Option<Vec<String>> {
        if request.method.as_str() != self.method || !self.has_query(request) {
            return None;
        }
        let mut named = Vec::new();
        let mut segments = request.segments.iter();
        for part in self.path.split('/').filter(|part| !part.is_empty()) {
            let segment = segments.next()?;
            if part == "{}" {
                named.push(segment.clone());
            } else if part != segment {
                return None;
            }
        }
        segments.next().is_none().then_some(named)
    }

    fn has_query(&self, request: &Request) -> bool {
        let (name, value) = self.query.split_once('=').unwrap_or((self.query, ""));
        name.is_empty() || request.query(name).is_some_and(|given| value.is_empty() || given == value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    const OPERATIONS: &[Operation] = &[
        operation("Tag", "POST", "/v/tagging", "Operation=Tag"),
        operation("WithTags", "POST", "/v/thing", "WithTags"),
        operation("Create", "POST", "/v/thing", ""),
        operation("Get", "GET", "/v/thing/{}", ""),
    ];

    fn found(method: &str, target: &str) -> Option<(&'static str, Vec<String>)> {
        let request = http::Request::builder().method(method).uri(target).body(()).unwrap();
        let request = Request::new(request.into_parts().0, Bytes::new());
        find(OPERATIONS, &request).map(|(operation, named)| (operation.name, named))
    }

    #[test]
    fn operations_are_told_apart_by_method_path_and_query() {
        assert_eq!(found("POST", "/v/thing?WithTags"), Some(("WithTags", vec![])));
        assert_eq!(found("POST", "/v/thing?WithTags="), Some(("WithTags", vec![])));
        assert_eq!(found("POST", "/v/thing/"), Some(("Create", vec![])));
        assert_eq!(found("GET", "/v/thing/a%3Ab"), Some(("Get", vec!["a:b".into()])));
        assert_eq!(found("POST", "/v/tagging?Operation=Untag"), None);
        assert_eq!(found("DELETE", "/v/thing/a"), None);
        assert_eq!(found("GET", "/v/thing/a/b"), None);
    }
}
