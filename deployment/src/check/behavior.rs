//! Checks of one behavior: its path, its origin, and its hooks.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use toml::Spanned;

use super::distribution::Scope;
use super::origin_group::Group;
use super::{Context, geo, key_group, policy, response_headers};
use crate::model::{
    AllowedMethods, Behavior, CachePolicy, CachedMethods, Failover, Hook, Hooks, Origin, ViewerProtocol,
};
use crate::pattern::PathPattern;
use crate::raw::{NameOr, Named, RawBehavior, RawDistribution, RawHook, Text};

/// Checks the behaviors of one distribution.
pub(super) struct Checker<'a, 'c> {
    pub(super) ctx: &'a mut Context<'c>,
    pub(super) scope: &'a Scope<'a>,
    pub(super) raw: &'a RawDistribution,
    /// Without those that have problems.
    pub(super) origins: &'a BTreeMap<String, Arc<Origin>>,
    pub(super) groups: &'a BTreeMap<String, Group>,
}

impl Checker<'_, '_> {
    /// One of `behaviors`; `None` when its path or origin is unknown.
    pub(super) fn with_path(&mut self, raw: &Spanned<RawBehavior>) -> Option<Behavior> {
        let pattern = match &raw.get_ref().path {
            Some(path) => match PathPattern::parse(path.get_ref()) {
                Ok(pattern) => Some(pattern),
                Err(message) => {
                    self.ctx.findings.add(path.span(), message);
                    None
                }
            },
            None => {
                self.ctx.findings.add(raw.span(), "behavior has no path");
                None
            }
        };
        if let (Some(pattern), Some(path)) = (&pattern, &raw.get_ref().path)
            && pattern.is_same(&PathPattern::any())
        {
            let message = format!("path {:?} is the default_behavior's", pattern.as_str());
            self.ctx.findings.add(path.span(), message);
        }
        self.behavior(raw, pattern)
    }

    /// The default behavior.
    pub(super) fn default(&mut self, raw: &Spanned<RawBehavior>) -> Option<Behavior> {
        if let Some(path) = &raw.get_ref().path {
            self.ctx.findings.add(path.span(), "default_behavior takes every path and cannot have one");
        }
        self.behavior(raw, Some(PathPattern::any()))
    }

    fn behavior(&mut self, spanned: &Spanned<RawBehavior>, pattern: Option<PathPattern>) -> Option<Behavior> {
        let raw = spanned.get_ref();
        let origin = self.origin(spanned);
        let (origin, failover) = origin.map_or((None, None), |(origin, failover)| (Some(origin), failover));
        let allowed_methods = self.allowed_methods(raw.allowed_methods.as_ref());
        let cached_methods = self.cached_methods(raw.cached_methods.as_ref(), allowed_methods);
        let viewer_protocol = self.viewer_protocol(raw.viewer_protocol.as_ref());
        let trusted_key_groups = key_group::trusted(self.ctx, self.scope.key_groups, &raw.trusted_key_groups);
        let cache = policy::cache(self.ctx, raw.cache.as_ref());
        let forward = policy::forward(self.ctx, raw.forward.as_ref());
        let hooks = Hooks {
            viewer_request: self.hook("viewer-request", raw.hooks.viewer_request.as_ref()),
            origin_request: self.hook("origin-request", raw.hooks.origin_request.as_ref()),
            origin_response: self.hook("origin-response", raw.hooks.origin_response.as_ref()),
            viewer_response: self.hook("viewer-response", raw.hooks.viewer_response.as_ref()),
        };
        let response_headers = response_headers::policy(self.ctx, raw.response_headers.as_ref());
        let compress = self.compress(raw.compress.as_ref(), &cache);
        Some(Behavior {
            pattern: pattern?,
            origin: origin?,
            failover,
            allowed_methods,
            cached_methods,
            viewer_protocol,
            trusted_key_groups,
            edge_headers: geo::edge_headers(&cache, &forward),
            cache,
            forward,
            compress,
            response_headers,
            hooks,
        })
    }

    fn origin(&mut self, raw: &Spanned<RawBehavior>) -> Option<(Arc<Origin>, Option<Arc<Failover>>)> {
        let Some(name) = &raw.get_ref().origin else {
            self.ctx.findings.add(raw.span(), "behavior has no origin");
            return None;
        };
        let known = name.get_ref().as_str();
        if self.raw.origin_groups.contains_key(known) {
            return self.groups.get(known).map(|(primary, failover)| (primary.clone(), Some(failover.clone())));
        }
        if !self.raw.origins.contains_key(known) {
            let names = names(&self.raw.origins);
            let message = format!("origin {known:?} is not an origin of this distribution ({names})");
            self.ctx.findings.add(name.span(), message);
        }
        self.origins.get(known).cloned().map(|origin| (origin, None))
    }

    fn allowed_methods(&mut self, raw: Option<&Text>) -> AllowedMethods {
        match raw.map(|raw| (raw.get_ref().as_str(), raw)) {
            None | Some(("read", _)) => AllowedMethods::Read,
            Some(("read+options", _)) => AllowedMethods::ReadAndOptions,
            Some(("all", _)) => AllowedMethods::All,
            Some((other, raw)) => {
                let message = format!("allowed_methods {other:?} is not one of \"read\", \"read+options\", \"all\"");
                self.ctx.findings.add(raw.span(), message);
                AllowedMethods::Read
            }
        }
    }

    fn cached_methods(&mut self, raw: Option<&Text>, allowed: AllowedMethods) -> CachedMethods {
        match raw.map(|raw| (raw.get_ref().as_str(), raw)) {
            None | Some(("read", _)) => CachedMethods::Read,
            Some(("read+options", raw)) => {
                if allowed == AllowedMethods::Read {
                    let message = "cached_methods has OPTIONS, which allowed_methods does not let in";
                    self.ctx.findings.add(raw.span(), message);
                }
                CachedMethods::ReadAndOptions
            }
            Some((other, raw)) => {
                let message = format!("cached_methods {other:?} is not one of \"read\", \"read+options\"");
                self.ctx.findings.add(raw.span(), message);
                CachedMethods::Read
            }
        }
    }

    fn compress(&mut self, raw: Option<&Spanned<bool>>, cache: &CachePolicy) -> bool {
        let compress = raw.is_some_and(|raw| *raw.get_ref());
        if let (true, Some(raw)) = (compress && !cache.gzip && !cache.brotli, raw) {
            let message = "compress is true, but the cache policy has neither gzip nor brotli";
            self.ctx.findings.add(raw.span(), message);
        }
        compress
    }

    fn viewer_protocol(&mut self, raw: Option<&Text>) -> ViewerProtocol {
        let Some(raw) = raw else { return ViewerProtocol::AllowAll };
        let text = raw.get_ref().as_str();
        let protocol = match text {
            "allow-all" => return ViewerProtocol::AllowAll,
            "https-only" => ViewerProtocol::HttpsOnly,
            "redirect-to-https" => ViewerProtocol::RedirectToHttps,
            other => {
                let known = "\"allow-all\", \"https-only\", \"redirect-to-https\"";
                self.ctx.findings.add(raw.span(), format!("viewer_protocol {other:?} is not one of {known}"));
                return ViewerProtocol::AllowAll;
            }
        };
        if !self.scope.has_https {
            let message = format!("viewer_protocol {text:?} needs an https listener, [server] has none");
            self.ctx.findings.add(raw.span(), message);
        }
        protocol
    }

    fn hook(&mut self, event: &str, raw: Option<&Spanned<NameOr<RawHook>>>) -> Option<Hook> {
        let raw = raw?;
        let (function, include_body) = match raw.get_ref() {
            NameOr::Name(function) => (function, false),
            NameOr::Table(hook) => (&hook.function, hook.include_body),
        };
        self.function_exists(raw.span(), event, function);
        if include_body && event.ends_with("-response") {
            let message = format!("include_body on {event}: only request events have a body");
            self.ctx.findings.add(raw.span(), message);
        }
        Some(Hook { function: function.clone(), include_body })
    }

    fn function_exists(&mut self, span: Range<usize>, event: &str, function: &str) {
        if !self.scope.functions.contains_key(function) {
            let known = names(self.scope.functions);
            let message = format!("{event} names function {function:?}, which does not exist ({known})");
            self.ctx.findings.add(span, message);
        }
    }
}

/// For messages.
fn names<T>(named: &Named<T>) -> String {
    if named.is_empty() {
        return "there are none".into();
    }
    let names: Vec<&str> = named.keys().map(|name| name.get_ref().as_str()).collect();
    format!("there are: {}", names.join(", "))
}
