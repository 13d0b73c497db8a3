//! Terraform and its AWS provider, where this machine has them: both are installed by
//! whoever wants them, the provider in one of the places for filesystem mirrors.

use std::path::{Path, PathBuf};

/// Writes a command line configuration into `directory` that takes providers from this
/// machine only; its path.
///
/// # Errors
/// What is not installed.
///
/// # Panics
/// When the directory is not writable.
pub fn command_line_config(directory: &Path) -> Result<PathBuf, String> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    if !std::env::split_paths(&path).any(|place| place.join("terraform").is_file()) {
        return Err("terraform is not installed".to_owned());
    }
    let provider = "registry.terraform.io/hashicorp/aws";
    let Some(mirror) = mirrors().into_iter().find(|mirror| mirror.join(provider).is_dir()) else {
        return Err(format!("no filesystem mirror has {provider}; $TF_PLUGIN_MIRROR names one"));
    };
    let text = format!("provider_installation {{\n  filesystem_mirror {{\n    path = {mirror:?}\n  }}\n}}\n");
    let file = directory.join("terraform.rc");
    std::fs::write(&file, text).expect("the directory is writable");
    Ok(file)
}

/// Where mirrors are: the one that a variable names, and Terraform's own places.
fn mirrors() -> Vec<PathBuf> {
    let named = std::env::var_os("TF_PLUGIN_MIRROR").map(PathBuf::from);
    let home = std::env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
    let below_home = [".terraform.d/plugins", ".local/share/terraform/plugins"].map(|place| home.join(place));
    let of_the_machine =
        ["/usr/local/share/terraform/plugins", "/usr/share/terraform/plugins", "/opt/tf-plugins"].map(PathBuf::from);
    named.into_iter().chain(below_home).chain(of_the_machine).collect()
}
