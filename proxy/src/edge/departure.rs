//! Whether a viewer is still there while a function works for it. Looks at the
//! state of the connection and reads nothing: what a viewer sends next is not
//! touched. Used by the request hooks.

use crate::ctx::Asker;
use pingora::proxy::Session;
use std::future::{Future, pending};
use std::time::Duration;

/// Returns once the viewer has closed its connection; never for requests of the edge's own.
pub(super) fn gone(session: &Session, asker: Asker) -> impl Future<Output = ()> + use<> {
    let digest = session.as_downstream().digest().filter(|_| asker == Asker::Viewer);
    let socket = digest.and_then(|digest| digest.socket_digest.clone());
    async move {
        let Some(socket) = socket else { return pending().await };
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            if socket.tcp_info().is_some_and(|info| ENDED.contains(&info.tcpi_state)) {
                return;
            }
        }
    }
}

/// Most functions have answered before the first look.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// `TCP_CLOSE` and `TCP_CLOSE_WAIT` of the kernel: reset, or closed by the other side.
const ENDED: [u8; 2] = [7, 8];
