//! Names, qualifiers and ARNs of functions (AWS: "CreateFunction", FunctionName).

use crate::error::{ApiError, Code};

/// A function as a client named it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Named {
    pub(crate) name: String,
    /// A version, an alias or `$LATEST`.
    pub(crate) qualifier: Option<String>,
}

impl Named {
    /// Reads a name, a partial ARN or an ARN, each with or without a qualifier.
    pub(crate) fn parse(text: &str) -> Result<Named, ApiError> {
        let parts: Vec<&str> = text.split(':').collect();
        let rest = match parts[..] {
            ["arn", _, "lambda", region, account, "function", ref rest @ ..] => {
                if region != REGION || account != ACCOUNT {
                    let message = format!("{text}: the functions of this edge are in {REGION}, account {ACCOUNT}");
                    return Err(ApiError::new(Code::NOT_FOUND, message));
                }
                rest
            }
            [ACCOUNT, "function", ref rest @ ..] | ["function", ref rest @ ..] => rest,
            ref rest => rest,
        };
        let named = match *rest {
            [name] => Named { name: name.into(), qualifier: None },
            [name, qualifier] => Named { name: name.into(), qualifier: Some(qualifier.into()) },
            _ => return Err(invalid(format!("{text:?} is not the name or ARN of a function"))),
        };
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        if named.name.is_empty() || named.name.len() > NAME_MAX || !named.name.bytes().all(allowed) {
            let rule = format!("1 to {NAME_MAX} letters, digits, - and _");
            return Err(invalid(format!("function name {:?} must be {rule}", named.name)));
        }
        Ok(named)
    }

    /// With the qualifier of the query string, which must not contradict.
    pub(crate) fn qualified(mut self, query: Option<&str>) -> Result<Named, ApiError> {
        match (&self.qualifier, query) {
            (Some(own), Some(other)) if own != other => {
                Err(invalid(format!("the qualifier is {own} in the name and {other} in the query")))
            }
            (_, Some(other)) => {
                self.qualifier = Some(other.to_owned());
                Ok(self)
            }
            _ => Ok(self),
        }
    }
}

/// Of a function, or of one of its versions or aliases.
pub(crate) fn arn(name: &str, qualifier: Option<&str>) -> String {
    let function = format!("arn:aws:lambda:{REGION}:{ACCOUNT}:function:{name}");
    qualifier.map_or_else(|| function.clone(), |qualifier| format!("{function}:{qualifier}"))
}

/// Whether a text can be an alias: a name that is no number.
pub(crate) fn is_alias(text: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    (1..=ALIAS_MAX).contains(&text.len()) && text.bytes().all(allowed) && !is_number(text)
}

/// Whether a text can be a published version.
pub(crate) fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

pub(crate) fn invalid(message: impl Into<String>) -> ApiError {
    ApiError::new(Code::INVALID_PARAMETER, message)
}

/// There is one account, and one region as far as names go.
pub(crate) const ACCOUNT: &str = "000000000000";
pub(crate) const REGION: &str = "us-east-1";
pub(crate) const LATEST: &str = "$LATEST";
const NAME_MAX: usize = 64;
const ALIAS_MAX: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> (String, Option<String>) {
        let named = Named::parse(text).unwrap();
        (named.name, named.qualifier)
    }

    #[test]
    fn every_form_of_a_name_is_read() {
        for text in ["f", "function:f", "000000000000:function:f", "arn:aws:lambda:us-east-1:000000000000:function:f"] {
            assert_eq!(parsed(text), ("f".into(), None), "{text}");
            assert_eq!(parsed(&format!("{text}:live")), ("f".into(), Some("live".into())), "{text}");
        }
        assert_eq!(parsed(&arn("f", Some("$LATEST"))), ("f".into(), Some("$LATEST".into())));
    }

    #[test]
    fn other_accounts_and_bad_names_are_refused() {
        let elsewhere = "arn:aws:lambda:us-east-1:123456789012:function:f";
        assert_eq!(Named::parse(elsewhere).unwrap_err().code, Code::NOT_FOUND);
        for text in ["", "a b", "a:b:c", &"x".repeat(65)] {
            assert_eq!(Named::parse(text).unwrap_err().code, Code::INVALID_PARAMETER, "{text}");
        }
    }

    #[test]
    fn qualifiers_must_agree() {
        let named = Named::parse("f:1").unwrap();
        assert!(named.clone().qualified(Some("2")).is_err());
        assert_eq!(named.clone().qualified(Some("1")).unwrap(), named);
        assert!(is_alias("live-1") && !is_alias("12") && !is_alias("$LATEST") && !is_alias(""));
    }
}
