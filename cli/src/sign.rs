//! `selvedge sign`: a package with a signature at its end, which needs no edge.

use crate::args::SignArgs;
use crate::exit::Exit;
use anyhow::{Context, anyhow};
use control::Signer;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::Duration;

pub(crate) fn sign(args: &SignArgs) -> anyhow::Result<Exit> {
    if args.make_key && !args.key.exists() {
        make_key(&args.key)?;
    }
    let pem = std::fs::read(&args.key).with_context(|| format!("cannot read the key {}", args.key.display()))?;
    let signer = Signer::new(&pem, &args.profile).with_context(|| args.key.display().to_string())?;
    let Some(code) = &args.code else {
        println!("{}", signer.publisher());
        return Ok(Exit::Done);
    };
    let archive = control::archive(code).map_err(|error| anyhow!("{error}"))?;
    let lifetime = args.days.map(|days| Duration::from_secs(u64::from(days) * 24 * 3600));
    let signed = signer.sign(&archive, lifetime).with_context(|| code.display().to_string())?;
    let out = args.out.clone().unwrap_or_else(|| code.with_extension("signed.zip"));
    std::fs::write(&out, signed).with_context(|| format!("cannot write {}", out.display()))?;
    println!("{} is signed by {}", out.display(), signer.publisher());
    Ok(Exit::Done)
}

/// For this user alone.
fn make_key(path: &Path) -> anyhow::Result<()> {
    let pem = Signer::new_key()?;
    let failed = || format!("cannot write the key {}", path.display());
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).with_context(failed)?;
    file.write_all(pem.as_bytes()).with_context(failed)
}
