//! Turns raw settings into checked values. One file per noun; each notes every
//! problem it finds and goes on, so that one run of `check` shows them all.

mod behavior;
mod cache_disk;
mod distribution;
mod error_page;
mod field;
mod function;
mod geo;
mod interpreter;
mod key_group;
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
use crate::digest;
use crate::model::Deployment;
use crate::problem::{Findings, Problems};
use crate::raw::RawConfig;

/// What the checks of one file share.
pub(crate) struct Context<'a> {
    pub(crate) findings: Findings<'a>,
    /// What relative paths are relative to.
    pub(crate) directory: &'a Path,
    /// Whether viewers' addresses can be looked up.
    pub(crate) has_geo: bool,
}

/// Checks the text of the configuration file `file`.
pub(crate) fn config(file: &Path, directory: &Path, text: &str) -> Result<Config, Problems> {
    let mut ctx = Context { findings: Findings::new(file, text), directory, has_geo: false };
    let (raw, table) = match read(text) {
        Ok(read) => read,
        Err(error) => {
            ctx.findings.add(error.span().unwrap_or(0..0), error.message().replace('\n', ", "));
            return Err(ctx.findings.finish().expect_err("a problem was just noted"));
        }
    };
    ctx.has_geo = raw.server.geo_database.is_some();
    let server = server::server(&mut ctx, &raw.server);
    strict::check(&mut ctx, &raw);
    let mut interpreters = interpreter::stated(&mut ctx, &raw.runtimes);
    let mut functions = BTreeMap::new();
    let mut contents = BTreeMap::new();
    for (name, raw) in &raw.functions {
        if let Some((config, package)) = function::function(&mut ctx, &mut interpreters, name, raw) {
            contents.insert(config.name.clone(), package);
            functions.insert(config.name.clone(), config);
        }
    }
    scaling::provisioned_fit(&mut ctx, &raw.functions, &functions, server.environments_max);
    distribution::domains_are_unique(&mut ctx, &raw.distributions);
    let key_groups = key_group::groups(&mut ctx, &raw.key_groups);
    for (name, group) in &key_groups {
        contents.extend(group.keys.iter().map(|(id, key)| (format!("key {name} {id}"), key.fingerprint())));
    }
    let scope =
        distribution::Scope { functions: &raw.functions, key_groups: &key_groups, has_https: !server.https.is_empty() };
    let mut distributions = Vec::new();
    for (name, raw) in &raw.distributions {
        distributions.extend(distribution::distribution(&mut ctx, &scope, name, raw).map(Arc::new));
    }
    ctx.findings.finish()?;
    let digest = digest::deployment(&table, &contents);
    Ok(Config { server, deployment: Deployment { digest, functions, distributions } })
}

fn read(text: &str) -> Result<(RawConfig, toml::Table), toml::de::Error> {
    Ok((toml::from_str(text)?, toml::from_str(text)?))
}
