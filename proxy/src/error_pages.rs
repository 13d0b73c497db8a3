//! Custom error pages (AWS: "Custom error responses"): the page is a request of
//! its own through the behavior that matches its path, without viewer hooks.

use crate::ctx::{Asker, Ctx, ErrorPageHandover, Site};
use bytes::{Bytes, BytesMut};
use http::header::{AGE, VIA};
use pingora::http::ResponseHeader;
use pingora::protocols::http::HttpTask;
use pingora::protocols::http::subrequest::server::SubrequestHandle;
use pingora::proxy::Session;
use pingora::proxy::subrequest;
use std::sync::Arc;

/// The page that stands for an error, with the status to send it with; `None`
/// when the distribution has none, or fetching it failed.
pub(crate) async fn fetch(session: &Session, ctx: &Ctx, status: u16) -> Option<(ResponseHeader, Bytes)> {
    let (mut handle, code) = start(session, ctx, status)?;
    let mut header: Option<ResponseHeader> = None;
    let mut body = BytesMut::new();
    while let Some(task) = handle.rx.recv().await {
        let ended = task.is_end();
        match task {
            HttpTask::Header(received, _) if !received.status.is_informational() => header = Some(*received),
            HttpTask::Body(Some(piece), _) => body.extend_from_slice(&piece),
            HttpTask::Failed(_) => return None,
            _ => {}
        }
        if body.len() > PAGE_BYTES_MAX {
            return None;
        }
        if ended {
            break;
        }
    }
    let mut header = header.filter(|header| header.status.is_success())?;
    header.set_status(code).ok()?;
    for name in ["x-cache", "x-amz-cf-id", "x-amz-cf-pop", VIA.as_str(), AGE.as_str()] {
        header.remove_header(name);
    }
    crate::respond::set_length(&mut header, body.len()).ok()?;
    Some((header, body.freeze()))
}

fn start(session: &Session, ctx: &Ctx, status: u16) -> Option<(SubrequestHandle, u16)> {
    let site = ctx.site.as_ref().filter(|_| ctx.asker != Asker::ErrorPage)?;
    let pages = site.distribution.error_pages.iter();
    let (path, code) = pages.filter(|page| page.error_code == status).find_map(|page| page.page.clone())?;
    let spawner = session.subrequest_spawner.as_ref()?;
    let behavior = Arc::clone(site.distribution.behavior(&path));
    let mut request = session.req_header().clone();
    ctx.edge_headers.iter().for_each(|(name, _)| drop(request.remove_header(name)));
    let failed = &session.req_header().uri;
    let down = session.as_downstream();
    let handover = ErrorPageHandover {
        site: Site { behavior, ..site.clone() },
        path,
        failed: (failed.path().to_owned(), failed.query().unwrap_or_default().to_owned()),
        request,
        told: ctx.edge_headers.clone(),
        address: down.client_addr().and_then(|address| address.as_inet()).copied(),
        connection: down.digest().and_then(|digest| digest.proxy_digest.clone()),
        host: ctx.host.clone(),
        client_ip: ctx.client_ip,
        tls: ctx.tls,
    };
    let sub = subrequest::Ctx::builder().user_ctx(Box::new(handover)).build();
    let (prepared, handle) = spawner.create_subrequest(session.as_downstream(), sub);
    tokio::spawn(prepared.run());
    Some((handle, code))
}

/// Ours: the largest custom error page, bytes.
const PAGE_BYTES_MAX: usize = 1024 * 1024;
