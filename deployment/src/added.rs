//! What the control plane adds to a configuration file: functions and distributions in the
//! same language, so that one set of checks makes one deployment of both. Distributions
//! are named by their ids, functions by `name:version`.

use crate::check;
use crate::problem::Problems;
use environment::Runtime;
use functions::{FunctionConfig, Known};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::Arc;

/// A second document, and the names that it takes.
#[derive(Clone, Debug, Default)]
pub struct Added {
    /// `[functions."name:version"]` and `[distributions.ID]` tables and key groups, nothing else.
    pub text: String,
    /// What paths in the text are relative to.
    pub directory: PathBuf,
    /// Every function that there is, also those that no distribution uses. The file
    /// cannot have functions with these names.
    pub functions: BTreeSet<String>,
    /// Those of the file, for [`check_functions`].
    pub interpreters: HashMap<Runtime, PathBuf>,
    /// Of packages that were checked before; the control plane leaves it to whoever has functions.
    pub known: Arc<Known>,
}

/// The functions of `added`, by `name:version`, checked as the configuration file's are.
///
/// # Errors
/// Every problem found.
pub fn check_functions(added: &Added) -> Result<BTreeMap<String, FunctionConfig>, Problems> {
    check::functions(added)
}

/// What problems of it are said to be in.
pub(crate) const PLACE: &str = "control plane";
