//! Function URLs as they are configured (AWS: "CreateFunctionUrlConfig"). Each is a
//! distribution of the edge whose origin is `url`; nothing of it is cached.

use super::alias;
use super::names::{LATEST, Named, REGION, arn, invalid, is_number};
use super::page::page;
use super::record::{Function, Stamp};
use crate::answer::Answer;
use crate::error::{ApiError, Code};
use crate::plane::Plane;
use crate::request::Request;
use crate::store::{Kind, Records};
use crate::url::Cors;
use http::StatusCode;
use rand::Rng as _;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::path::Path;

/// One URL, by its id in the state.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct FunctionUrl {
    pub(crate) id: String,
    pub(crate) function: String,
    /// An alias; `None` is `$LATEST`.
    pub(crate) qualifier: Option<String>,
    pub(crate) config: UrlConfig,
    created: String,
    modified: String,
}

/// What was said of it.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct UrlConfig {
    auth: AuthType,
    pub(crate) cors: Option<Cors>,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
enum AuthType {
    #[serde(rename = "NONE")]
    Anyone,
    #[serde(rename = "AWS_IAM")]
    Signed,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Wanted {
    auth_type: Option<AuthType>,
    cors: Option<Cors>,
    invoke_mode: Option<String>,
}

/// Where function URLs are.
#[derive(Clone, Debug)]
pub(crate) struct UrlPlace {
    pub(crate) domain: String,
    pub(crate) scheme: &'static str,
}

impl UrlConfig {
    /// Whether whoever comes may come in.
    pub(crate) fn is_open(&self) -> bool {
        self.auth == AuthType::Anyone
    }
}

impl Wanted {
    fn checked(self) -> Result<Wanted, ApiError> {
        if let Some(mode) = self.invoke_mode.as_ref().filter(|mode| *mode != "BUFFERED") {
            return Err(invalid(format!("InvokeMode {mode} is not supported by this edge, it supports BUFFERED only")));
        }
        match self.cors.as_ref().and_then(Cors::problem) {
            Some(problem) => Err(invalid(problem)),
            None => Ok(self),
        }
    }
}

impl FunctionUrl {
    fn host(&self, place: &UrlPlace) -> String {
        format!("{}.lambda-url.{REGION}.{}", self.id, place.domain)
    }

    fn shown(&self, place: &UrlPlace) -> Value {
        let mut value = json!({
            "FunctionUrl": format!("{}://{}/", place.scheme, self.host(place)),
            "FunctionArn": arn(&self.function, self.qualifier.as_deref()),
            "AuthType": self.config.auth,
            "CreationTime": self.created,
            "LastModifiedTime": self.modified,
            "InvokeMode": "BUFFERED",
        });
        if let Some(cors) = &self.config.cors {
            value["Cors"] = json!(cors);
        }
        value
    }
}

/// CreateFunctionUrlConfig.
pub(super) fn create(plane: &Plane, name: &str, request: &Request) -> Result<Answer, ApiError> {
    let named = named(name, request)?;
    let wanted = request.json::<Wanted>()?.checked()?;
    let auth = wanted.auth_type.ok_or_else(|| invalid("AuthType is missing"))?;
    let now = Stamp::now().modified;
    let url = FunctionUrl {
        id: new_id(),
        function: named.name.clone(),
        qualifier: named.qualifier.clone(),
        config: UrlConfig { auth, cors: wanted.cors },
        created: now.clone(),
        modified: now,
    };
    plane.change(Code::CONFLICT, |records| {
        expect_function(records, &named)?;
        if existing(records, &named)?.is_some() {
            let message = format!(
                "Failed to create function url config for [functionArn = {}]. Error message:  FunctionUrlConfig exists \
                 for this Lambda function",
                arn(&named.name, named.qualifier.as_deref())
            );
            return Err(ApiError::new(Code::CONFLICT, message));
        }
        records.put(Kind::FunctionUrl, "", &url.id, &url)
    })?;
    Answer::json(StatusCode::CREATED, &url.shown(&plane.urls))
}

/// GetFunctionUrlConfig.
pub(super) fn find(plane: &Plane, name: &str, request: &Request) -> Result<Answer, ApiError> {
    let named = named(name, request)?;
    let url = plane.store.read(|records| {
        expect_function(records, &named)?;
        existing(records, &named)?.ok_or_else(none)
    })?;
    Answer::json(StatusCode::OK, &url.shown(&plane.urls))
}

/// UpdateFunctionUrlConfig.
pub(super) fn update(plane: &Plane, name: &str, request: &Request) -> Result<Answer, ApiError> {
    let named = named(name, request)?;
    let wanted = request.json::<Wanted>()?.checked()?;
    let url = plane.store.write(|records| {
        expect_function(records, &named)?;
        let mut url = existing(records, &named)?.ok_or_else(none)?;
        url.config.auth = wanted.auth_type.unwrap_or(url.config.auth);
        if let Some(cors) = wanted.cors {
            url.config.cors = Some(cors).filter(|cors| *cors != Cors::default());
        }
        url.modified = Stamp::now().modified;
        records.put(Kind::FunctionUrl, "", &url.id, &url)?;
        Ok(url)
    })?;
    Answer::json(StatusCode::OK, &url.shown(&plane.urls))
}

/// DeleteFunctionUrlConfig.
pub(super) fn delete(plane: &Plane, name: &str, request: &Request) -> Result<Answer, ApiError> {
    let named = named(name, request)?;
    plane.change(Code::CONFLICT, |records| {
        expect_function(records, &named)?;
        let url = existing(records, &named)?.ok_or_else(none)?;
        records.remove(Kind::FunctionUrl, "", &url.id)
    })?;
    Ok(Answer::empty(StatusCode::NO_CONTENT))
}

/// ListFunctionUrlConfigs.
pub(super) fn list(plane: &Plane, name: &str, request: &Request) -> Result<Answer, ApiError> {
    let Named { name, .. } = Named::parse(name)?;
    let items = plane.store.read(|records| {
        Function::find(records, &name)?;
        let all = records.list::<FunctionUrl>(Kind::FunctionUrl, "")?.into_iter();
        let own = all.filter(|(_, url)| url.function == name);
        Ok(own.map(|(id, url)| (id, url.shown(&plane.urls))).collect())
    })?;
    Answer::json(StatusCode::OK, &page(request, "FunctionUrlConfigs", items)?)
}

/// The URL with this id.
pub(crate) fn function_url(records: &Records<'_>, id: &str) -> Result<Option<FunctionUrl>, ApiError> {
    records.find(Kind::FunctionUrl, "", id)
}

/// The distributions of all URLs in the language of the configuration file.
pub(crate) fn distributions(records: &Records<'_>, place: &UrlPlace, socket: &Path) -> Result<toml::Table, ApiError> {
    let mut distributions = toml::Table::new();
    let socket = socket.to_str().ok_or_else(|| ApiError::of_ours(&format!("{} is no text", socket.display())))?;
    for (id, url) in records.list::<FunctionUrl>(Kind::FunctionUrl, "")? {
        let mut table: toml::Table = toml::from_str(DISTRIBUTION).map_err(|error| ApiError::of_ours(&error))?;
        let origin = toml::Table::from_iter([
            ("socket".to_owned(), socket.into()),
            ("connection_attempts".to_owned(), 1.into()),
            ("read_timeout".to_owned(), READ_TIMEOUT.into()),
        ]);
        table.insert("domains".into(), vec![url.host(place)].into());
        table.insert("origins".into(), toml::Table::from_iter([("function".to_owned(), origin.into())]).into());
        distributions.insert(format!("url-{id}"), table.into());
    }
    Ok(distributions)
}

/// The URLs of a function, or of one of its aliases, end with it.
pub(super) fn remove_all(records: &Records<'_>, name: &str, qualifier: Option<&str>) -> Result<(), ApiError> {
    for (id, url) in records.list::<FunctionUrl>(Kind::FunctionUrl, "")? {
        let is_meant = qualifier.is_none() || url.qualifier.as_deref() == qualifier;
        if url.function == name && is_meant {
            records.remove(Kind::FunctionUrl, "", &id)?;
        }
    }
    Ok(())
}

fn existing(records: &Records<'_>, named: &Named) -> Result<Option<FunctionUrl>, ApiError> {
    let mut all = records.list::<FunctionUrl>(Kind::FunctionUrl, "")?.into_iter().map(|(_, url)| url);
    Ok(all.find(|url| url.function == named.name && url.qualifier == named.qualifier))
}

/// `$LATEST` is what a function means without a qualifier.
fn named(name: &str, request: &Request) -> Result<Named, ApiError> {
    let named = Named::parse(name)?.qualified(request.query("Qualifier"))?;
    match named.qualifier.as_deref() {
        Some(number) if is_number(number) => {
            Err(invalid(format!("Qualifier {number}: a function URL is of an alias or of the unpublished version")))
        }
        Some(LATEST) => Ok(Named { name: named.name, qualifier: None }),
        _ => Ok(named),
    }
}

fn expect_function(records: &Records<'_>, named: &Named) -> Result<(), ApiError> {
    Function::find(records, &named.name)?;
    match &named.qualifier {
        Some(qualifier) => alias::main_version(records, &named.name, qualifier).map(drop),
        None => Ok(()),
    }
}

fn none() -> ApiError {
    ApiError::new(Code::NOT_FOUND, "The resource you requested does not exist.")
}

fn new_id() -> String {
    let mut random = rand::rng();
    (0..ID_LENGTH).map(|_| char::from(ID_ALPHABET[random.random_range(0..ID_ALPHABET.len())])).collect()
}

/// More than the longest that a function takes.
const READ_TIMEOUT: &str = "910s";
/// Everything passes, and nothing is kept.
const DISTRIBUTION: &str = r#"
    [default_behavior]
    origin = "function"
    allowed_methods = "all"
    cache = "CachingDisabled"
    forward = { headers = "all", cookies = "all", query = "all", edge_headers = ["CloudFront-Forwarded-Proto"] }
"#;
const ID_LENGTH: usize = 32;
const ID_ALPHABET: &[u8] = b"abcdefghijklmnopqrstuvwxyz234567";
