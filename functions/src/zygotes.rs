//! One zygote for each program that functions need, started when the first
//! function needs it.

use crate::config::FunctionConfig;
use crate::program::{Engines, Program};
use crate::zygote::{Zygote, ZygoteError};
use std::collections::HashMap;
use std::sync::Arc;
use tokio::sync::Mutex;

/// All zygotes of a PoP.
#[derive(Debug)]
pub(crate) struct Zygotes {
    engines: Engines,
    running: Mutex<HashMap<Program, Arc<Zygote>>>,
}

impl Zygotes {
    /// Starts the one for JavaScript, and waits until it is ready.
    pub(crate) async fn start(engines: Engines) -> Result<(Zygotes, Arc<Zygote>), ZygoteError> {
        let program = Program::JavaScript { binary: engines.javascript.clone() };
        let zygote = Arc::new(Zygote::start(&program).await?);
        let running = Mutex::new(HashMap::from([(program, Arc::clone(&zygote))]));
        Ok((Zygotes { engines, running }, zygote))
    }

    /// The one that this function's processes are copied from. One that cannot be started is tried again by
    /// the next function that needs it.
    pub(crate) async fn of(&self, config: &FunctionConfig) -> Result<Arc<Zygote>, ZygoteError> {
        let program = Program::of(config, &self.engines);
        let mut running = self.running.lock().await;
        if let Some(zygote) = running.get(&program) {
            return Ok(Arc::clone(zygote));
        }
        let zygote = Arc::new(Zygote::start(&program).await?);
        running.insert(program, Arc::clone(&zygote));
        Ok(zygote)
    }

    /// Ends them for good.
    pub(crate) async fn stop(&self) {
        for zygote in self.running.lock().await.values() {
            zygote.stop();
        }
    }
}
