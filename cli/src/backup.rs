//! `selvedge control backup` and `restore`: copies of the control plane's state.

use crate::args::CopyArgs;
use crate::exit::{self, Exit};
use anyhow::anyhow;
use deployment::Config;

/// While the edge runs, or not.
pub(crate) fn backup(args: &CopyArgs) -> anyhow::Result<Exit> {
    let Config { server, .. } = match deployment::load(&args.config) {
        Ok(config) => config,
        Err(problems) => return Ok(exit::config_problems(&problems)),
    };
    let packages = control::backup(&server.data_dir, &args.dir).map_err(|error| anyhow!("{error}"))?;
    println!("{}: the state and {packages} packages. The key is not in it: keep it elsewhere", args.dir.display());
    Ok(Exit::Done)
}

/// Before the edge starts.
pub(crate) fn restore(args: &CopyArgs) -> anyhow::Result<Exit> {
    let Config { server, .. } = match deployment::load(&args.config) {
        Ok(config) => config,
        Err(problems) => return Ok(exit::config_problems(&problems)),
    };
    let packages = control::restore(&server.data_dir, &args.dir).map_err(|error| anyhow!("{error}"))?;
    let data_dir = server.data_dir.display();
    println!("{data_dir}: the state and {packages} packages. It opens with the key that it was made with");
    Ok(Exit::Done)
}
