//! `selvedge check`: every problem of a configuration, or what it describes.

use crate::args::CheckArgs;
use crate::exit::{self, Exit};
use deployment::Config;

pub(crate) fn check(args: &CheckArgs) -> anyhow::Result<Exit> {
    match deployment::load(&args.config) {
        Ok(config) => {
            print_summary(&config);
            Ok(Exit::Done)
        }
        Err(problems) => Ok(exit::config_problems(&problems)),
    }
}

fn print_summary(config: &Config) {
    let deployment = &config.deployment;
    println!("no problems; deployment {}", deployment.digest);
    for function in deployment.functions.values() {
        let limits = format!("{} MB, {} s", function.memory_mb, function.timeout.as_secs_f64());
        println!("  function {}: {}, {}, {limits}", function.name, function.handler, function.runtime.id());
    }
    for distribution in &deployment.distributions {
        println!("  distribution {} ({})", distribution.name, distribution.id);
        let domains = distribution.domains.iter().chain([&distribution.domain_name]);
        println!("    domains: {}", domains.map(String::as_str).collect::<Vec<_>>().join(", "));
        for behavior in &distribution.behaviors {
            println!("    {} -> {}, cache {}", behavior.pattern, behavior.origin.name, behavior.cache.name);
        }
    }
}
