//! The deployment a PoP runs now, and how it is exchanged for the next one.
//! `cli` makes and swaps it; `edge` takes one [`State`] per request and keeps it
//! until the request is over.

use arc_swap::ArcSwap;
use deployment::Deployment;
use functions::Function;
use std::collections::HashMap;
use std::sync::Arc;

/// A deployment together with its prepared functions.
#[derive(Debug)]
pub struct State {
    pub deployment: Arc<Deployment>,
    /// By the names of `Deployment::functions`.
    pub functions: HashMap<String, Arc<Function>>,
}

/// The current [`State`]; swapping it never disturbs requests in flight.
#[derive(Debug)]
pub struct Live {
    state: ArcSwap<State>,
}

impl Live {
    /// Starts with this deployment.
    #[must_use]
    pub fn new(deployment: Deployment, functions: HashMap<String, Arc<Function>>) -> Arc<Live> {
        Arc::new(Live { state: ArcSwap::from_pointee(State { deployment: Arc::new(deployment), functions }) })
    }

    /// New requests use this deployment from now on; returns the one before.
    pub fn swap(&self, deployment: Deployment, functions: HashMap<String, Arc<Function>>) -> Arc<State> {
        self.state.swap(Arc::new(State { deployment: Arc::new(deployment), functions }))
    }

    /// What a request that starts now runs on.
    #[must_use]
    pub fn load(&self) -> Arc<State> {
        self.state.load_full()
    }
}
