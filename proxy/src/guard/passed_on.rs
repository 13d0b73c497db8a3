//! What Pingora asks of a viewer's stream beside bytes, for a stream around another:
//! its field `stream` answers. Reading and writing are each wrapper's own.

/// Implements it for a type with a field `stream`.
macro_rules! passes_on {
    ($wrapper:ident) => {
        const _: () = {
            use async_trait::async_trait;
            use pingora::protocols::raw_connect::ProxyDigest;
            use pingora::protocols::tls::SslDigest;
            use pingora::protocols::{
                ALPN, GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl,
                TimingDigest, UniqueID,
            };
            use std::sync::Arc;

            #[async_trait]
            impl Shutdown for $wrapper {
                async fn shutdown(&mut self) {
                    self.stream.shutdown().await;
                }
            }

            impl UniqueID for $wrapper {
                fn id(&self) -> i32 {
                    self.stream.id()
                }
            }

            impl Ssl for $wrapper {
                fn get_ssl_digest(&self) -> Option<Arc<SslDigest>> {
                    self.stream.get_ssl_digest()
                }

                fn selected_alpn_proto(&self) -> Option<ALPN> {
                    self.stream.selected_alpn_proto()
                }
            }

            impl Peek for $wrapper {}

            impl GetTimingDigest for $wrapper {
                fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
                    self.stream.get_timing_digest()
                }
            }

            impl GetProxyDigest for $wrapper {
                fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
                    self.stream.get_proxy_digest()
                }
            }

            impl GetSocketDigest for $wrapper {
                fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
                    self.stream.get_socket_digest()
                }
            }
        };
    };
}

pub(crate) use passes_on;
