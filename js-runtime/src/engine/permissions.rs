//! What a function may touch: its own code (read), its temporary directory
//! (read and write), the network except listening. The process's sandbox holds
//! the same line outside; here a refusal is a JavaScript error.

use deno_permissions::{Permissions, PermissionsContainer, PermissionsOptions, RuntimePermissionDescriptorParser};
use std::path::Path;
use std::sync::Arc;
use sys_traits::impls::RealSys;

/// Nothing at all: an engine without a function.
pub(crate) fn none() -> PermissionsContainer {
    let parser = Arc::new(RuntimePermissionDescriptorParser::new(RealSys));
    PermissionsContainer::new(parser, Permissions::none_without_prompt())
}

/// What the function in `code_dir` and the layers may touch, with `tmp` as its temporary directory.
pub(crate) fn of_function(code_dir: &Path, layers_dir: Option<&Path>, tmp: &Path) -> PermissionsContainer {
    let parser = Arc::new(RuntimePermissionDescriptorParser::new(RealSys));
    let text = |path: &Path| path.to_string_lossy().into_owned();
    let options = PermissionsOptions {
        allow_read: Some([code_dir, tmp].into_iter().chain(layers_dir).map(text).collect()),
        allow_write: Some(vec![text(tmp)]),
        allow_net: Some(Vec::new()),
        allow_sys: Some(Vec::new()),
        prompt: false,
        ..Default::default()
    };
    match Permissions::from_options(&*parser, &options) {
        Ok(permissions) => PermissionsContainer::new(parser, permissions),
        Err(_) => none(),
    }
}
