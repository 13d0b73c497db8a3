//! What a viewer shows: the signing parameters of a URL, or the cookies that stand
//! for them.

use super::signature::Hash;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use http::header::COOKIE;
use std::borrow::Cow;

/// A policy, and who signed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    pub(super) statement: Statement,
    pub(super) signature: Vec<u8>,
    pub(super) key_id: String,
    pub(super) hash: Hash,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Statement {
    /// One URL until a time, Unix seconds.
    Canned { expires: u64 },
    /// A policy in JSON.
    Custom(Vec<u8>),
}

impl Statement {
    /// What the signature is over.
    pub(super) fn signed_bytes(&self, url: &str) -> Cow<'_, [u8]> {
        match self {
            Statement::Custom(json) => Cow::Borrowed(json),
            Statement::Canned { expires } => Cow::Owned(
                format!(
                    "{{\"Statement\":[{{\"Resource\":\"{url}\",\"Condition\":\
                     {{\"DateLessThan\":{{\"AWS:EpochTime\":{expires}}}}}}}]}}"
                )
                .into_bytes(),
            ),
        }
    }
}

/// The values as they come, whatever they come in.
#[derive(Debug, Default)]
struct Shown<'a> {
    expires: Option<&'a str>,
    policy: Option<&'a str>,
    signature: Option<&'a str>,
    key_id: Option<&'a str>,
    hash: Option<&'a str>,
}

impl<'a> Shown<'a> {
    /// Takes a value; `false` when its name is none of a token's.
    fn take(&mut self, name: &str, value: &'a str) -> bool {
        let place = match name {
            "Expires" => &mut self.expires,
            "Policy" => &mut self.policy,
            "Signature" => &mut self.signature,
            "Key-Pair-Id" => &mut self.key_id,
            "Hash-Algorithm" => &mut self.hash,
            _ => return false,
        };
        place.get_or_insert(value);
        true
    }

    fn is_empty(&self) -> bool {
        self.expires.is_none() && self.policy.is_none() && self.signature.is_none() && self.key_id.is_none()
    }

    fn token(&self) -> Result<Token, String> {
        let statement = match (self.policy, self.expires) {
            (Some(policy), _) => Statement::Custom(decoded("Policy", policy)?),
            (None, Some(expires)) => {
                let expires = expires.parse().map_err(|_| format!("Expires {expires:?} is not a Unix time"))?;
                Statement::Canned { expires }
            }
            (None, None) => return Err("neither Expires nor Policy is given".to_owned()),
        };
        let hash = match self.hash {
            None | Some("SHA1") => Hash::Sha1,
            Some("SHA256") => Hash::Sha256,
            Some(other) => return Err(format!("Hash-Algorithm {other:?} is neither SHA1 nor SHA256")),
        };
        let signature = decoded("Signature", self.signature.ok_or("Signature is missing")?)?;
        Ok(Token { statement, signature, key_id: self.key_id.ok_or("Key-Pair-Id is missing")?.to_owned(), hash })
    }
}

impl Token {
    /// The token of a query string, if it has parts of one, and the query string without it.
    pub(crate) fn of_query(query: &str) -> (Option<Result<Token, String>>, String) {
        let mut shown = Shown::default();
        let mut own: Vec<&str> = Vec::new();
        for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            if !shown.take(name, value) {
                own.push(parameter);
            }
        }
        ((!shown.is_empty()).then(|| shown.token()), own.join("&"))
    }

    /// The token of a request's cookies, if they have parts of one.
    pub(crate) fn of_cookies(headers: &HeaderMap) -> Option<Result<Token, String>> {
        let mut shown = Shown::default();
        let lines = headers.get_all(COOKIE).iter().filter_map(|line| line.to_str().ok());
        for cookie in lines.flat_map(|line| line.split(';')) {
            let Some((name, value)) = cookie.trim().split_once('=') else { continue };
            if let Some(name) = name.strip_prefix("CloudFront-") {
                shown.take(name, value);
            }
        }
        (!shown.is_empty()).then(|| shown.token())
    }
}

/// Base64 with the characters that mean something in URLs replaced.
fn decoded(what: &str, text: &str) -> Result<Vec<u8>, String> {
    let standard = text.chars().map(|c| match c {
        '-' => '+',
        '_' => '=',
        '~' => '/',
        other => other,
    });
    STANDARD.decode(standard.collect::<String>()).map_err(|error| format!("{what} is no base64 for URLs: {error}"))
}
