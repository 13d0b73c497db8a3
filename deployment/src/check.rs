//! Turns raw settings into checked values. One file per noun; each notes every
//! problem it finds and goes on, so that one run of `check` shows them all.

mod behavior;
mod cache_disk;
mod distribution;
mod error_page;
mod field;
mod function;
mod origin;
mod policy;
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
}

/// Checks the text of the configuration file `file`.
pub(crate) fn config(file: &Path, directory: &Path, text: &str) -> Result<Config, Problems> {
    let mut ctx = Context { findings: Findings::new(file, text), directory };
    let (raw, table) = match read(text) {
        Ok(read) => read,
        Err(error) => {
            ctx.findings.add(error.span().unwrap_or(0..0), error.message().replace('\n', ", "));
            return Err(ctx.findings.finish().expect_err("a problem was just noted"));
        }
    };
    let server = server::server(&mut ctx, &raw.server);
    strict::check(&mut ctx, &raw);
    let mut functions = BTreeMap::new();
    let mut packages = BTreeMap::new();
    for (name, raw) in &raw.functions {
        if let Some((config, package)) = function::function(&mut ctx, name, raw) {
            packages.insert(config.name.clone(), package);
            functions.insert(config.name.clone(), config);
        }
    }
    scaling::provisioned_fit(&mut ctx, &raw.functions, &functions, server.environments_max);
    distribution::domains_are_unique(&mut ctx, &raw.distributions);
    let scope = distribution::Scope { functions: &raw.functions, has_https: !server.https.is_empty() };
    let mut distributions = Vec::new();
    for (name, raw) in &raw.distributions {
        distributions.extend(distribution::distribution(&mut ctx, &scope, name, raw).map(Arc::new));
    }
    ctx.findings.finish()?;
    let digest = digest::deployment(&table, &packages);
    Ok(Config { server, deployment: Deployment { digest, functions, distributions } })
}

fn read(text: &str) -> Result<(RawConfig, toml::Table), toml::de::Error> {
    Ok((toml::from_str(text)?, toml::from_str(text)?))
}
