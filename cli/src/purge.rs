//! `selvedge purge`: take responses out of a running edge's cache.

use crate::args::PurgeArgs;
use crate::exit::{self, Exit};
use crate::runtime;
use anyhow::{anyhow, bail};
use deployment::Config;
use proxy::control::{Client, Invalidation};

pub(crate) fn purge(args: &PurgeArgs) -> anyhow::Result<Exit> {
    let config = match deployment::load(&args.config) {
        Ok(config) => config,
        Err(problems) => return Ok(exit::config_problems(&problems)),
    };
    let distribution = distribution(args, &config)?;
    let invalidation = Invalidation { distribution, items: args.items.clone() };
    let client = Client::new(&config.server.data_dir);
    let done = runtime::tokio(&config.server)?.block_on(client.invalidate(&invalidation));
    println!("{}", done.map_err(|error| anyhow!("{error}"))?);
    Ok(Exit::Done)
}

fn distribution(args: &PurgeArgs, config: &Config) -> anyhow::Result<String> {
    if let Some(name) = &args.distribution {
        return Ok(name.clone());
    }
    let names: Vec<&str> =
        config.deployment.distributions.iter().map(|distribution| distribution.name.as_str()).collect();
    match names[..] {
        [only] => Ok(only.to_owned()),
        [] if config.server.control.is_some() => {
            bail!(
                "which distribution? Say --distribution and the id or a domain of one that `selvedge distributions` lists"
            )
        }
        [] => bail!("{} has no distribution", args.config.display()),
        _ => bail!("which distribution? Say --distribution and one of {}", names.join(", ")),
    }
}
