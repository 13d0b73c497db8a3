//! Provisioned environments: made before anybody asks, and made again when they
//! end for whatever reason. `functions` fills a pool once before a deployment
//! goes live; `keep` does it for as long as the function lives.

use crate::function::Core;
use crate::template::BuildError;
use std::sync::{Arc, Weak};
use std::time::Duration;

/// Returns once as many environments exist as are provisioned, or one could not be made.
pub(crate) async fn fill(core: &Weak<Core>) -> Result<(), BuildError> {
    let Some(pool) = core.upgrade().map(|core| Arc::clone(&core.pool)) else { return Ok(()) };
    while let Some(place) = pool.reserve().await {
        let Some(core) = core.upgrade() else { return Ok(()) };
        let (environment, _) = core.create(place).await?;
        environment.rest();
        pool.put(environment);
    }
    Ok(())
}

/// Fills again whenever there are fewer, until the function is gone.
pub(crate) async fn keep(core: Weak<Core>) {
    let mut pause = PAUSE_MIN;
    loop {
        let filled = fill(&core).await;
        let Some((pool, name)) = core.upgrade().map(|core| (Arc::clone(&core.pool), Arc::clone(&core.name))) else {
            return;
        };
        if pool.is_closed() {
            return;
        }
        match filled {
            Ok(()) => {
                pause = PAUSE_MIN;
                pool.shrunk().await;
            }
            Err(error) => {
                tracing::error!(function = %name, ?error, "a provisioned environment cannot be made");
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(PAUSE_MAX);
            }
        }
    }
}

/// How long a deployment waits for its provisioned environments before it goes live without them.
pub(crate) const FILL_MAX: Duration = Duration::from_secs(60);

const PAUSE_MIN: Duration = Duration::from_millis(500);
const PAUSE_MAX: Duration = Duration::from_secs(30);
