//! `selvedge init`: a project that works as it is written.

use crate::args::InitArgs;
use crate::exit::Exit;
use anyhow::{Context, ensure};
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

const STARTER: [(&str, &str); 5] = [
    ("selvedge.toml", include_str!("../starter/selvedge.toml")),
    ("site/index.html", include_str!("../starter/site/index.html")),
    ("site/404.html", include_str!("../starter/site/404.html")),
    ("functions/hello/index.mjs", include_str!("../starter/functions/hello/index.mjs")),
    ("functions/hello/event.json", include_str!("../starter/functions/hello/event.json")),
];

pub(crate) fn init(args: &InitArgs) -> anyhow::Result<Exit> {
    write_starter(&args.dir)?;
    let dir = args.dir.display();
    println!("{dir} is ready. Next:");
    println!("  cd {dir}");
    println!("  selvedge dev");
    println!("  curl -i http://127.0.0.1:8080/");
    println!("  selvedge invoke hello --event functions/hello/event.json");
    Ok(Exit::Done)
}

fn write_starter(dir: &Path) -> anyhow::Result<()> {
    match fs::read_dir(dir) {
        Ok(mut entries) => ensure!(entries.next().is_none(), "{} is not empty", dir.display()),
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", dir.display())),
    }
    for (name, content) in STARTER {
        let path = dir.join(name);
        let parent = path.parent().expect("every file of the starter is below the directory");
        fs::create_dir_all(parent)
            .and_then(|()| fs::write(&path, content))
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_starter_has_no_problems() {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("new/project");
        write_starter(&dir).unwrap();
        let config = deployment::load(&dir.join("selvedge.toml")).unwrap();
        let site = config.deployment.distribution("localhost").unwrap();
        assert_eq!(site.behavior("/").hooks.viewer_response.as_ref().unwrap().function, "hello");
    }

    #[test]
    fn a_directory_with_content_is_left_alone() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("mine.txt"), "mine").unwrap();
        let error = write_starter(root.path()).unwrap_err().to_string();
        assert!(error.contains("is not empty"), "{error}");
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 1);
    }
}
