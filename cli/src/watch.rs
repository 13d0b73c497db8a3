//! Which files a running edge depends on, and word of their changes. What to do
//! about a change is `reload`'s.

use deployment::Deployment;
use functions::PackageSource;
use notify::event::{AccessKind, AccessMode, ModifyKind};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::mpsc;

/// Tells a channel when the configuration file, a function's code or the credentials of an origin change.
pub(crate) struct Watch {
    watcher: RecommendedWatcher,
    /// What a change must lie in to count.
    relevant: Arc<Mutex<Vec<PathBuf>>>,
    watched: Vec<PathBuf>,
}

impl Watch {
    /// Changes are sent to `changes`; a full channel is word enough.
    pub(crate) fn start(changes: mpsc::Sender<()>, heed: Heed) -> notify::Result<Watch> {
        let relevant: Arc<Mutex<Vec<PathBuf>>> = Arc::default();
        let seen = Arc::clone(&relevant);
        let watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            let counts = match event {
                Ok(event) => {
                    heed.counts(&event) && is_relevant(&event, &seen.lock().unwrap_or_else(PoisonError::into_inner))
                }
                Err(error) => {
                    tracing::warn!(%error, "a watched file may have changed unseen; SIGHUP reads all again");
                    false
                }
            };
            if counts {
                // Full: the word is out already.
                let _ = changes.try_send(());
            }
        })?;
        Ok(Watch { watcher, relevant, watched: Vec::new() })
    }

    /// Watches this configuration file, the code of these functions and the credentials
    /// of these origins from now on, and nothing else. Called again after every reload, because a
    /// directory that was replaced is another one.
    pub(crate) fn follow(&mut self, file: &Path, deployment: &Deployment) {
        let functions = deployment.functions.values();
        let sources: Vec<&PackageSource> =
            functions.flat_map(|function| std::iter::once(&function.package).chain(&function.layers)).collect();
        let mut relevant: Vec<PathBuf> = sources.iter().map(|source| source.path().to_path_buf()).collect();
        let stores = deployment.key_value_stores.values().map(|store| store.source.as_path());
        let mut files: Vec<&Path> = credentials(deployment).chain(stores).collect();
        files.push(file);
        relevant.extend(files.iter().map(|file| file.to_path_buf()));
        let places = places(&files, &sources);
        for path in self.watched.drain(..).filter(|path| !places.contains_key(path)) {
            // Gone with what it watched.
            let _ = self.watcher.unwatch(&path);
        }
        // What is watched already is not let go of meanwhile: a change would go unheard.
        for (path, mode) in places {
            match self.watcher.watch(&path, mode) {
                Ok(()) => self.watched.push(path),
                Err(error) => tracing::warn!(path = %path.display(), %error, "cannot watch; use SIGHUP after changes"),
            }
        }
        *self.relevant.lock().unwrap_or_else(PoisonError::into_inner) = relevant;
    }
}

/// Directories of code with all below them, and the parents of everything, where
/// a replaced file or directory shows.
fn places(files: &[&Path], sources: &[&PackageSource]) -> BTreeMap<PathBuf, RecursiveMode> {
    let mut places = BTreeMap::new();
    let parents = sources.iter().map(|source| source.path()).chain(files.iter().copied()).filter_map(Path::parent);
    for parent in parents {
        places.insert(parent.to_path_buf(), RecursiveMode::NonRecursive);
    }
    for source in sources {
        if let PackageSource::Directory(directory) = source {
            places.insert(directory.clone(), RecursiveMode::Recursive);
        }
    }
    places
}

/// The files that the credentials of origins were read from.
fn credentials(deployment: &Deployment) -> impl Iterator<Item = &Path> {
    let origins = deployment.distributions.iter().flat_map(|distribution| distribution.origins.values());
    origins.filter_map(|origin| origin.access_control.as_ref()?.credentials_file())
}

fn is_relevant(event: &Event, relevant: &[PathBuf]) -> bool {
    event.paths.iter().any(|path| relevant.iter().any(|place| path.starts_with(place)))
}

/// Which events are changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Heed {
    /// Everything but reading.
    Changes,
    /// That a file is whole: it was closed after it was written, or took the place of another one. What
    /// editors keep beside a file does not count.
    Saves,
}

impl Heed {
    fn counts(self, event: &Event) -> bool {
        if self == Heed::Changes {
            return !event.kind.is_access();
        }
        let kind = match event.kind {
            EventKind::Access(AccessKind::Close(AccessMode::Write)) => true,
            // A new file is written and closed next; a link is whole.
            EventKind::Create(_) => event.paths.iter().any(|path| is_whole(path)),
            EventKind::Modify(ModifyKind::Data(_)) | EventKind::Access(_) => false,
            EventKind::Modify(_) | EventKind::Remove(_) | EventKind::Any | EventKind::Other => true,
        };
        kind && event.paths.iter().any(|path| !is_beside(path))
    }
}

fn is_whole(path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    path.symlink_metadata().is_ok_and(|metadata| !metadata.is_file() || metadata.nlink() > 1)
}

/// Of an editor: a swap file, a backup, or vim's attempt whether it may write; or git's own.
fn is_beside(path: &Path) -> bool {
    if path.components().any(|part| part.as_os_str() == ".git") {
        return true;
    }
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    name.ends_with('~') || name == "4913" || (name.starts_with('.') && SWAPS.iter().any(|end| name.ends_with(end)))
}

const SWAPS: [&str; 4] = [".swp", ".swx", ".swo", ".tmp"];

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::time::Duration;
    use tempfile::TempDir;

    async fn hears(changes: &mut mpsc::Receiver<()>) -> bool {
        tokio::time::timeout(Duration::from_secs(5), changes.recv()).await.is_ok()
    }

    /// A configuration with one function, which is followed: its directory, its file, and what it says.
    fn followed(heed: Heed) -> (TempDir, PathBuf, Deployment, Watch, mpsc::Receiver<()>) {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().canonicalize().unwrap();
        fs::create_dir(dir.join("code")).unwrap();
        fs::write(dir.join("code/index.mjs"), "export const handler = 1;").unwrap();
        let file = dir.join("selvedge.toml");
        fs::write(&file, "[functions.f]\ncode = 'code'\n").unwrap();
        let deployment = deployment::load(&file).unwrap().deployment;
        let (sender, changes) = mpsc::channel(1);
        let mut watch = Watch::start(sender, heed).unwrap();
        watch.follow(&file, &deployment);
        (root, dir, deployment, watch, changes)
    }

    #[tokio::test]
    async fn changes_of_code_and_file_are_heard_and_others_are_not() {
        let (_root, dir, _deployment, _watch, mut changes) = followed(Heed::Changes);
        let file = dir.join("selvedge.toml");

        fs::write(dir.join("other.txt"), "x").unwrap();
        fs::read(dir.join("code/index.mjs")).unwrap();
        assert!(tokio::time::timeout(Duration::from_millis(200), changes.recv()).await.is_err());

        fs::write(dir.join("code/index.mjs"), "export const handler = 2;").unwrap();
        assert!(hears(&mut changes).await);

        // An editor replaces the file by another one.
        while tokio::time::timeout(Duration::from_millis(200), changes.recv()).await.is_ok() {}
        fs::write(dir.join("new"), "").unwrap();
        fs::rename(dir.join("new"), &file).unwrap();
        assert!(hears(&mut changes).await);
    }

    #[tokio::test]
    async fn a_save_is_a_file_that_is_whole() {
        let (_root, dir, _deployment, _watch, mut changes) = followed(Heed::Saves);

        let mut open = fs::File::create(dir.join("code/index.mjs")).unwrap();
        std::io::Write::write_all(&mut open, b"export const").unwrap();
        fs::write(dir.join("code/.index.mjs.swp"), "x").unwrap();
        fs::write(dir.join("code/index.mjs~"), "x").unwrap();
        assert!(tokio::time::timeout(Duration::from_millis(200), changes.recv()).await.is_err());
        drop(open);
        assert!(hears(&mut changes).await);

        while tokio::time::timeout(Duration::from_millis(200), changes.recv()).await.is_ok() {}
        fs::write(dir.join("code/.new.tmp"), "export const handler = 2;").unwrap();
        assert!(tokio::time::timeout(Duration::from_millis(200), changes.recv()).await.is_err());
        fs::rename(dir.join("code/.new.tmp"), dir.join("code/index.mjs")).unwrap();
        assert!(hears(&mut changes).await);
    }

    #[tokio::test]
    async fn nothing_goes_unheard_while_it_follows_again() {
        let (_root, dir, deployment, mut watch, mut changes) = followed(Heed::Saves);
        let file = dir.join("selvedge.toml");
        let saved = dir.join("code/index.mjs");
        for nth in 0..50 {
            let (saved, text) = (saved.clone(), format!("export const handler = {nth};"));
            let save = std::thread::spawn(move || fs::write(saved, text).unwrap());
            watch.follow(&file, &deployment);
            save.join().unwrap();
            assert!(hears(&mut changes).await, "save {nth}");
        }
        // A directory that takes the place of another one is followed from then on.
        fs::rename(dir.join("code"), dir.join("old")).unwrap();
        fs::create_dir(dir.join("code")).unwrap();
        while tokio::time::timeout(Duration::from_millis(200), changes.recv()).await.is_ok() {}
        watch.follow(&file, &deployment);
        fs::write(&saved, "export const handler = 'new';").unwrap();
        assert!(hears(&mut changes).await);
    }
}
