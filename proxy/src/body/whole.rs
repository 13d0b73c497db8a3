//! A viewer's session whose request body is in memory, whole. Pingora sends nothing
//! of a body that was read to its end and outgrew its retry buffer (64 KB); to Pingora
//! this session is one whose retry buffer has it all. Everything but the request's
//! body is the viewer's own session.

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::Stream;
use http::HeaderMap;
use pingora::Result;
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::protocols::Digest;
use pingora::protocols::http::custom::CustomMessageWrite;
use pingora::protocols::http::custom::server::Session;
use pingora::protocols::http::{HttpTask, ServerSession};
use pingora::protocols::l4::socket::SocketAddr;
use std::time::Duration;

pub(super) struct WholeBody {
    viewer: ServerSession,
    body: Bytes,
}

impl WholeBody {
    /// Puts `session`, whose body was read to its end, behind one that still has it.
    /// A HTTP/1 connection ends with the answer, which says so: Pingora takes no
    /// connection back from a session of another's making.
    pub(super) fn put_before(session: &mut ServerSession, body: Bytes) {
        session.set_keepalive(None);
        let viewer = std::mem::replace(session, ServerSession::new_custom(Box::new(())));
        *session = ServerSession::new_custom(Box::new(WholeBody { viewer, body }));
    }
}

#[async_trait]
impl Session for WholeBody {
    fn req_header(&self) -> &RequestHeader {
        self.viewer.req_header()
    }

    fn req_header_mut(&mut self) -> &mut RequestHeader {
        self.viewer.req_header_mut()
    }

    async fn read_body_bytes(&mut self) -> Result<Option<Bytes>> {
        self.viewer.read_request_body().await
    }

    async fn drain_request_body(&mut self) -> Result<()> {
        self.viewer.drain_request_body().await
    }

    async fn read_body_or_idle(&mut self, no_body_expected: bool) -> Result<Option<Bytes>> {
        self.viewer.read_body_or_idle(no_body_expected).await
    }

    fn is_body_done(&mut self) -> bool {
        self.viewer.is_body_done()
    }

    fn is_body_empty(&mut self) -> bool {
        false
    }

    fn body_bytes_read(&self) -> usize {
        self.viewer.body_bytes_read()
    }

    /// It always is on.
    fn enable_retry_buffering(&mut self) {}

    fn retry_buffer_truncated(&self) -> bool {
        false
    }

    fn get_retry_buffer(&self) -> Option<Bytes> {
        Some(self.body.clone())
    }

    async fn write_response_header(&mut self, header: Box<ResponseHeader>, _end: bool) -> Result<()> {
        self.viewer.write_response_header(header).await
    }

    async fn write_response_header_ref(&mut self, header: &ResponseHeader, _end: bool) -> Result<()> {
        self.viewer.write_response_header_ref(header).await
    }

    async fn write_body(&mut self, data: Bytes, end: bool) -> Result<()> {
        self.viewer.write_response_body(data, end).await
    }

    async fn write_trailers(&mut self, trailers: HeaderMap) -> Result<()> {
        self.viewer.write_response_trailers(trailers).await
    }

    async fn response_duplex_vec(&mut self, tasks: Vec<HttpTask>) -> Result<bool> {
        self.viewer.response_duplex_vec(tasks).await
    }

    fn response_written(&self) -> Option<&ResponseHeader> {
        self.viewer.response_written()
    }

    fn body_bytes_sent(&self) -> usize {
        self.viewer.body_bytes_sent()
    }

    async fn finish(&mut self) -> Result<()> {
        self.viewer.finish_body().await
    }

    async fn shutdown(&mut self, _code: u32, _reason: &str) {
        self.viewer.shutdown().await;
    }

    fn proxy_tasks_enabled(&self) -> bool {
        self.viewer.supports_proxy_task_api()
    }

    fn set_proxy_tasks_enabled(&mut self, enabled: bool) {
        self.viewer.set_proxy_tasks_enabled(enabled);
    }

    fn send_proxy_task(&mut self, task: HttpTask) {
        self.viewer.send_downstream_proxy_task(task);
    }

    fn has_pending_proxy_tasks(&self) -> bool {
        self.viewer.has_pending_downstream_proxy_tasks()
    }

    async fn write_proxy_tasks(&mut self) -> Result<bool> {
        self.viewer.write_downstream_proxy_tasks().await
    }

    fn set_read_timeout(&mut self, timeout: Option<Duration>) {
        self.viewer.set_read_timeout(timeout);
    }

    fn get_read_timeout(&self) -> Option<Duration> {
        self.viewer.get_read_timeout()
    }

    fn set_write_timeout(&mut self, timeout: Option<Duration>) {
        self.viewer.set_write_timeout(timeout);
    }

    fn get_write_timeout(&self) -> Option<Duration> {
        self.viewer.get_write_timeout()
    }

    fn set_total_drain_timeout(&mut self, timeout: Option<Duration>) {
        self.viewer.set_total_drain_timeout(timeout);
    }

    fn get_total_drain_timeout(&self) -> Option<Duration> {
        self.viewer.get_total_drain_timeout()
    }

    fn request_summary(&self) -> String {
        self.viewer.request_summary()
    }

    fn pseudo_raw_h1_request_header(&self) -> Bytes {
        self.viewer.to_h1_raw()
    }

    fn digest(&self) -> Option<&Digest> {
        self.viewer.digest()
    }

    fn digest_mut(&mut self) -> Option<&mut Digest> {
        self.viewer.digest_mut()
    }

    fn client_addr(&self) -> Option<&SocketAddr> {
        self.viewer.client_addr()
    }

    fn server_addr(&self) -> Option<&SocketAddr> {
        self.viewer.server_addr()
    }

    fn is_upgrade_req(&self) -> bool {
        self.viewer.is_upgrade_req()
    }

    fn was_upgraded(&self) -> bool {
        self.viewer.was_upgraded()
    }

    // Messages beside the body are a thing of other protocols than HTTP.

    fn take_custom_message_reader(&mut self) -> Option<Box<dyn Stream<Item = Result<Bytes>> + Unpin + Send + Sync>> {
        None
    }

    fn restore_custom_message_reader(
        &mut self,
        _reader: Box<dyn Stream<Item = Result<Bytes>> + Unpin + Send + Sync>,
    ) -> Result<()> {
        Ok(())
    }

    fn take_custom_message_writer(&mut self) -> Option<Box<dyn CustomMessageWrite>> {
        None
    }

    fn restore_custom_message_writer(&mut self, _writer: Box<dyn CustomMessageWrite>) -> Result<()> {
        Ok(())
    }

    async fn finish_custom(&mut self) -> Result<()> {
        Ok(())
    }
}
