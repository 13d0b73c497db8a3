//! How the zygote of a runtime is started.

use crate::config::FunctionConfig;
use crate::zygote::ZygoteError;
use environment::{Language, Layer, Runtime};
use std::ffi::OsString;
use std::os::fd::RawFd;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The files that come with this program.
#[derive(Clone, Debug)]
pub struct Engines {
    /// The `selvedge-js` program.
    pub javascript: PathBuf,
    /// `libselvedge_python.so`, which makes an interpreter a zygote. Need not be there as long as no function
    /// is written in Python.
    pub python: PathBuf,
    /// The `selvedge-custom` program. Need not be there as long as no function is a custom runtime.
    pub custom: PathBuf,
}

/// What a zygote is started with. Functions with the same one share a zygote: those of JavaScript and custom
/// runtimes. An interpreter is started for each function in Python, because that is when it chooses the seed of
/// its `hash()`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Program {
    JavaScript { binary: PathBuf },
    Python { interpreter: PathBuf, library: PathBuf, function: String },
    Custom { binary: PathBuf },
}

impl Program {
    /// Of this function.
    pub(crate) fn of(config: &FunctionConfig, engines: &Engines) -> Program {
        Program::for_function(&config.name, (config.runtime, config.interpreter.as_deref()), engines)
    }

    /// The same, of one that need not be a function. Without an interpreter it is that of the runtime's name on the
    /// search path.
    pub(crate) fn for_function(
        name: &str,
        (runtime, interpreter): (Runtime, Option<&Path>),
        engines: &Engines,
    ) -> Program {
        match runtime.language() {
            Language::Python => {
                let interpreter = interpreter.unwrap_or(Path::new(runtime.id())).to_path_buf();
                Program::Python { interpreter, library: engines.python.clone(), function: name.to_owned() }
            }
            Language::Custom => Program::Custom { binary: engines.custom.clone() },
            Language::JavaScript => Program::JavaScript { binary: engines.javascript.clone() },
        }
    }

    /// What is named when it does not start.
    pub(crate) fn path(&self) -> &Path {
        match self {
            Program::JavaScript { binary } | Program::Custom { binary } => binary,
            Program::Python { interpreter, .. } => interpreter,
        }
    }

    /// Whether what an interpreter is made a zygote with is there: it would end without a word that helps.
    pub(crate) fn check(&self) -> Result<(), ZygoteError> {
        match self {
            Program::Python { library, .. } if !library.is_file() => {
                Err(ZygoteError::Library { library: library.clone() })
            }
            Program::Custom { binary } if !binary.is_file() => Err(ZygoteError::Custom { binary: binary.clone() }),
            _ => Ok(()),
        }
    }

    /// The layers without which its functions do not run, whatever the operator demands: programs would
    /// outlive their environment, or find the Runtime API of another.
    pub(crate) fn needs(&self) -> &[Layer] {
        match self {
            Program::JavaScript { .. } | Program::Python { .. } => &[],
            Program::Custom { .. } => {
                &[Layer::Namespaces, Layer::Files, Layer::Tmp, Layer::SystemCalls, Layer::Network]
            }
        }
    }

    /// The command that starts it, with its end of the control socket.
    pub(crate) fn command(&self, control: RawFd) -> Command {
        let mut command = Command::new(self.path());
        match self {
            Program::JavaScript { .. } | Program::Custom { .. } => {
                command.arg("zygote").arg("--control-fd").arg(control.to_string());
            }
            Program::Python { library, .. } => {
                let mut words: Vec<OsString> = PYTHON_OPTIONS.iter().map(OsString::from).collect();
                words.extend([library.into(), control.to_string().into()]);
                command.args(words);
            }
        }
        command
    }
}

/// No variables, no directory of the user's, no packages of the machine; then the module is loaded and run.
const PYTHON_OPTIONS: [&str; 6] = [
    "-I",
    "-S",
    "-X",
    "utf8",
    "-c",
    "import sys, importlib.machinery as machinery, importlib.util as util
loader = machinery.ExtensionFileLoader('selvedge_python', sys.argv[1])
module = util.module_from_spec(util.spec_from_loader('selvedge_python', loader))
sys.modules['selvedge_python'] = module
loader.exec_module(module)
module.run(int(sys.argv[2]))",
];
