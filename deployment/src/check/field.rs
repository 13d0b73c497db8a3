//! Single values that many tables have: bounded numbers, durations, sizes,
//! paths and header names.

use http::HeaderName;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;
use toml::Spanned;

use super::Context;
use crate::raw::Text;
use crate::units;

impl Context<'_> {
    /// The number, or `default` when it is absent or not within `bounds`.
    pub(super) fn number<N>(
        &mut self,
        key: &str,
        raw: Option<&Spanned<i64>>,
        default: N,
        bounds: RangeInclusive<N>,
    ) -> N
    where
        N: TryFrom<i64> + PartialOrd + Display,
    {
        let Some(raw) = raw else { return default };
        if let Ok(number) = N::try_from(*raw.get_ref())
            && bounds.contains(&number)
        {
            return number;
        }
        let message = format!("{key} is {}, it must be {} to {}", raw.get_ref(), bounds.start(), bounds.end());
        self.findings.add(raw.span(), message);
        default
    }

    /// The duration, or `default` when it is absent, unreadable or not within `bounds`.
    pub(super) fn duration(
        &mut self,
        key: &str,
        raw: Option<&Text>,
        default: Duration,
        bounds: RangeInclusive<Duration>,
    ) -> Duration {
        let Some(raw) = raw else { return default };
        let message = match units::duration(raw.get_ref()) {
            Ok(duration) if bounds.contains(&duration) => return duration,
            Ok(duration) => format!(
                "{key} is {}, it must be {} to {}",
                units::written(duration),
                units::written(*bounds.start()),
                units::written(*bounds.end())
            ),
            Err(message) => format!("{key}: {message}"),
        };
        self.findings.add(raw.span(), message);
        default
    }

    /// The size in bytes, or `default` when it is absent, unreadable or not within `bounds`.
    pub(super) fn size(&mut self, key: &str, raw: Option<&Text>, default: u64, bounds: RangeInclusive<u64>) -> u64 {
        let Some(raw) = raw else { return default };
        let message = match units::bytes(raw.get_ref()) {
            Ok(bytes) if bounds.contains(&bytes) => return bytes,
            Ok(bytes) => format!("{key} is {bytes} bytes, it must be {} to {}", bounds.start(), bounds.end()),
            Err(message) => format!("{key}: {message}"),
        };
        self.findings.add(raw.span(), message);
        default
    }

    /// An absolute path, from one relative to the file.
    pub(super) fn path(&self, raw: &str) -> PathBuf {
        let joined = self.directory.join(raw);
        std::path::absolute(&joined).unwrap_or(joined)
    }

    /// The path of a directory that exists; otherwise the problem is noted.
    pub(super) fn existing_directory(&mut self, key: &str, raw: &Text) -> PathBuf {
        let path = self.path(raw.get_ref());
        match std::fs::metadata(&path) {
            Ok(metadata) if metadata.is_dir() => {}
            Ok(_) => self.findings.add(raw.span(), format!("{key} {} is not a directory", path.display())),
            Err(error) => self.findings.add(raw.span(), format!("{key} {}: {error}", path.display())),
        }
        path
    }

    /// A header name in lower case; otherwise the problem is noted.
    pub(super) fn header_name(&mut self, span: std::ops::Range<usize>, raw: &str) -> Option<HeaderName> {
        let name = HeaderName::from_bytes(raw.as_bytes()).ok();
        if name.is_none() {
            self.findings.add(span, format!("{raw:?} is not a header name"));
        }
        name
    }
}

/// Whole seconds as bounds.
pub(super) fn seconds(bounds: RangeInclusive<u64>) -> RangeInclusive<Duration> {
    Duration::from_secs(*bounds.start())..=Duration::from_secs(*bounds.end())
}
