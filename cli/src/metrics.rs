//! `selvedge metrics`: what a running edge counts.

use crate::args::MetricsArgs;
use crate::exit::{self, Exit};
use crate::runtime;
use anyhow::anyhow;
use proxy::control::Client;

pub(crate) fn metrics(args: &MetricsArgs) -> anyhow::Result<Exit> {
    let config = match deployment::load(&args.config) {
        Ok(config) => config,
        Err(problems) => return Ok(exit::config_problems(&problems)),
    };
    let client = Client::new(&config.server.data_dir);
    let page = runtime::tokio(&config.server)?.block_on(client.metrics());
    print!("{}", page.map_err(|error| anyhow!("{error}"))?);
    Ok(Exit::Done)
}
