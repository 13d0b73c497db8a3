//! A function on disk and the engine that runs it.
#![allow(unreachable_pub, dead_code)]

use environment::limits::RESULT_BYTES_MAX;
use environment::{ErrorPayload, Manifest, Runtime};
use js_runtime::engine::{Ending, Engine, LogSink};
use js_runtime::snapshot::{self, Snapshot};
use std::cell::RefCell;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::{SystemTime, UNIX_EPOCH};
use uuid::Uuid;

pub const REQUEST_ID: &str = "00000000-0000-4000-8000-000000000007";

/// One engine with one function loaded.
pub struct Play {
    pub engine: Engine,
    pub unshared: Option<String>,
    pub tmp: tempfile::TempDir,
    _code: tempfile::TempDir,
    lines: Rc<RefCell<Vec<String>>>,
    notes: Rc<RefCell<Vec<String>>>,
}

impl Play {
    pub fn new(runtime: Runtime, code: &str) -> Play {
        Play::with_file(runtime, "index.js", code)
    }

    pub fn with_file(runtime: Runtime, file: &str, code: &str) -> Play {
        Play::try_new(runtime, "index.handler", file, code).unwrap()
    }

    pub fn try_new(runtime: Runtime, handler: &str, file: &str, code: &str) -> Result<Play, ErrorPayload> {
        Play::load(runtime, handler, &[(file, code)])
    }

    pub fn with_files(runtime: Runtime, files: &[(&str, &str)]) -> Play {
        Play::load(runtime, "index.handler", files).unwrap()
    }

    pub fn try_with_files(runtime: Runtime, files: &[(&str, &str)]) -> Result<Play, ErrorPayload> {
        Play::load(runtime, "index.handler", files)
    }

    fn load(runtime: Runtime, handler: &str, files: &[(&str, &str)]) -> Result<Play, ErrorPayload> {
        let directory = tempfile::tempdir().unwrap();
        for (file, code) in files {
            let path = directory.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, code).unwrap();
        }
        let tmp = tempfile::tempdir().unwrap();
        let lines = Rc::new(RefCell::new(Vec::new()));
        let kept = lines.clone();
        let log: LogSink = Rc::new(move |line| kept.borrow_mut().push(String::from_utf8_lossy(line).into_owned()));
        let mut engine = Engine::new(start_up_file(), log).unwrap();
        let notes = Rc::new(RefCell::new(Vec::new()));
        let noted = notes.clone();
        engine.set_stop_sink(Rc::new(move |text| noted.borrow_mut().push(String::from_utf8_lossy(text).into_owned())));
        let manifest = Manifest {
            function_name: "f".into(),
            version: "1".into(),
            invoked_function_arn: "arn:aws:lambda:us-east-1:000000000000:function:f:1".into(),
            runtime,
            handler: handler.into(),
            code_dir: directory.path().canonicalize().unwrap(),
            layers_dir: None,
            key_value_stores: Vec::new(),
            tmp_root: tmp.path().into(),
            variables: [("GREETING".to_string(), "hi".to_string())].into(),
            memory_mb: 128,
            timeout_ms: 3000,
            initialization: environment::Initialization::OnDemand,
            inspected: None,
            tmp_mb: 512,
            log_group_name: "/aws/lambda/f".into(),
            log_stream_name: "stream".into(),
            log_bytes_max: 1 << 20,
            result_bytes_max: RESULT_BYTES_MAX,
        };
        let loaded = engine.load(&manifest)?;
        engine.resume(tmp.path())?;
        Ok(Play { engine, unshared: loaded.unshared, tmp, _code: directory, lines, notes })
    }

    pub fn invoke(&mut self, event: &str) -> Ending {
        self.invoke_for(event, 10_000)
    }

    pub fn invoke_for(&mut self, event: &str, timeout_ms: u64) -> Ending {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let deadline = u64::try_from(now.as_millis()).unwrap() + timeout_ms;
        self.engine.invoke(Uuid::parse_str(REQUEST_ID).unwrap(), deadline, event.as_bytes())
    }

    /// Where the handler was when it was stopped; said once.
    pub fn note(&self) -> String {
        let notes = self.notes.borrow();
        assert!(notes.len() <= 1, "{notes:?}");
        notes.first().cloned().unwrap_or_default()
    }

    pub fn log(&self) -> Vec<String> {
        self.lines.borrow().clone()
    }
}

pub fn result(text: &str) -> Ending {
    Ending::Result(bytes::Bytes::copy_from_slice(text.as_bytes()))
}

pub fn error(ending: Ending) -> (String, String) {
    match ending {
        Ending::Error(payload) => (payload.error_type, payload.error_message),
        other => panic!("not an error: {other:?}"),
    }
}

/// The start-up file, written by the binary once per change of it or of the JavaScript and loaded once per process.
fn start_up_file() -> &'static Snapshot {
    snapshot::load(&written()).unwrap()
}

fn written() -> PathBuf {
    let binary = PathBuf::from(env!("CARGO_BIN_EXE_selvedge-js"));
    let sources = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/js")).unwrap();
    let files = sources.map(|entry| entry.unwrap().path()).chain([binary.clone()]);
    let newest = files.map(|file| std::fs::metadata(file).unwrap().modified().unwrap()).max().unwrap();
    let stamp = newest.duration_since(UNIX_EPOCH).unwrap().as_nanos();
    let file = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("start-up-{stamp}"));
    if !file.exists() {
        let partial = file.with_extension(format!("{}", std::process::id()));
        let made = std::process::Command::new(&binary).arg("snapshot").arg(&partial).status().unwrap();
        assert!(made.success(), "writing the start-up file: {made}");
        std::fs::rename(&partial, &file).unwrap();
    }
    file
}
