//! Phase 1: what may come in, where it belongs, and the viewer-request hook.

use super::{Edge, departure, failure};
use crate::connection::Connection;
use crate::ctx::{Asker, Ctx, ErrorPageHandover, Handover, Site};
use crate::error::EdgeError;
use crate::hooks::{HookCall, hook_of};
use crate::signed::{self, Asked, Token};
use crate::staging::{self, Tls};
use crate::viewer_headers::{self, Viewer};
use crate::{respond, wire, x_cache};
use bytes::Bytes;
use deployment::{AllowedMethods, Distribution, ViewerProtocol};
use event::{EventBody, EventRequest, EventType, Generated, RequestEdit, RequestResult};
use http::header::{CONTENT_LENGTH, EXPECT, HOST, TRANSFER_ENCODING};
use http::uri::Authority;
use http::{Method, StatusCode, Version};
use pingora::Result;
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::proxy::Session;
use std::sync::Arc;
use std::time::SystemTime;

/// What becomes of a request at the door.
enum Door {
    Enter,
    Answer(Box<ResponseHeader>, Bytes, &'static str),
    Refuse(EdgeError),
}

/// Lets a request in, or answers it: then `true`.
pub(super) async fn receive(edge: &Edge, session: &mut Session, ctx: &mut Ctx) -> Result<bool> {
    let door = if adopt(edge, session, ctx)? {
        Door::Enter
    } else {
        match identify(edge, session, ctx) {
            Ok(None) => hook(session, ctx).await?,
            Ok(Some(redirect)) => Door::Answer(Box::new(redirect), Bytes::new(), x_cache::REDIRECT),
            Err(error) => Door::Refuse(error),
        }
    };
    match door {
        Door::Enter => {
            tell_of_viewer(session, ctx)?;
            return Ok(false);
        }
        Door::Answer(header, body, x_cache) => respond::write(session, ctx, *header, body, x_cache).await?,
        Door::Refuse(error) => failure::tell(session, ctx, &error).await?,
    }
    Ok(true)
}

/// Adds what the edge says of the viewer, after viewer-request functions and over
/// what the viewer says of itself.
fn tell_of_viewer(session: &mut Session, ctx: &Ctx) -> Result<()> {
    let request = session.as_downstream_mut().req_header_mut();
    for (name, value) in &ctx.edge_headers {
        request.remove_header(name);
        if let Some(value) = value {
            request.insert_header(name.clone(), value.clone())?;
        }
    }
    Ok(())
}

/// A request that the edge itself made continues one whose viewer hook ran (trap c).
fn adopt(edge: &Edge, session: &mut Session, ctx: &mut Ctx) -> Result<bool> {
    if session.subrequest_ctx.is_none() {
        return Ok(false);
    }
    let page = session.subrequest_ctx.as_mut().and_then(|sub| sub.user_ctx_mut()?.downcast_mut::<ErrorPageHandover>());
    if let Some(page) = page {
        ctx.asker = Asker::ErrorPage;
        (ctx.client_ip, ctx.tls, ctx.host) = (page.client_ip, page.tls, page.host.clone());
        let handshake = page.connection.as_deref().and_then(Connection::of_digest).and_then(Connection::handshake);
        let viewer = Viewer { address: page.address, tls: page.tls, handshake, geo: edge.geo.as_ref() };
        ctx.edge_headers = viewer_headers::make(&page.site.behavior.edge_headers, &page.request, &viewer);
        viewer_headers::tell_of_failed(&mut ctx.edge_headers, &page.failed, &page.told);
        ctx.site = Some(page.site.clone());
        let path = page.path.clone();
        let request = session.as_downstream_mut().req_header_mut();
        request.set_method(Method::GET);
        request.set_raw_path(path.as_bytes())?;
        for name in ["if-match", "if-none-match", "if-modified-since", "if-unmodified-since", "if-range", "range"] {
            request.remove_header(name);
        }
    } else {
        ctx.asker = Asker::Revalidation;
        let digest = session.as_downstream().digest().and_then(|digest| digest.proxy_digest.clone());
        let data = digest.as_ref().and_then(|digest| digest.user_data.as_ref());
        let Some(handover) = data.and_then(|data| data.downcast_ref::<Handover>()) else { return Ok(false) };
        (ctx.client_ip, ctx.tls, ctx.host) = (handover.client_ip, handover.tls, handover.host.clone());
        ctx.site = Some(handover.site.clone());
        *session.as_downstream_mut().req_header_mut() = handover.request.clone();
    }
    let request = session.req_header();
    ctx.line = Some((request.method.clone(), request.uri.to_string()));
    Ok(true)
}

/// Finds the distribution and behavior and applies their rules; a redirect is an answer of theirs.
fn identify(edge: &Edge, session: &mut Session, ctx: &mut Ctx) -> Result<Option<ResponseHeader>, EdgeError> {
    let down = session.as_downstream();
    let address = down.client_addr().and_then(|address| address.as_inet()).copied();
    ctx.client_ip = address.map_or(ctx.client_ip, |inet| inet.ip());
    ctx.tls = down.digest().is_some_and(|digest| digest.ssl_digest.is_some());
    let upgrade = down.is_upgrade_req();
    let connection = down.digest().and_then(|digest| digest.proxy_digest.clone());
    ctx.connection = connection.clone().filter(|_| !down.is_http2());
    let request = session.as_downstream_mut().req_header_mut();
    let target = wire::target(request.uri.path(), request.uri.query().unwrap_or_default());
    ctx.line = Some((request.method.clone(), target.clone()));
    let host = host_header(request);
    ctx.host = host.to_ascii_lowercase();
    check_host(&host, request.version)?;
    check_size(request, &target, edge.header_bytes_max)?;
    check_body(request, upgrade)?;
    let state = edge.live.load();
    let distribution = state.deployment.distribution(&ctx.host).cloned();
    let distribution = distribution.ok_or_else(|| refused(format!("no distribution has the name {:?}", ctx.host)))?;
    let distribution = answering(ctx, request, distribution)?;
    admit_country(edge, ctx, &distribution)?;
    let root = distribution.default_root_object.as_ref().filter(|_| request.uri.path() == "/");
    if let Some(root) = root {
        let path = wire::target(&format!("/{root}"), request.uri.query().unwrap_or_default());
        request.set_raw_path(path.as_bytes()).map_err(|error| refused(error.to_string()))?;
    }
    let behavior = Arc::clone(distribution.behavior(request.uri.path()));
    let (protocol, methods) = (behavior.viewer_protocol, behavior.allowed_methods);
    ctx.site = Some(Site { state, distribution, behavior });
    let method = request.method.clone();
    if !ctx.tls && protocol == ViewerProtocol::HttpsOnly {
        return Err(refused("this behavior is for HTTPS only"));
    }
    if !ctx.tls && protocol == ViewerProtocol::RedirectToHttps {
        let redirect = respond::redirect_to_https(&method, &https_host(&host, edge.https_port), &target);
        return redirect.map(Some).map_err(|error| refused(error.to_string()));
    }
    if !allows(methods, &method) {
        return Err(refused(format!("method {method} is not allowed by this behavior")));
    }
    open(session, ctx, &host, &target)?;
    if let Some(site) = ctx.site.as_ref().filter(|site| !site.behavior.edge_headers.is_empty()) {
        let handshake = connection.as_deref().and_then(Connection::of_digest).and_then(Connection::handshake);
        let viewer = Viewer { address, tls: ctx.tls, handshake, geo: edge.geo.as_ref() };
        ctx.edge_headers = viewer_headers::make(&site.behavior.edge_headers, session.req_header(), &viewer);
    }
    Ok(None)
}

/// Lets in what is signed, where the behavior asks for that; what signs goes no further.
fn open(session: &mut Session, ctx: &Ctx, host: &str, target: &str) -> Result<(), EdgeError> {
    let Some(site) = ctx.site.as_ref().filter(|site| !site.behavior.trusted_key_groups.is_empty()) else {
        return Ok(());
    };
    let request = session.as_downstream_mut().req_header_mut();
    // What the viewer asked for, before a default root object took its place.
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let (shown, query) = Token::of_query(query);
    let token = shown.or_else(|| Token::of_cookies(&request.headers));
    let token = token.unwrap_or_else(|| Err("neither the URL nor a cookie is signed".to_owned())).map_err(refused)?;
    let scheme = if ctx.tls { "https" } else { "http" };
    let url = format!("{scheme}://{host}{}", wire::target(path, &query));
    let asked = Asked { url, client_ip: ctx.client_ip, now: SystemTime::now() };
    signed::check(&site.behavior.trusted_key_groups, &asked, &token).map_err(refused)?;
    let path = wire::target(request.uri.path(), &query);
    request.set_raw_path(path.as_bytes()).map_err(|error| refused(error.to_string()))
}

/// The distribution that answers: its staging distribution where its continuous deployment says so.
fn answering(
    ctx: &mut Ctx,
    request: &mut RequestHeader,
    asked: Arc<Distribution>,
) -> Result<Arc<Distribution>, EdgeError> {
    let Some(policy) = &asked.continuous_deployment else { return Ok(asked) };
    let tls = if ctx.tls { Tls::Yes } else { Tls::No };
    let choice = staging::choose(&asked, policy, request, tls).map_err(|error| refused(error.to_string()))?;
    ctx.session_cookie = choice.cookie;
    Ok(choice.distribution)
}

/// Whoever is nowhere to be found may come in, as at CloudFront.
fn admit_country(edge: &Edge, ctx: &Ctx, distribution: &Distribution) -> Result<(), EdgeError> {
    let Some(restriction) = &distribution.geo_restriction else { return Ok(()) };
    match edge.geo.as_ref().and_then(|geo| geo.country(ctx.client_ip)) {
        Some(country) if !restriction.admits(&country) => {
            Err(refused(format!("distribution {} is not for viewers in {country}", distribution.name)))
        }
        _ => Ok(()),
    }
}

fn host_header(request: &mut RequestHeader) -> String {
    let authority = request.uri.authority().map(ToString::to_string);
    let sent = request.headers.get(HOST).and_then(|host| host.to_str().ok()).map(str::to_owned);
    if let (None, Some(authority)) = (&sent, &authority) {
        // HTTP/2 has the host in the target; functions and policies look for the header.
        let _ = request.insert_header("Host", authority.as_str());
    }
    authority.or(sent).unwrap_or_default()
}

/// RFC 9112 3.2: a request needs a host that is one.
fn check_host(host: &str, version: Version) -> Result<(), EdgeError> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-');
    if !host.is_empty() && host.bytes().all(plain) {
        return Ok(());
    }
    let named = if host.is_empty() {
        version != Version::HTTP_11
    } else {
        !host.contains('@') && host.parse::<Authority>().is_ok()
    };
    let refused = || EdgeError::new(StatusCode::BAD_REQUEST, format!("{host:?} is no host"));
    if named { Ok(()) } else { Err(refused()) }
}

/// The host to redirect to. A viewer that named a port talks to this machine
/// itself, so it is sent to this machine's HTTPS port.
fn https_host(host: &str, https_port: u16) -> String {
    let name = wire::host_name(host);
    let name = if host.starts_with('[') { format!("[{name}]") } else { name.to_owned() };
    let ported = host.rsplit(']').next().is_some_and(|rest| rest.contains(':'));
    if ported && https_port != super::HTTPS_PORT { format!("{name}:{https_port}") } else { name }
}

fn check_size(request: &RequestHeader, target: &str, header_bytes_max: usize) -> Result<(), EdgeError> {
    if target.len() > URL_BYTES_MAX {
        let reason = format!("url of {} bytes is over the limit of {URL_BYTES_MAX}", target.len());
        return Err(EdgeError::new(StatusCode::URI_TOO_LONG, reason));
    }
    let lines = request.headers.iter();
    let bytes: usize = target.len() + lines.map(|(name, value)| name.as_str().len() + value.len() + 4).sum::<usize>();
    if bytes > header_bytes_max {
        let reason = format!("request headers of {bytes} bytes are over the limit of {header_bytes_max}");
        return Err(EdgeError::new(StatusCode::from_u16(494).unwrap_or(StatusCode::BAD_REQUEST), reason));
    }
    Ok(())
}

fn check_body(request: &RequestHeader, upgrade: bool) -> Result<(), EdgeError> {
    let sized = request.headers.get(CONTENT_LENGTH).is_some_and(|length| length != "0");
    let chunked = request.headers.contains_key(TRANSFER_ENCODING);
    let reads = request.method == Method::GET || request.method == Method::HEAD;
    if reads && !upgrade && (sized || chunked) {
        return Err(refused(format!("a {} request may not have a body", request.method)));
    }
    Ok(())
}

fn allows(methods: AllowedMethods, method: &Method) -> bool {
    match method.as_str() {
        "GET" | "HEAD" => true,
        "OPTIONS" => methods != AllowedMethods::Read,
        "PUT" | "POST" | "PATCH" | "DELETE" => methods == AllowedMethods::All,
        _ => false,
    }
}

async fn hook(session: &mut Session, ctx: &mut Ctx) -> Result<Door> {
    let event = EventType::ViewerRequest;
    let hooked = |site: &&Site| hook_of(&site.behavior, event).is_some();
    let Some(site) = ctx.site.as_ref().filter(hooked).cloned() else { return Ok(Door::Enter) };
    let Some(hook) = hook_of(&site.behavior, event) else { return Ok(Door::Enter) };
    if hook.include_body && has_body(&session.req_header().method) {
        hold_body(session, ctx, event.body_bytes_max()).await?;
    }
    let mut request = event_request(session, ctx);
    if hook.include_body && has_body(&request.method) {
        let (data, truncated) = ctx.body.seen(event.body_bytes_max());
        request.body = Some(EventBody { data, truncated });
    }
    let gone = departure::gone(session, ctx.asker);
    let (request_id, records) = (ctx.request_id.as_str(), &mut ctx.hooks);
    let call = HookCall { state: &site.state, distribution: &site.distribution, hook, event, request_id, records };
    Ok(match call.on_request(&request, gone).await {
        Ok(RequestResult::Forward(edit)) => {
            apply(session, ctx, &request, edit)?;
            Door::Enter
        }
        Ok(RequestResult::Respond(response)) => answer(session, ctx, response)?,
        Err(error) => Door::Refuse(error),
    })
}

fn answer(session: &Session, ctx: &Ctx, response: Generated) -> Result<Door> {
    let mut header = respond::generated(&response)?;
    respond::apply_policy(session.req_header(), ctx, &mut header)?;
    Ok(Door::Answer(Box::new(header), response.body, x_cache::GENERATED))
}

fn apply(session: &mut Session, ctx: &mut Ctx, sent: &EventRequest, edit: RequestEdit) -> Result<()> {
    let request = session.as_downstream_mut().req_header_mut();
    if edit.uri.is_some() || edit.querystring.is_some() {
        let path = edit.uri.as_deref().unwrap_or(&sent.uri);
        let query = edit.querystring.as_deref().unwrap_or(&sent.querystring);
        request.set_raw_path(wire::target(path, query).as_bytes())?;
    }
    if let Some(headers) = edit.headers {
        wire::edit_request_headers(request, headers, &sent.headers)?;
    }
    if let Some(body) = edit.body {
        ctx.body.replace(body);
    }
    Ok(())
}

/// Whether functions may see a body with this method.
pub(super) fn has_body(method: &Method) -> bool {
    !matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

/// Reads the body's beginning, asking for it first if the viewer waits to be asked.
pub(super) async fn hold_body(session: &mut Session, ctx: &mut Ctx, limit: usize) -> Result<()> {
    if session.as_downstream_mut().is_body_empty() {
        return ctx.body.read(session.as_downstream_mut(), 0).await;
    }
    if session.req_header().headers.contains_key(EXPECT) {
        session.as_downstream_mut().write_continue_response().await?;
    }
    ctx.body.read(session.as_downstream_mut(), limit).await
}

/// The request as viewer events show it.
pub(super) fn event_request(session: &Session, ctx: &Ctx) -> EventRequest {
    let request = session.req_header();
    EventRequest {
        client_ip: ctx.client_ip,
        method: request.method.clone(),
        uri: request.uri.path().to_owned(),
        querystring: request.uri.query().unwrap_or_default().to_owned(),
        headers: wire::request_headers(request),
        body: None,
        origin: None,
    }
}

fn refused(reason: impl Into<String>) -> EdgeError {
    EdgeError::new(StatusCode::FORBIDDEN, reason)
}

/// CloudFront's bound of a URL, bytes (AWS: "Quotas").
const URL_BYTES_MAX: usize = 8192;
