//! TLS from the viewer's side, where any certificate is accepted: the tests look at
//! which one the edge chose, not at who signed it. And from the origin's: a front
//! that puts TLS before any of the plain origins.

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::{ClientConfig, DigitallySignedStruct, Error, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use tempfile::TempDir;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::client::TlsStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// Connects with this server name, offering these protocols (`h2`, `http/1.1`).
///
/// # Errors
/// When nothing listens there, or the handshake fails.
///
/// # Panics
/// When `name` is no server name.
pub async fn connect(address: SocketAddr, name: &str, protocols: &[&str]) -> anyhow::Result<TlsStream<TcpStream>> {
    connect_again(&client(protocols)?, address, name).await
}

/// As [`connect`], by a client that may have been there before.
///
/// # Errors
/// As [`connect`].
///
/// # Panics
/// As [`connect`].
pub async fn connect_again(
    client: &TlsConnector,
    address: SocketAddr,
    name: &str,
) -> anyhow::Result<TlsStream<TcpStream>> {
    let name = ServerName::try_from(name.to_owned()).expect("a test's server name is valid");
    let stream = TcpStream::connect(address).await?;
    Ok(client.connect(name, stream).await?)
}

/// A client that offers these protocols and remembers its sessions.
///
/// # Errors
/// None that a provider of ours can cause.
pub fn client(protocols: &[&str]) -> anyhow::Result<TlsConnector> {
    let provider = Arc::new(ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyCertificate(provider)))
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
    Ok(TlsConnector::from(Arc::new(config)))
}

/// Takes TLS connections for `localhost` and passes them on to a plain origin. Ends when dropped.
pub struct TlsFront {
    address: SocketAddr,
    certificates: TempDir,
    task: JoinHandle<()>,
}

impl TlsFront {
    /// # Panics
    /// When no port is free or no certificate can be made.
    pub async fn start(origin: SocketAddr) -> TlsFront {
        let certificates = tempfile::tempdir().expect("temporary files can be made");
        certs::init_local_ca(certificates.path(), &["localhost".to_owned()]).expect("a certificate can be made");
        let store = certs::Store::open(certificates.path()).expect("the pair is whole");
        let acceptor = TlsAcceptor::from(store.server_config(&[b"http/1.1"]));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let address = listener.local_addr().expect("the listener is bound");
        let task = tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    // Either side may go away at any time.
                    let (Ok(mut tls), Ok(mut plain)) = (acceptor.accept(tcp).await, TcpStream::connect(origin).await)
                    else {
                        return;
                    };
                    let _ = copy_bidirectional(&mut tls, &mut plain).await;
                });
            }
        });
        TlsFront { address, certificates, task }
    }

    #[must_use]
    pub fn url(&self) -> String {
        format!("https://localhost:{}", self.address.port())
    }

    /// The certificate of the authority that signed the front's.
    #[must_use]
    pub fn authority(&self) -> PathBuf {
        self.certificates.path().join("ca.crt")
    }
}

impl Drop for TlsFront {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Whether the certificate the edge chose holds this name.
#[must_use]
pub fn certificate_names(stream: &TlsStream<TcpStream>, name: &str) -> bool {
    let chain = stream.get_ref().1.peer_certificates().unwrap_or(&[]);
    chain.first().is_some_and(|leaf| leaf.windows(name.len()).any(|window| window == name.as_bytes()))
}

#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
