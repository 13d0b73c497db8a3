//! Where modules come from: the function's own directory and its
//! `node_modules`, for `import` and for `require`, CommonJS or ES module.

use super::source_maps;
use super::sources::Sources;
use super::typescript::TypeScript;
use super::typescript::names::{is_relative, is_typescript, meant};
use deno_core::url::Url;
use deno_core::{
    FastString, ModuleLoadOptions, ModuleLoadReferrer, ModuleLoadResponse, ModuleLoader, ModuleSource,
    ModuleSourceCode, ModuleSpecifier, ModuleType, ResolutionKind,
};
use deno_error::JsErrorBox;
use deno_permissions::{OpenAccessKind, PermissionsContainer};
use environment::Manifest;
use environment::manifest::LAYERS_DIR;
use node_resolver::cache::{NodeResolutionSys, NodeResolutionThreadLocalCache};
use node_resolver::errors::{PackageFolderResolveError, PackageJsonLoadError, PackageNotFoundError};
use node_resolver::{
    DenoIsBuiltInNodeModuleChecker, InNpmPackageChecker, NodeResolutionKind, NodeResolver, NodeResolverOptions,
    NpmPackageFolderResolver, PackageJsonResolver, PackageJsonThreadLocalCache, ResolutionMode, UrlOrPathRef,
};
use std::borrow::Cow;
use std::cell::RefCell;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::{Arc, OnceLock};

/// The system the resolvers read.
pub(crate) type Sys = sys_traits::impls::RealSys;
type Resolver = NodeResolver<InNodeModules, DenoIsBuiltInNodeModuleChecker, FunctionPackages, Sys>;
type PackageJson = PackageJsonResolver<Sys>;

/// A package is what lies below a `node_modules` directory.
#[derive(Clone, Debug)]
pub(crate) struct InNodeModules;

impl InNpmPackageChecker for InNodeModules {
    fn in_npm_package(&self, specifier: &Url) -> bool {
        specifier.path().contains("/node_modules/")
    }
}

/// Finds a package in the `node_modules` directories above its user, then in those of layers.
#[derive(Clone, Debug)]
pub(crate) struct FunctionPackages {
    layers: Layers,
}

/// The `node_modules` directories of layers, in order: known when a function is loaded.
pub(crate) type Layers = Arc<OnceLock<Vec<PathBuf>>>;

/// Where Lambda looks for them (AWS: "Layer paths for each Lambda runtime").
pub(crate) fn of_layers(manifest: &Manifest) -> Vec<PathBuf> {
    if manifest.layers_dir.is_none() {
        return Vec::new();
    }
    let version = manifest.runtime.id().trim_start_matches("nodejs").trim_end_matches(".x");
    let nodejs = Path::new(LAYERS_DIR).join("nodejs");
    vec![nodejs.join(format!("node{version}/node_modules")), nodejs.join("node_modules")]
}

impl NpmPackageFolderResolver for FunctionPackages {
    fn resolve_package_folder_from_package(
        &self,
        name: &str,
        referrer: &UrlOrPathRef,
    ) -> Result<PathBuf, PackageFolderResolveError> {
        let found = referrer.path().ok().and_then(|file| {
            file.ancestors()
                .skip(1)
                .filter(|dir| !dir.ends_with("node_modules"))
                .map(|dir| dir.join("node_modules"))
                .chain(self.layers.get().into_iter().flatten().cloned())
                .map(|dir| dir.join(name))
                .find(|package| package.is_dir())
        });
        found.ok_or_else(|| {
            PackageNotFoundError { package_name: name.to_string(), referrer: referrer.display(), referrer_extra: None }
                .into()
        })
    }

    fn resolve_types_package_folder(
        &self,
        _: &str,
        _: Option<&deno_semver::Version>,
        _: Option<&UrlOrPathRef>,
    ) -> Option<PathBuf> {
        None
    }
}

/// What the loaders may read: known when a function is loaded.
pub(crate) struct Access {
    pub(crate) permissions: PermissionsContainer,
    pub(crate) code_dir: PathBuf,
    pub(crate) layers: Layers,
    /// Where debuggers may attach.
    pub(crate) sources: Option<Sources>,
}

impl Access {
    /// The text of a file as V8 gets it.
    fn sign(&self, path: &Path, text: String) -> String {
        match &self.sources {
            Some(sources) => sources.sign(path, text),
            None => text,
        }
    }

    /// The name inside of a script that a stack names.
    fn inside<'a>(&self, name: &'a str) -> Cow<'a, str> {
        self.sources.as_ref().map_or(Cow::Borrowed(name), |sources| sources.inside(name))
    }
}

/// The module loaders of one engine.
pub(crate) struct Loaders {
    pub(crate) node: deno_node::NodeExtInitServices<InNodeModules, FunctionPackages, Sys>,
    pub(crate) import: Rc<dyn ModuleLoader>,
    pub(crate) typescript: Rc<TypeScript>,
}

/// Makes the loaders of one engine; `access` is filled in when a function is loaded.
pub(crate) fn loaders(access: &Rc<RefCell<Access>>) -> Loaders {
    let package_json = Arc::new(PackageJson::new(Sys::default(), Some(Arc::new(PackageJsonThreadLocalCache))));
    let packages = FunctionPackages { layers: Arc::clone(&access.borrow().layers) };
    let resolver = Arc::new(Resolver::new(
        InNodeModules,
        DenoIsBuiltInNodeModuleChecker,
        packages,
        package_json.clone(),
        NodeResolutionSys::new(Sys::default(), Some(Arc::new(NodeResolutionThreadLocalCache))),
        NodeResolverOptions::default(),
    ));
    let typescript: Rc<TypeScript> = Rc::default();
    let kinds = Kinds { package_json: package_json.clone(), typescript: Rc::clone(&typescript) };
    let node = deno_node::NodeExtInitServices {
        node_require_loader: Rc::new(RequireLoader { kinds: kinds.clone(), access: access.clone() }),
        node_resolver: resolver.clone(),
        pkg_json_resolver: package_json.clone(),
        sys: Sys::default(),
    };
    Loaders { node, import: Rc::new(ImportLoader { resolver, kinds, access: access.clone() }), typescript }
}

/// What kind of module a file is.
#[derive(Clone)]
struct Kinds {
    package_json: Arc<PackageJson>,
    typescript: Rc<TypeScript>,
}

impl Kinds {
    fn is_commonjs(&self, path: &Path) -> bool {
        if is_typescript(path) {
            // What does not parse is refused when it is loaded.
            let compiled = self.typescript.compile(path, || self.in_module_package(path));
            return compiled.is_ok_and(|compiled| !compiled.is_module);
        }
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("cjs") => true,
            Some("mjs" | "json" | "node" | "wasm") => false,
            _ => !self.in_module_package(path),
        }
    }

    fn in_module_package(&self, path: &Path) -> bool {
        let nearest = self.package_json.get_closest_package_json(path).ok().flatten();
        nearest.is_some_and(|package| package.typ == "module")
    }

    /// The JavaScript of a TypeScript module. Debuggers get its source map with it.
    fn javascript(&self, path: &Path, access: &Access) -> Result<String, JsErrorBox> {
        let code = self.typescript.code(path, || self.in_module_package(path))?;
        match (&access.sources, self.typescript.map(path)) {
            (Some(sources), Some(map)) => Ok(sources.with_map(path, code, &map)),
            _ => Ok(code),
        }
    }
}

struct RequireLoader {
    kinds: Kinds,
    access: Rc<RefCell<Access>>,
}

impl deno_node::NodeRequireLoader for RequireLoader {
    fn ensure_read_permission<'a>(
        &self,
        permissions: &mut PermissionsContainer,
        path: Cow<'a, Path>,
    ) -> Result<Cow<'a, Path>, JsErrorBox> {
        permissions
            .check_open(path, OpenAccessKind::ReadNoFollow, None)
            .map(deno_permissions::CheckedPath::into_path)
            .map_err(JsErrorBox::from_err)
    }

    fn load_text_file_lossy(&self, path: &Path) -> Result<FastString, JsErrorBox> {
        let access = self.access.borrow();
        let text = match is_typescript(path) {
            true => self.kinds.javascript(path, &access)?,
            false => String::from_utf8_lossy(&std::fs::read(path).map_err(JsErrorBox::from_err)?).into_owned(),
        };
        Ok(FastString::from(access.sign(path, text)))
    }

    fn is_maybe_cjs(&self, specifier: &Url) -> Result<bool, PackageJsonLoadError> {
        Ok(specifier.to_file_path().is_ok_and(|path| self.kinds.is_commonjs(&path)))
    }

    fn is_maybe_cjs_from_require(&self, specifier: &Url) -> Result<bool, PackageJsonLoadError> {
        self.is_maybe_cjs(specifier)
    }

    fn resolve_require_node_module_paths(&self, from: &Path) -> Vec<String> {
        let Access { code_dir, layers, .. } = &*self.access.borrow();
        let layers = layers.get().map_or(&[][..], Vec::as_slice);
        let mut paths = deno_node::default_resolve_require_node_module_paths(from);
        let is_own = |path: &Path| path.starts_with(code_dir) || (!layers.is_empty() && path.starts_with(LAYERS_DIR));
        paths.retain(|path| is_own(Path::new(path)));
        paths.extend(layers.iter().map(|path| path.to_string_lossy().into_owned()));
        paths
    }
}

struct ImportLoader {
    resolver: Arc<Resolver>,
    kinds: Kinds,
    access: Rc<RefCell<Access>>,
}

impl ImportLoader {
    fn readable(&self, path: PathBuf) -> Option<PathBuf> {
        let access = self.access.borrow();
        let checked = access.permissions.check_open(Cow::Owned(path), OpenAccessKind::Read, Some("source map"));
        checked.ok().map(|path| path.into_path().into_owned())
    }

    /// What a relative import of a TypeScript module means that is not the name of a file.
    fn source_meant(&self, specifier: &str, referrer: &Url) -> Option<ModuleSpecifier> {
        let from = referrer.to_file_path().ok()?;
        let is_file = |specifier: &str| {
            let url = referrer.join(specifier).ok()?;
            let path = self.readable(url.to_file_path().ok()?)?;
            path.is_file().then_some(url)
        };
        if !is_relative(specifier) || !is_typescript(&from) || is_file(specifier).is_some() {
            return None;
        }
        meant(specifier).iter().find_map(|specifier| is_file(specifier))
    }

    fn source(&self, specifier: &ModuleSpecifier) -> Result<ModuleSource, JsErrorBox> {
        let path = specifier
            .to_file_path()
            .map_err(|()| JsErrorBox::type_error(format!("{specifier}: only files and built-ins can be imported")))?;
        let path = self
            .access
            .borrow()
            .permissions
            .check_open(Cow::Owned(path), OpenAccessKind::ReadNoFollow, Some("import"))
            .map_err(JsErrorBox::from_err)?
            .into_path();
        let text = match is_typescript(&path) && path.is_file() {
            true => self.kinds.javascript(&path, &self.access.borrow())?,
            false => std::fs::read_to_string(&path).map_err(|error| unreadable(specifier, &error))?,
        };
        let (kind, code) = match path.extension().and_then(|extension| extension.to_str()) {
            Some("json") => (ModuleType::Json, text),
            _ if self.kinds.is_commonjs(&path) => {
                let module = commonjs_as_module(specifier, &path, &text)?;
                (ModuleType::JavaScript, module.unwrap_or_else(|| self.access.borrow().sign(&path, text)))
            }
            _ => (ModuleType::JavaScript, self.access.borrow().sign(&path, text)),
        };
        Ok(ModuleSource::new(kind, ModuleSourceCode::String(code.into()), specifier, None))
    }
}

/// A module file that cannot be read, with the code Node gives it.
#[derive(Debug, thiserror::Error, deno_error::JsError)]
#[class(generic)]
#[property("code" = self.code())]
#[error("Cannot find module '{0}'")]
struct ModuleNotFound(String);

impl ModuleNotFound {
    fn code(&self) -> &'static str {
        "ERR_MODULE_NOT_FOUND"
    }
}

fn unreadable(specifier: &ModuleSpecifier, error: &std::io::Error) -> JsErrorBox {
    match error.kind() {
        std::io::ErrorKind::NotFound => JsErrorBox::from_err(ModuleNotFound(specifier.path().to_string())),
        _ => JsErrorBox::generic(format!("{specifier}: {error}")),
    }
}

/// An ES module that exports what a CommonJS module exports, by the names its source shows. `None` when it is an
/// ES module itself.
fn commonjs_as_module(specifier: &Url, path: &Path, text: &str) -> Result<Option<String>, JsErrorBox> {
    let parsed = deno_ast::parse_program(deno_ast::ParseParams {
        specifier: specifier.clone(),
        text: text.into(),
        media_type: deno_ast::MediaType::Cjs,
        capture_tokens: true,
        scope_analysis: false,
        maybe_syntax: None,
    })
    .map_err(|error| JsErrorBox::new("SyntaxError", error.to_string()))?;
    if !parsed.compute_is_script() {
        return Ok(None);
    }
    let quote = |text: &str| serde_json::Value::from(text).to_string();
    let mut module = format!(
        "import {{ createRequire as __createRequire }} from \"node:module\";\n\
         const __exports = __createRequire(import.meta.url)({});\nexport default __exports;\n",
        quote(&path.to_string_lossy())
    );
    let names = parsed.analyze_cjs().exports;
    for (index, name) in names.iter().filter(|name| !matches!(name.as_str(), "default" | "module.exports")).enumerate()
    {
        let name = quote(name);
        write!(module, "const __export{index} = __exports[{name}];\nexport {{ __export{index} as {name} }};\n")
            .expect("strings take every write");
    }
    Ok(Some(module))
}

impl ModuleLoader for ImportLoader {
    fn resolve(&self, specifier: &str, referrer: &str, _: ResolutionKind) -> Result<ModuleSpecifier, JsErrorBox> {
        if specifier.starts_with("node:") || specifier.starts_with("file:") {
            return Url::parse(specifier).map_err(JsErrorBox::from_err);
        }
        let referrer = Url::parse(referrer).map_err(JsErrorBox::from_err)?;
        if let Some(source) = self.source_meant(specifier, &referrer) {
            return Ok(source);
        }
        let resolved =
            self.resolver.resolve(specifier, &referrer, ResolutionMode::Import, NodeResolutionKind::Execution);
        match resolved {
            // The function's own module of that name comes first.
            Err(_) if specifier == CLOUDFRONT => Url::parse(BUILT_IN_CLOUDFRONT).map_err(JsErrorBox::from_err),
            resolved => resolved.map_err(JsErrorBox::from_err)?.into_url().map_err(JsErrorBox::from_err),
        }
    }

    fn load(
        &self,
        specifier: &ModuleSpecifier,
        _: Option<&ModuleLoadReferrer>,
        _: ModuleLoadOptions,
    ) -> ModuleLoadResponse {
        ModuleLoadResponse::Sync(self.source(specifier))
    }

    fn get_source_map(&self, file_name: &str) -> Option<Cow<'_, [u8]>> {
        let name = self.access.borrow().inside(file_name).into_owned();
        let compiled = source_maps::path_of(&name).and_then(|path| self.kinds.typescript.map(&path));
        compiled.or_else(|| source_maps::read(&name, &|path| self.readable(path))).map(Cow::Owned)
    }

    fn source_map_source_exists(&self, source_url: &str) -> Option<bool> {
        let url = self.access.borrow().inside(source_url).into_owned();
        Some(source_maps::source_exists(&url, &|path| self.readable(path)))
    }
}

/// Key value stores, as CloudFront Functions import them.
const CLOUDFRONT: &str = "cloudfront";
const BUILT_IN_CLOUDFRONT: &str = "node:cloudfront";
