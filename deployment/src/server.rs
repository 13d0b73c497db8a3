//! How the process itself listens and which bounds every connection has.

use environment::Runtime;
use functions::CpuShare;
use sigv4::Source;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// The `[server]` table, and `[control]`. A change of it needs a restart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    pub http: Vec<SocketAddr>,
    pub https: Vec<SocketAddr>,
    /// Directory of certificates and keys; present whenever `https` is not empty.
    pub certificates: Option<PathBuf>,
    /// Logs, unpacked packages and sockets; created when missing.
    pub data_dir: PathBuf,
    /// Where addresses are, in MaxMind's format; a file that is there.
    pub geo_database: Option<PathBuf>,
    /// Where counters are given out to whoever asks; no viewer should reach it.
    pub metrics: Option<SocketAddr>,
    pub cache_bytes: u64,
    /// A larger response is not kept in memory.
    pub cache_object_bytes_max: u64,
    /// The cache's second tier, where there is one.
    pub cache_disk: Option<CacheDisk>,
    /// For the whole header of a request, from its first byte.
    pub header_timeout: Duration,
    /// For every gap in a request's body.
    pub body_timeout: Duration,
    /// For a connection without a request.
    pub idle_timeout: Duration,
    pub connections_per_address: usize,
    /// All header lines of a request together.
    pub header_bytes_max: usize,
    pub h2_streams_max: u32,
    pub threads: usize,
    /// Execution environments of all functions at one time.
    pub environments_max: usize,
    pub cpu: CpuShare,
    /// Of memory, for `/tmp` of all environments together; half of the machine's when not given.
    pub tmp_bytes_max: Option<u64>,
    /// The `[control]` table; without it there is no control plane.
    pub control: Option<ControlPlane>,
}

/// How AWS's APIs are served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ControlPlane {
    pub listen: SocketAddr,
    /// What the state is sealed with; one in `data_dir` is made and used when there is none.
    pub key_file: Option<PathBuf>,
    /// Before an asynchronous invocation that failed runs again: after the first and the second error.
    pub async_retry_waits: [Duration; 2],
    /// What the host names of function URLs end in: `<id>.lambda-url.us-east-1.` stands before it.
    pub function_url_domain: String,
    /// Of Python runtimes: those that the file states.
    pub interpreters: HashMap<Runtime, PathBuf>,
    /// Of function URLs, as they are shown.
    pub has_https: bool,
    /// Scheme, host and port of the URLs that records of asynchronous invocations may be sent to.
    pub url_destinations: Vec<String>,
    /// Where queues are; the edge has its own when this is not given.
    pub sqs: Option<Service>,
    /// Where topics are.
    pub sns: Option<Service>,
    /// Where packages may lie that are uploaded by naming them.
    pub s3: Option<Bucket>,
    /// What the origin access controls of CloudFront's API sign with; those that sign are refused when this
    /// is not given.
    pub origin_access: Option<OriginAccess>,
}

/// How requests to the origins of the control plane's distributions are signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OriginAccess {
    pub credentials: Source,
    /// Of origins whose domain names do not say theirs.
    pub region: String,
}

/// One bucket of Amazon S3, or of what stands for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bucket {
    pub service: Service,
    pub region: String,
    pub name: String,
}

/// One of AWS's services, or what stands for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// Scheme, host and port.
    pub endpoint: String,
    /// Of the key to sign with.
    pub credentials: Source,
}

/// A directory that keeps cached responses, those that memory has no room for among them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CacheDisk {
    /// Of one process alone; created when missing.
    pub directory: PathBuf,
    pub bytes: u64,
    /// A larger response is not stored at all.
    pub object_bytes_max: u64,
}
