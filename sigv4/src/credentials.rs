//! Credentials, and where they come from: a file or variables of the program, never the
//! configuration itself.

use std::env::VarError;
use std::path::{Path, PathBuf};
use std::{fmt, io};

/// Where credentials are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// In the format of AWS's tools (AWS: "Configuration and credential file settings"): its first profile.
    File(PathBuf),
    /// Variables whose names begin so: `…_ACCESS_KEY_ID`, `…_SECRET_ACCESS_KEY` and `…_SESSION_TOKEN`.
    Environment(String),
}

/// What requests are signed with.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    pub access_key: String,
    pub secret: String,
    /// Of temporary ones.
    pub token: Option<String>,
}

/// Why there are no credentials.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    #[error("credentials {}: {source}", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("credentials {} has no {missing}", path.display())]
    Incomplete { path: PathBuf, missing: &'static str },
    #[error("credentials: the variable {0} is not set")]
    Unset(String),
    #[error("credentials: {0} cannot be part of a header")]
    Unsendable(&'static str),
}

impl Credentials {
    /// Reads them.
    ///
    /// # Errors
    /// They are not there, or not whole.
    pub fn load(source: &Source) -> Result<Credentials, CredentialsError> {
        let found = match source {
            Source::File(path) => {
                let read = std::fs::read_to_string(path);
                let text = read.map_err(|source| CredentialsError::Unreadable { path: path.clone(), source })?;
                Credentials::parse(path, &text)
            }
            Source::Environment(prefix) => of_variables(prefix, |name| std::env::var(name)),
        }?;
        found.checked()
    }

    /// Of the first profile.
    fn parse(path: &Path, text: &str) -> Result<Credentials, CredentialsError> {
        let lines = text.lines().map(str::trim).filter(|line| !line.starts_with(['#', ';']));
        let first = lines.skip_while(|line| line.is_empty());
        let first = first.enumerate().take_while(|(nth, line)| *nth == 0 || !line.starts_with('['));
        let pairs: Vec<(&str, &str)> = first
            .filter_map(|(_, line)| line.split_once('='))
            .map(|(name, value)| (name.trim(), value.trim()))
            .collect();
        let value = |wanted: &str| pairs.iter().find(|(name, _)| *name == wanted).map(|(_, value)| (*value).to_owned());
        let missing = |missing| CredentialsError::Incomplete { path: path.to_path_buf(), missing };
        Ok(Credentials {
            access_key: value("aws_access_key_id").ok_or_else(|| missing("aws_access_key_id"))?,
            secret: value("aws_secret_access_key").ok_or_else(|| missing("aws_secret_access_key"))?,
            token: value("aws_session_token"),
        })
    }

    /// The secret is in no header; the others are.
    fn checked(self) -> Result<Credentials, CredentialsError> {
        let is_sendable = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
        if !is_sendable(&self.access_key) || self.access_key.contains([',', '/']) {
            return Err(CredentialsError::Unsendable("the access key's id"));
        }
        if self.token.as_deref().is_some_and(|token| !is_sendable(token)) {
            return Err(CredentialsError::Unsendable("the session token"));
        }
        Ok(self)
    }
}

/// Without secrets.
impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("access_key", &self.access_key).finish_non_exhaustive()
    }
}

fn of_variables(
    prefix: &str,
    variable: impl Fn(&str) -> Result<String, VarError>,
) -> Result<Credentials, CredentialsError> {
    let value = |name: &str| variable(&format!("{prefix}_{name}")).ok().filter(|value| !value.is_empty());
    let needed = |name: &str| value(name).ok_or_else(|| CredentialsError::Unset(format!("{prefix}_{name}")));
    Ok(Credentials {
        access_key: needed("ACCESS_KEY_ID")?,
        secret: needed("SECRET_ACCESS_KEY")?,
        token: value("SESSION_TOKEN"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_those_of_the_first_profile() {
        let text = "\n# mine\n[default]\naws_access_key_id = AKID\naws_secret_access_key=a/b+c=\n\n[other]\naws_session_token = t\n";
        let key = Credentials::parse(Path::new("f"), text).unwrap();
        assert_eq!((key.access_key.as_str(), key.secret.as_str(), key.token), ("AKID", "a/b+c=", None));
        let error = Credentials::parse(Path::new("f"), "[a]\naws_access_key_id = A\n[b]\naws_secret_access_key = B\n");
        assert_eq!(error.unwrap_err().to_string(), "credentials f has no aws_secret_access_key");
    }

    #[test]
    fn variables_begin_as_the_configuration_says() {
        let set = [("MINE_ACCESS_KEY_ID", "AKID"), ("MINE_SECRET_ACCESS_KEY", "s"), ("MINE_SESSION_TOKEN", "t")];
        let of = |prefix, known: &[(&str, &str)]| {
            let found = |name: &str| known.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
            of_variables(prefix, |name| found(name).ok_or(VarError::NotPresent))
        };
        let whole = of("MINE", &set).unwrap();
        assert_eq!((whole.access_key.as_str(), whole.token.as_deref()), ("AKID", Some("t")));
        let unset = of("MINE", &set[..1]).unwrap_err().to_string();
        assert_eq!(unset, "credentials: the variable MINE_SECRET_ACCESS_KEY is not set");
        assert!(of("AWS", &set).is_err());
    }

    #[test]
    fn what_breaks_a_header_is_refused_and_nothing_shows_a_secret() {
        let of = |key: &str, token: Option<&str>| {
            Credentials { access_key: key.into(), secret: "hidden".into(), token: token.map(str::to_owned) }.checked()
        };
        assert!(of("AKID", Some("a+b/c==")).is_ok());
        for (key, token) in [("", None), ("A B", None), ("A,B", None), ("AKID", Some("")), ("AKID", Some("a\nb"))] {
            assert!(of(key, token).is_err(), "{key:?} {token:?}");
        }
        let shown = format!("{:?}", of("AKID", Some("hidden")).unwrap());
        assert!(shown.contains("AKID") && !shown.contains("hidden"), "{shown}");
    }
}
