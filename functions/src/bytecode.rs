//! Bytecode of a Python package, made once for each interpreter when a function
//! is prepared: by a process in the function's own sandbox, which sends it here
//! as data. It is kept beside the modules, as the interpreter looks for it.

use crate::network::{Caller, NetworkGuard};
use crate::package::is_bytecode_name;
use crate::watch::{Memory, over_memory};
use crate::zygote::Running;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::BytesMut;
use environment::limits::PACKAGE_BYTES_MAX;
use environment::manifest::COMPILES;
use environment::{ControlRequest, Frame, FrameDecoder, Manifest};
use serde::Deserialize;
use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use uuid::Uuid;

/// Why a package has no bytecode: its modules are then compiled whenever they are loaded.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CompileError {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("no process can be made: {0}")]
    Fork(String),
    #[error("the process ended, or broke the protocol")]
    Lost,
    #[error("it sent what is no bytecode of the package: {0}")]
    Answer(String),
    #[error("it used more than {memory_mb} MB, the function's memory")]
    Memory { memory_mb: u32 },
    #[error("it took longer than {} s", .0.as_secs_f64())]
    Time(Duration),
}

/// What it is made with.
pub(crate) struct Compiler<'a> {
    pub(crate) zygote: &'a Running,
    pub(crate) id: u64,
    pub(crate) network: &'a NetworkGuard,
    pub(crate) caller: Caller,
    pub(crate) time_max: Duration,
}

#[derive(Deserialize)]
struct Piece {
    files: Vec<(String, String)>,
    next: Option<String>,
}

impl Compiler<'_> {
    /// Compiles the package of `manifest`, unless that was done with this interpreter before.
    pub(crate) async fn compile(self, manifest: &Manifest) -> Result<(), CompileError> {
        let done = manifest.code_dir.join(CACHE).join(format!("compiled.{}", self.zygote.engine.replace(' ', "-")));
        if done.exists() {
            return Ok(());
        }
        let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
        ours.set_nonblocking(true)?;
        let stream = UnixStream::from_std(ours)?;
        let compiles = Manifest { handler: COMPILES.to_owned(), variables: Default::default(), ..manifest.clone() };
        let request = ControlRequest::Environment { id: self.id, manifest: Some(compiles) };
        let forked = self.zygote.parent.fork(self.id, &request, theirs.as_fd()).await;
        let mut child = forked.map_err(|error| CompileError::Fork(error.to_string()))?;
        drop(theirs);
        if let Some(listener) = child.listener.take() {
            self.network.expect(listener, self.caller);
        }
        let over = over_memory(Memory::of(&child, self.zygote.anonymous_bytes), manifest.memory_mb);
        tokio::select! {
            pieces = tokio::time::timeout(self.time_max, take_pieces(stream, (&manifest.code_dir, self.time_max))) => {
                pieces.unwrap_or(Err(CompileError::Time(self.time_max)))?;
            }
            () = over => return Err(CompileError::Memory { memory_mb: manifest.memory_mb }),
        }
        fs::create_dir_all(manifest.code_dir.join(CACHE))?;
        Ok(fs::write(done, "")?)
    }
}

async fn take_pieces(mut stream: UnixStream, (code_dir, time_max): (&Path, Duration)) -> Result<(), CompileError> {
    let mut decoder = FrameDecoder::default();
    let mut after = None;
    let mut bytes = 0;
    loop {
        let event = serde_json::json!({ "after": after }).to_string();
        let deadline = SystemTime::now() + time_max;
        let deadline = deadline.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
        let deadline_unix_ms = u64::try_from(deadline).unwrap_or(u64::MAX);
        let mut out = BytesMut::new();
        let invoke = Frame::Invoke { id: Uuid::new_v4(), deadline_unix_ms, event: event.into() };
        invoke.encode(&mut out).map_err(|error| CompileError::Answer(error.to_string()))?;
        stream.write_all(&out).await?;
        let piece = next_piece(&mut stream, &mut decoder).await?;
        for (name, text) in piece.files {
            let code = STANDARD.decode(text).map_err(|error| CompileError::Answer(error.to_string()))?;
            bytes += code.len() as u64;
            if !is_bytecode_name(&name) || bytes > PACKAGE_BYTES_MAX {
                return Err(CompileError::Answer(name));
            }
            keep(&code_dir.join(name), &code)?;
        }
        if piece.next.is_none() {
            return Ok(());
        }
        after = piece.next;
    }
}

async fn next_piece(stream: &mut UnixStream, decoder: &mut FrameDecoder) -> Result<Piece, CompileError> {
    loop {
        match decoder.next_frame() {
            Ok(Some(Frame::Result(result))) => {
                return serde_json::from_slice(&result).map_err(|error| CompileError::Answer(error.to_string()));
            }
            Ok(Some(Frame::Ready { .. } | Frame::Log(_))) => {}
            Ok(Some(_)) | Err(_) => return Err(CompileError::Lost),
            Ok(None) => {
                decoder.buffer().reserve(READ_BYTES);
                if stream.read_buf(decoder.buffer()).await? == 0 {
                    return Err(CompileError::Lost);
                }
            }
        }
    }
}

/// Whole or not at all: another process may load it meanwhile. What the package brings itself stays.
fn keep(path: &Path, code: &[u8]) -> io::Result<()> {
    let Some(directory) = path.parent().filter(|_| !path.exists()) else { return Ok(()) };
    fs::create_dir_all(directory)?;
    let mut file = tempfile::NamedTempFile::new_in(directory)?;
    io::Write::write_all(&mut file, code)?;
    use std::os::unix::fs::PermissionsExt;
    file.as_file().set_permissions(fs::Permissions::from_mode(0o644))?;
    file.persist(path).map(drop).map_err(io::Error::from)
}

const CACHE: &str = "__pycache__";
const READ_BYTES: usize = 256 * 1024;

/// Of one package, unless somebody says otherwise.
pub(crate) const COMPILE_MAX: Duration = Duration::from_secs(60);
