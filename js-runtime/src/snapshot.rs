//! The start-up file: the heap with the built-ins evaluated, the sources of the
//! built-ins that are evaluated on first use, and a stamp of the build. Written
//! by `selvedge-js snapshot FILE`, read by every zygote.

use crate::engine::extensions::{Services, extensions};
use crate::engine::transpile::to_javascript;
use anyhow::{Context, bail};
use deno_core::snapshot::{CreateSnapshotOptions, create_snapshot};
use deno_core::{Extension, ExtensionFileSourceCode, v8};
use deno_node::ContextInitMode;
use std::collections::HashSet;
use std::path::Path;
use std::rc::Rc;

/// A loaded start-up file.
pub struct Snapshot {
    pub(crate) heap: &'static [u8],
    pub(crate) scripts: &'static [(&'static str, &'static str)],
    pub(crate) modules: &'static [(&'static str, &'static str)],
}

/// Specifier and JavaScript of the built-ins evaluated on first use, sorted by
/// specifier (the engine looks them up by binary search).
#[derive(Default, serde::Serialize, serde::Deserialize)]
struct LazySources {
    scripts: Vec<(String, String)>,
    modules: Vec<(String, String)>,
}

/// Writes the start-up file to `path`.
///
/// # Errors
/// The built-ins cannot be evaluated, or the file cannot be written.
pub fn write(path: &Path) -> anyhow::Result<()> {
    crate::engine::set_flags();
    let extensions = extensions(Services::default());
    let lazy = lazy_files(&extensions);
    let snapshot = create_snapshot(
        CreateSnapshotOptions {
            cargo_manifest_dir: env!("CARGO_MANIFEST_DIR"),
            startup_snapshot: None,
            extensions,
            extension_transpiler: Some(Rc::new(to_javascript)),
            with_runtime_cb: Some(Box::new(|runtime| {
                v8::scope!(scope, runtime.v8_isolate());
                let template = deno_node::init_global_template(scope, ContextInitMode::ForSnapshot);
                let mode = ContextInitMode::ForSnapshot;
                let context = deno_node::create_v8_context(scope, template, mode, std::ptr::null_mut());
                assert_eq!(scope.add_context(context), deno_node::VM_CONTEXT_INDEX, "the place of node:vm's context");
            })),
            skip_op_registration: false,
        },
        None,
    )
    .map_err(|error| anyhow::anyhow!("evaluating the built-ins: {error}"))?;
    let consumed: HashSet<String> = snapshot.consumed_lazy_specifiers.into_iter().collect();
    let sources = lazy_sources(lazy, &consumed)?;
    let bytes = encode(&snapshot.output, &sources)?;
    std::fs::write(path, bytes).with_context(|| format!("{}: writing the start-up file", path.display()))
}

/// Loads the start-up file at `path` for the life of the process.
///
/// # Errors
/// The file cannot be read or was written by another build.
pub fn load(path: &Path) -> anyhow::Result<&'static Snapshot> {
    let bytes = std::fs::read(path).with_context(|| format!("{}: reading the start-up file", path.display()))?;
    decode(&bytes).with_context(|| path.display().to_string())
}

struct LazyFile {
    is_module: bool,
    specifier: String,
    path: String,
}

fn lazy_files(extensions: &[Extension]) -> Vec<LazyFile> {
    let mut files = Vec::new();
    for extension in extensions {
        for (is_module, list) in [(false, &extension.lazy_loaded_js_files), (true, &extension.lazy_loaded_esm_files)] {
            for file in list.iter() {
                if let ExtensionFileSourceCode::LoadedFromFsDuringSnapshot(path) = &file.code {
                    files.push(LazyFile { is_module, specifier: file.specifier.to_string(), path: path.to_string() });
                }
            }
        }
    }
    files
}

fn lazy_sources(files: Vec<LazyFile>, consumed: &HashSet<String>) -> anyhow::Result<LazySources> {
    let mut sources = LazySources::default();
    for file in files.into_iter().filter(|file| !consumed.contains(&file.specifier)) {
        let text = std::fs::read_to_string(&file.path).with_context(|| file.path.clone())?;
        let (code, _) = to_javascript(file.specifier.clone().into(), text.into())
            .map_err(|error| anyhow::anyhow!("{}: {error}", file.specifier))?;
        let list = if file.is_module { &mut sources.modules } else { &mut sources.scripts };
        list.push((file.specifier, code.as_str().to_string()));
    }
    sources.scripts.sort();
    sources.modules.sort();
    Ok(sources)
}

fn encode(heap: &[u8], sources: &LazySources) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(heap.len() + 8 * 1024 * 1024);
    for part in [stamp().as_bytes(), heap, &serde_json::to_vec(sources)?] {
        bytes.extend_from_slice(&(part.len() as u64).to_le_bytes());
        bytes.extend_from_slice(part);
    }
    Ok(bytes)
}

fn decode(mut bytes: &[u8]) -> anyhow::Result<&'static Snapshot> {
    let stamp_read = next_part(&mut bytes)?;
    if stamp_read != stamp().as_bytes() {
        bail!(
            "the start-up file was written by build `{}`, this is build `{}`: write it again with `selvedge-js snapshot`",
            String::from_utf8_lossy(stamp_read),
            stamp()
        );
    }
    let heap: &'static [u8] = Box::leak(Box::from(next_part(&mut bytes)?));
    let sources: LazySources = serde_json::from_slice(next_part(&mut bytes)?)?;
    let (scripts, modules) = (leak(sources.scripts), leak(sources.modules));
    Ok(Box::leak(Box::new(Snapshot { heap, scripts, modules })))
}

fn next_part<'a>(bytes: &mut &'a [u8]) -> anyhow::Result<&'a [u8]> {
    let (length, rest) = bytes.split_first_chunk::<8>().context("the start-up file ends early")?;
    let length = usize::try_from(u64::from_le_bytes(*length))?;
    let (part, rest) = rest.split_at_checked(length).context("the start-up file ends early")?;
    *bytes = rest;
    Ok(part)
}

fn leak(sources: Vec<(String, String)>) -> &'static [(&'static str, &'static str)] {
    let leaked: Vec<(&'static str, &'static str)> =
        sources.into_iter().map(|(specifier, code)| (&*specifier.leak(), &*code.leak())).collect();
    leaked.leak()
}

fn stamp() -> String {
    format!("selvedge-js {} v8 {}", env!("CARGO_PKG_VERSION"), v8::VERSION_STRING)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_another_build_is_refused() {
        let mut bytes = 5u64.to_le_bytes().to_vec();
        bytes.extend_from_slice(b"other");
        let error = decode(&bytes).map(|_| ()).unwrap_err().to_string();
        assert!(error.contains("was written by build `other`"), "{error}");
    }

    #[test]
    fn a_short_file_is_refused() {
        assert!(decode(b"abc").is_err());
        assert!(decode(&100u64.to_le_bytes()).is_err());
    }

    #[test]
    fn what_is_encoded_is_decoded() {
        let sources = LazySources { scripts: vec![("a".into(), "b".into())], modules: vec![("c".into(), "d".into())] };
        let snapshot = decode(&encode(b"heap", &sources).unwrap()).unwrap();
        assert_eq!(snapshot.heap, b"heap");
        assert_eq!(snapshot.scripts, [("a", "b")]);
        assert_eq!(snapshot.modules, [("c", "d")]);
    }
}
