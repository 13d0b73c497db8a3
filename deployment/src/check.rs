//! Turns raw settings into checked values. One file per noun; each notes every
//! problem it finds and goes on, so that one run of `check` shows them all.

mod access_control;
mod behavior;
mod cache_disk;
mod continuous_deployment;
mod control;
mod credentials;
mod distribution;
mod error_page;
mod field;
mod function;
mod geo;
mod interpreter;
mod key_group;
mod key_value_store;
mod origin;
mod origin_group;
mod policy;
mod response_headers;
mod scaling;
mod server;
mod strict;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use crate::Config;
use crate::added::{self, Added};
use crate::digest;
use crate::key_values::KeyValueStore;
use crate::model::{Deployment, Distribution};
use crate::problem::{Findings, Problem, Problems};
use crate::raw::RawConfig;
use crate::server::Server;
use functions::{FunctionConfig, Known};
use interpreter::Interpreters;
pub use interpreter::installed_interpreters;

/// What the checks of one document share.
pub(crate) struct Context<'a> {
    pub(crate) findings: Findings<'a>,
    /// What relative paths are relative to.
    pub(crate) directory: &'a Path,
    /// Whether viewers' addresses can be looked up.
    pub(crate) has_geo: bool,
    pub(crate) author: Author,
    pub(crate) known: &'a Known,
}

/// Who wrote a document, which decides how things are named in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Author {
    Operator,
    ControlPlane,
}

/// What a document describes.
#[derive(Default)]
struct Described {
    functions: BTreeMap<String, FunctionConfig>,
    distributions: Vec<Arc<Distribution>>,
    key_value_stores: BTreeMap<String, Arc<KeyValueStore>>,
    /// The digest of each file that is only named.
    contents: BTreeMap<String, String>,
}

/// Checks the configuration file `file`, which is in `directory` and has this text, together with what is added.
pub(crate) fn config((file, directory, text): (&Path, &Path, &str), added: &Added) -> Result<Config, Problems> {
    let findings = Findings::new(file, text);
    let mut ctx = Context { findings, directory, has_geo: false, author: Author::Operator, known: &added.known };
    let (raw, mut table) = match read(text) {
        Ok(read) => read,
        Err(error) => return Err(ctx.unreadable(&error)),
    };
    ctx.has_geo = raw.server.geo_database.is_some();
    let mut server = server::server(&mut ctx, &raw.server);
    let has_https = !server.https.is_empty();
    server.control = raw.control.as_ref().map(|control| control::control(&mut ctx, control, has_https));
    strict::check(&mut ctx, &raw);
    let interpreters = interpreter::stated(&mut ctx, &raw.runtimes);
    if let Some(control) = &mut server.control {
        control.interpreters = interpreters.good();
    }
    let mut described = describe(&mut ctx, interpreters.clone(), &raw, &server);
    names_are_free(&mut ctx, &raw, added);
    let has_geo = ctx.has_geo;
    ctx.findings.finish()?;
    let (more, more_table) = describe_added(added, interpreters, has_geo, &server)?;
    domains_are_free(&described, &more)?;
    described.functions.extend(more.functions);
    described.distributions.extend(more.distributions);
    described.contents.extend(more.contents);
    if more_table.values().any(|value| value.as_table().is_some_and(|table| !table.is_empty())) {
        table.insert("added".into(), more_table.into());
    }
    let digest = digest::deployment(&table, &described.contents);
    let Described { functions, distributions, key_value_stores, .. } = described;
    Ok(Config { server, deployment: Deployment { digest, functions, distributions, key_value_stores } })
}

/// Checks only the functions of what is added.
pub(crate) fn functions(added: &Added) -> Result<BTreeMap<String, FunctionConfig>, Problems> {
    let mut ctx = context_of(added, false);
    let raw = read(&added.text).map_err(|error| context_of(added, false).unreadable(&error))?.0;
    let mut functions = BTreeMap::new();
    let mut interpreters = Interpreters::known(&added.interpreters);
    for (name, function) in &raw.functions {
        let checked = function::function(&mut ctx, &mut interpreters, (name, function), &raw.key_value_stores);
        functions.extend(checked.map(|(config, _)| (name.get_ref().clone(), config)));
    }
    ctx.findings.finish()?;
    Ok(functions)
}

fn describe_added(
    added: &Added,
    interpreters: Interpreters,
    has_geo: bool,
    server: &Server,
) -> Result<(Described, toml::Table), Problems> {
    let mut ctx = context_of(added, has_geo);
    let (raw, table) = read(&added.text).map_err(|error| context_of(added, has_geo).unreadable(&error))?;
    let described = describe(&mut ctx, interpreters, &raw, server);
    ctx.findings.finish()?;
    Ok((described, table))
}

fn context_of(added: &Added, has_geo: bool) -> Context<'_> {
    let findings = Findings::new(Path::new(added::PLACE), &added.text);
    Context { findings, directory: &added.directory, has_geo, author: Author::ControlPlane, known: &added.known }
}

fn describe(ctx: &mut Context, mut interpreters: Interpreters, raw: &RawConfig, server: &Server) -> Described {
    let mut described = Described::default();
    for (name, store) in key_value_store::stores(ctx, &raw.key_value_stores) {
        described.contents.insert(format!("key value store {name}"), store.digest.clone());
        described.key_value_stores.insert(format!("{}{name}", key_value_store::OF_FILE), store);
    }
    for (name, function) in &raw.functions {
        let checked = function::function(ctx, &mut interpreters, (name, function), &raw.key_value_stores);
        if let Some((config, package)) = checked {
            described.contents.insert(name.get_ref().clone(), package);
            described.functions.insert(name.get_ref().clone(), config);
        }
    }
    scaling::provisioned_fit(ctx, &raw.functions, &described.functions, server.environments_max);
    distribution::domains_are_unique(ctx, &raw.distributions);
    let key_groups = key_group::groups(ctx, &raw.key_groups);
    for (name, group) in &key_groups {
        let keys = group.keys.iter().map(|(id, key)| (format!("key {name} {id}"), key.fingerprint()));
        described.contents.extend(keys);
    }
    let has_https = !server.https.is_empty();
    let scope = distribution::Scope { functions: &raw.functions, key_groups: &key_groups, has_https };
    let distributions = raw.distributions.iter();
    let distributions =
        distributions.filter_map(|(name, raw)| distribution::distribution(ctx, &scope, name, raw)).collect();
    let policies = continuous_deployment::policies(ctx, &raw.distributions);
    described.contents.extend(continuous_deployment::contents(&policies));
    described.distributions = continuous_deployment::joined(distributions, policies);
    described
}

/// Notes every function of the file that the control plane has, too.
fn names_are_free(ctx: &mut Context, raw: &RawConfig, added: &Added) {
    for name in raw.functions.keys().filter(|name| added.functions.contains(name.get_ref())) {
        let message = format!(
            "function {} is also a function of the control plane: remove it here or delete it there",
            name.get_ref()
        );
        ctx.findings.add(name.span(), message);
    }
}

/// What is in the file was there first.
fn domains_are_free(file: &Described, added: &Described) -> Result<(), Problems> {
    let mut problems = Vec::new();
    let place = Path::new(added::PLACE).to_path_buf();
    for new in &added.distributions {
        for old in &file.distributions {
            let shared = new.domains.iter().find(|domain| old.domains.contains(domain));
            let message = match shared {
                Some(domain) => format!("domain {domain} is already a domain of distribution {}", old.name),
                None if new.id == old.id => format!("id {} is already the id of distribution {}", new.id, old.name),
                None => continue,
            };
            problems.push(Problem { file: place.clone(), line: None, message });
        }
    }
    if problems.is_empty() { Ok(()) } else { Err(Problems(problems)) }
}

impl Context<'_> {
    fn unreadable(mut self, error: &toml::de::Error) -> Problems {
        self.findings.add(error.span().unwrap_or(0..0), error.message().replace('\n', ", "));
        self.findings.finish().expect_err("a problem was just noted")
    }
}

fn read(text: &str) -> Result<(RawConfig, toml::Table), toml::de::Error> {
    Ok((toml::from_str(text)?, toml::from_str(text)?))
}
