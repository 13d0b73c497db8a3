//! Signed URLs and signed cookies (AWS: "Serve private content with signed URLs and
//! signed cookies"): where a behavior trusts key groups, only what one of their keys
//! signed comes in.

mod policy;
mod signature;
mod token;

pub(crate) use token::Token;

use deployment::KeyGroup;
use policy::Policy;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::SystemTime;

/// What is to be opened, by whom and when.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    /// Scheme, host as the viewer sent it, path and query, without what signs.
    pub(crate) url: String,
    pub(crate) client_ip: IpAddr,
    pub(crate) now: SystemTime,
}

/// Whether a token opens what is asked for.
///
/// # Errors
/// Why not, in words for operators.
pub(crate) fn check(groups: &[Arc<KeyGroup>], asked: &Asked, token: &Token) -> Result<(), String> {
    let key = groups.iter().find_map(|group| group.keys.get(&token.key_id));
    let key = key.ok_or_else(|| format!("key {:?} is in no key group that the behavior trusts", token.key_id))?;
    let signed = token.statement.signed_bytes(&asked.url);
    if !signature::verifies(key, token.hash, &signed, &token.signature) {
        return Err(format!("the signature is not one of key {:?} under this policy", token.key_id));
    }
    match &token.statement {
        token::Statement::Canned { expires } => policy::before(*expires, asked.now),
        token::Statement::Custom(json) => Policy::parse(json)?.allows(asked),
    }
}
