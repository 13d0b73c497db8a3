//! A custom runtime in Rust: asks the Runtime API for events and answers each.
//! The handler adds a header to the request, and answers `/hello` by itself.

use anyhow::{Context, ensure};
use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpStream;

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let api = std::env::var("AWS_LAMBDA_RUNTIME_API").context("AWS_LAMBDA_RUNTIME_API")?;
    let stream = TcpStream::connect(&api).await.with_context(|| api.clone())?;
    let (mut sender, connection) = handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    loop {
        let (id, event) = next(&mut sender, &api).await?;
        match handle(event) {
            Ok(result) => post(&mut sender, &api, &format!("{id}/response"), &result).await?,
            Err(error) => {
                let error = json!({"errorType": "Handler.Failed", "errorMessage": error.to_string()});
                post(&mut sender, &api, &format!("{id}/error"), &error).await?;
            }
        }
    }
}

/// The handler.
fn handle(event: Value) -> anyhow::Result<Value> {
    let mut request = event["Records"][0]["cf"]["request"].clone();
    if request["uri"] == "/hello" {
        return Ok(json!({"status": "200", "body": "hello from Rust"}));
    }
    let headers = request["headers"].as_object_mut().context("the event has no headers")?;
    headers.insert("x-handled-by".to_owned(), json!([{"key": "X-Handled-By", "value": "Rust"}]));
    Ok(request)
}

async fn next(sender: &mut SendRequest<Full<Bytes>>, api: &str) -> anyhow::Result<(String, Value)> {
    let request = Request::get(format!("{INVOCATION}/next")).header("host", api).body(Full::default())?;
    sender.ready().await?;
    let reply = sender.send_request(request).await?;
    ensure!(reply.status() == StatusCode::OK, "the Runtime API says {}", reply.status());
    let id =
        reply.headers().get("lambda-runtime-aws-request-id").context("an event without an id")?.to_str()?.to_owned();
    let body = reply.into_body().collect().await?.to_bytes();
    Ok((id, serde_json::from_slice(&body)?))
}

async fn post(sender: &mut SendRequest<Full<Bytes>>, api: &str, to: &str, body: &Value) -> anyhow::Result<()> {
    let body = Full::new(Bytes::from(body.to_string()));
    let request = Request::post(format!("{INVOCATION}/{to}")).header("host", api).body(body)?;
    sender.ready().await?;
    let reply = sender.send_request(request).await?;
    ensure!(reply.status() == StatusCode::ACCEPTED, "the Runtime API says {}", reply.status());
    reply.into_body().collect().await?;
    Ok(())
}

const INVOCATION: &str = "/2018-06-01/runtime/invocation";
