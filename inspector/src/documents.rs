//! What debuggers ask for to find targets, in Node.js's format (Node.js:
//! "Debugger"; Chrome DevTools Protocol: "HTTP Endpoints").

use functions::Target;
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use serde_json::{Value, json};
use std::path::Path;

/// `/json/version`: debuggers take whatever calls itself so for a Node.js.
pub(crate) fn version() -> Value {
    json!({ "Browser": "node.js/v24.11.0", "Protocol-Version": "1.1" })
}

/// `/json/list`, for whoever reaches us as `host`.
pub(crate) fn list(targets: &[Target], host: &str) -> Value {
    targets.iter().map(|target| entry(target, host)).collect()
}

fn entry(target: &Target, host: &str) -> Value {
    let id = target.id;
    let socket = format!("{host}/{id}");
    let frontend =
        |page: &str| format!("devtools://devtools/bundled/{page}.html?experiments=true&v8only=true&ws={socket}");
    json!({
        "description": "selvedge function",
        "devtoolsFrontendUrl": frontend("js_app"),
        "devtoolsFrontendUrlCompat": frontend("inspector"),
        "faviconUrl": "https://nodejs.org/static/images/favicons/favicon.ico",
        "id": id,
        "title": target.title(),
        "type": "node",
        "url": file_url(&target.source),
        "webSocketDebuggerUrl": format!("ws://{socket}"),
    })
}

fn file_url(path: &Path) -> String {
    format!("file://{}", utf8_percent_encode(&path.to_string_lossy(), PATH))
}

/// WHATWG URL: "path percent-encode set".
const PATH: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'}');

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[test]
    fn a_target_is_listed_as_node_does() {
        let target = Target {
            id: Uuid::from_u128(7),
            function: "hello".into(),
            version: "$LATEST".into(),
            source: "/home/me/a b/index.mjs".into(),
        };
        let id = "00000000-0000-0000-0000-000000000007";
        let listed = list(&[target.clone(), Target { version: "3".into(), ..target }], "localhost:9229");
        let first = &listed[0];
        assert_eq!(first["id"], id);
        assert_eq!(first["type"], "node");
        assert_eq!(first["title"], "hello");
        assert_eq!(first["url"], "file:///home/me/a%20b/index.mjs");
        assert_eq!(first["webSocketDebuggerUrl"], format!("ws://localhost:9229/{id}"));
        let frontend = first["devtoolsFrontendUrl"].as_str().unwrap();
        assert!(frontend.starts_with("devtools://") && frontend.ends_with(&format!("ws=localhost:9229/{id}")));
        assert_eq!(listed[1]["title"], "hello:3");
    }
}
