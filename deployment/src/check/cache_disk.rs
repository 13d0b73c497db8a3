//! Checks of `[server] cache_disk`, the directory that keeps cached responses.

use toml::Spanned;

use super::Context;
use crate::raw::RawCacheDisk;
use crate::server::CacheDisk;

/// The disk tier, if it is asked for. `memory_object_max` is the largest object that memory takes.
pub(super) fn cache_disk(
    ctx: &mut Context,
    raw: Option<&Spanned<RawCacheDisk>>,
    memory_object_max: u64,
) -> Option<CacheDisk> {
    let table = raw?;
    let raw = table.get_ref();
    for (key, present) in [("directory", raw.directory.is_some()), ("size", raw.size.is_some())] {
        if !present {
            ctx.findings.add(table.span(), format!("cache_disk needs {key}, as in {EXAMPLE}"));
        }
    }
    // One problem with the size is enough: what stands in for it contradicts nothing.
    let stand_in = memory_object_max.max(BYTES_MIN);
    let bytes = ctx.size("cache_disk.size", raw.size.as_ref(), stand_in, BYTES_MIN..=BYTES_MAX);
    let default = (bytes / 4).max(memory_object_max).min(bytes);
    let object_max = ctx.size("cache_disk.object_size_max", raw.object_size_max.as_ref(), default, 1..=BYTES_MAX);
    let contradiction = match (&raw.object_size_max, &raw.size) {
        (Some(own), _) if object_max > bytes => Some((
            own,
            format!("cache_disk.object_size_max is {object_max} bytes, larger than cache_disk.size ({bytes})"),
        )),
        (Some(own), _) if object_max < memory_object_max => {
            let message = format!("cache_disk.object_size_max is {object_max} bytes, smaller than what memory takes");
            Some((own, format!("{message}: cache_object_size_max is {memory_object_max}")))
        }
        (None, Some(size)) if bytes < memory_object_max => {
            let message = format!("cache_disk.size is {bytes} bytes, smaller than one object may be");
            Some((size, format!("{message}: cache_object_size_max is {memory_object_max}")))
        }
        _ => None,
    };
    if let Some((place, message)) = contradiction {
        ctx.findings.add(place.span(), message);
    }
    let directory = ctx.path(raw.directory.as_ref()?.get_ref());
    Some(CacheDisk { directory, bytes, object_bytes_max: object_max })
}

const EXAMPLE: &str = "cache_disk = { directory = \"cache\", size = \"10 GB\" }";
/// Below it, a handful of objects is all there is room for.
const BYTES_MIN: u64 = 1 << 20;
const BYTES_MAX: u64 = 1 << 50;
