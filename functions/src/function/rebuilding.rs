//! A template whose process is gone is built again, ahead of the next invocation.

use super::Core;
use crate::template::{Kind, REBUILD_PAUSE, Template};
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::time::Instant;

impl Core {
    /// Watches over it until it is dropped on purpose.
    pub(super) fn rebuild_when_gone(self: &Arc<Self>, template: &Arc<Template>) {
        if let Kind::Shared { parent, .. } = &template.kind {
            tokio::spawn(rebuild(Arc::downgrade(self), parent.closing(), template.built));
        }
    }
}

/// Builds the template again as soon as its process is gone. Boxed, because building spawns this.
fn rebuild(
    core: Weak<Core>,
    mut closing: tokio::sync::watch::Receiver<bool>,
    built: Instant,
) -> Pin<Box<dyn Future<Output = ()> + Send>> {
    Box::pin(async move {
        // An error means that the template was dropped on purpose.
        if closing.wait_for(|closed| *closed).await.is_err() {
            return;
        }
        if built.elapsed() < REBUILD_PAUSE {
            tokio::time::sleep(REBUILD_PAUSE).await;
        }
        let Some(core) = core.upgrade().filter(|core| !core.shared.is_stopping()) else { return };
        tracing::error!(function = %core.name, "template ended, building another");
        core.init_ahead().await;
    })
}
