//! One debugger's WebSocket and one target's session, until either ends.

use bytes::Bytes;
use functions::Session;
use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role};
use tokio_tungstenite::tungstenite::{Error, Message, Utf8Bytes};

/// Why it ends.
enum End {
    /// The debugger closed it, or is gone.
    Detached,
    /// The environment ended: the function was reloaded, or it crashed.
    TargetGone,
    /// This program ends.
    Stopped,
}

/// Passes messages on, each way in order.
pub(crate) async fn talk<S>(stream: S, mut session: Session, stop: watch::Receiver<bool>)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut socket = WebSocketStream::from_raw_socket(stream, Role::Server, None).await;
    let end = pass_on(&mut socket, &mut session, stop).await;
    // From here on the handler goes on, whether or not the debugger listens.
    drop(session);
    let parting = match end {
        Ok(End::Detached) | Err(_) => return,
        Ok(End::TargetGone) => {
            // What Node.js says before it ends: editors take the program for finished.
            let destroyed = Message::Text(Utf8Bytes::from_static(DESTROYED));
            if socket.send(destroyed).await.is_err() {
                return;
            }
            CloseFrame { code: CloseCode::Normal, reason: Utf8Bytes::from_static("the environment ended") }
        }
        Ok(End::Stopped) => CloseFrame { code: CloseCode::Away, reason: Utf8Bytes::from_static("selvedge ends") },
    };
    // A debugger that is gone as well needs no farewell.
    let _ = socket.close(Some(parting)).await;
}

async fn pass_on<S>(
    socket: &mut WebSocketStream<S>,
    session: &mut Session,
    mut stop: watch::Receiver<bool>,
) -> Result<End, Error>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    loop {
        tokio::select! {
            said = socket.next() => match said.transpose()? {
                Some(Message::Text(text)) => {
                    if session.send(Bytes::from(text)).await.is_err() {
                        return Ok(End::TargetGone);
                    }
                }
                Some(Message::Close(_)) | None => return Ok(End::Detached),
                // The protocol is text; pings are answered by the library.
                Some(_) => {}
            },
            told = session.receive() => match told {
                Some(message) => socket.send(Message::Text(Utf8Bytes::try_from(message)?)).await?,
                None => return Ok(End::TargetGone),
            },
            () = stopped(&mut stop) => return Ok(End::Stopped),
        }
    }
}

/// Returns when it is true, or nobody can make it true any more.
pub(crate) async fn stopped(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}

/// The first context of an isolate has this number.
const DESTROYED: &str = r#"{"method":"Runtime.executionContextDestroyed","params":{"executionContextId":1}}"#;
