//! A debugger: the Chrome DevTools Protocol over a WebSocket, as far as plays need it.

use crate::WAIT_MAX;
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use std::collections::VecDeque;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

/// One session.
pub struct Debugger {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    calls: u64,
    /// Seen while something else was waited for.
    events: VecDeque<Value>,
}

impl Debugger {
    /// Attaches to a target's `webSocketDebuggerUrl`.
    ///
    /// # Panics
    /// When it is refused.
    pub async fn attach(url: &str) -> Debugger {
        let (socket, _) = connect_async(url).await.unwrap_or_else(|error| panic!("{url}: {error}"));
        Debugger { socket, calls: 0, events: VecDeque::new() }
    }

    /// Attaches, and asks for everything that plays look at.
    pub async fn enable(url: &str) -> Debugger {
        let mut debugger = Debugger::attach(url).await;
        debugger.call("Runtime.enable", json!({})).await;
        debugger.call("Debugger.enable", json!({})).await;
        debugger
    }

    /// Calls a method; its result.
    ///
    /// # Panics
    /// When the target answers with an error, or not in time.
    pub async fn call(&mut self, method: &str, params: Value) -> Value {
        self.calls += 1;
        let id = self.calls;
        let text = json!({ "id": id, "method": method, "params": params }).to_string();
        self.socket.send(Message::text(text)).await.expect("the target listens");
        loop {
            let mut said = self.next(method).await;
            if said["id"] == id {
                assert_eq!(said["error"], Value::Null, "{method}");
                return said["result"].take();
            }
            self.events.push_back(said);
        }
    }

    /// The params of the next event of this kind; earlier ones of others stay.
    ///
    /// # Panics
    /// When it does not come in time.
    pub async fn event(&mut self, method: &str) -> Value {
        self.event_where(method, |_| true).await
    }

    /// The same of those that `is_it`.
    ///
    /// # Panics
    /// When it does not come in time.
    pub async fn event_where(&mut self, method: &str, is_it: impl Fn(&Value) -> bool) -> Value {
        let matches = |event: &Value| event["method"] == method && is_it(&event["params"]);
        if let Some(seen) = self.events.iter().position(matches) {
            return self.events.remove(seen).expect("it was just seen")["params"].take();
        }
        loop {
            let mut event = self.next(method).await;
            if matches(&event) {
                return event["params"].take();
            }
            self.events.push_back(event);
        }
    }

    /// Waits until the target closes the session; the code and the reason.
    ///
    /// # Panics
    /// When it goes on.
    pub async fn closed(&mut self) -> (u16, String) {
        let closed = async {
            loop {
                match self.socket.next().await {
                    Some(Ok(Message::Text(text))) => self.events.extend(serde_json::from_str::<Value>(&text)),
                    Some(Ok(Message::Close(Some(frame)))) => return (frame.code.into(), frame.reason.to_string()),
                    Some(Ok(_)) => {}
                    other => panic!("no farewell: {other:?}"),
                }
            }
        };
        tokio::time::timeout(WAIT_MAX, closed).await.expect("the session goes on")
    }

    async fn next(&mut self, what: &str) -> Value {
        let next = async {
            loop {
                match self.socket.next().await {
                    Some(Ok(Message::Text(text))) => return serde_json::from_str(&text).expect("messages are JSON"),
                    Some(Ok(_)) => {}
                    other => panic!("waiting for {what}: {other:?}"),
                }
            }
        };
        tokio::time::timeout(WAIT_MAX, next).await.unwrap_or_else(|_| panic!("waited in vain for {what}"))
    }
}
