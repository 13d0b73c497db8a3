//! Invalidations (AWS: "Invalidate files to remove content"): what operators took
//! out of the cache, and until when. A stored response is compared with them when it
//! is about to be served, so that one takes effect at once whatever it covers.

use parking_lot::RwLock;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

/// What to take out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Item {
    /// One path with its query string, if that is in the key.
    Exact(String),
    /// Every path with its query string that begins so.
    Below(String),
    /// Every response that has this tag, lower case.
    Tag(String),
}

impl Item {
    /// Reads `/path`, `/path?query`, `/begins-so*` or `#tag`.
    ///
    /// # Errors
    /// Says which rule the text breaks.
    pub(crate) fn parse(text: &str) -> Result<Item, String> {
        if let Some(tag) = text.strip_prefix('#') {
            let named = (1..=TAG_LENGTH_MAX).contains(&tag.len());
            if !named || !tag.bytes().all(|byte| (33..=126).contains(&byte) && byte != b',') {
                return Err(format!(
                    "tag {tag:?} must be 1 to {TAG_LENGTH_MAX} ASCII characters without space and comma"
                ));
            }
            return Ok(Item::Tag(tag.to_ascii_lowercase()));
        }
        let length = text.chars().count();
        if !text.starts_with('/') || length > PATH_LENGTH_MAX {
            return Err(format!("{text:?} must start with / or #, and have at most {PATH_LENGTH_MAX} characters"));
        }
        Ok(match text.strip_suffix('*') {
            Some(start) => Item::Below(start.to_owned()),
            None => Item::Exact(text.to_owned()),
        })
    }
}

/// A stored response, as far as invalidations go.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Response<'a> {
    /// The distribution's id.
    pub(crate) distribution: &'a str,
    /// Path and the part of the query string that is in the key.
    pub(crate) target: &'a str,
    /// Values of the header that has its tags.
    pub(crate) tags: &'a [&'a str],
    pub(crate) since: SystemTime,
}

/// Of every distribution of a PoP.
#[derive(Debug, Default)]
pub(crate) struct Invalidations {
    any: AtomicBool,
    by_distribution: RwLock<HashMap<String, Rules>>,
}

#[derive(Debug, Default)]
struct Rules {
    exact: HashMap<String, SystemTime>,
    tags: HashMap<String, SystemTime>,
    below: Vec<(String, SystemTime)>,
}

impl Invalidations {
    /// Whether there was ever one: hits need not look further when there was none.
    pub(crate) fn any(&self) -> bool {
        self.any.load(Ordering::Acquire)
    }

    /// Takes out what was stored until `at`.
    pub(crate) fn add(&self, distribution: &str, items: Vec<Item>, at: SystemTime) {
        let mut all = self.by_distribution.write();
        let rules = all.entry(distribution.to_owned()).or_default();
        for item in items {
            rules.add(item, at);
        }
        self.any.store(true, Ordering::Release);
    }

    /// Whether a response was taken out after it was stored.
    pub(crate) fn covers(&self, stored: &Response<'_>) -> bool {
        let all = self.by_distribution.read();
        all.get(stored.distribution).is_some_and(|rules| rules.cover(stored))
    }
}

impl Rules {
    fn add(&mut self, item: Item, at: SystemTime) {
        if self.exact.len() + self.tags.len() + self.below.len() >= RULES_MAX {
            // Too many to keep apart: everything so far goes, which is never too little.
            *self = Rules { below: vec![("/".to_owned(), at)], ..Rules::default() };
        }
        match item {
            Item::Exact(target) => drop(self.exact.insert(target, at)),
            Item::Tag(tag) => drop(self.tags.insert(tag, at)),
            Item::Below(start) => {
                self.below.retain(|(other, _)| !other.starts_with(&start));
                self.exact.retain(|target, _| !target.starts_with(&start));
                self.below.push((start, at));
            }
        }
    }

    fn cover(&self, stored: &Response<'_>) -> bool {
        let later = |at: &SystemTime| *at >= stored.since;
        if self.exact.get(stored.target).is_some_and(later) {
            return true;
        }
        if !self.tags.is_empty() {
            let tags = stored.tags.iter().flat_map(|line| line.split(',')).map(|tag| tag.trim().to_ascii_lowercase());
            if tags.take(TAGS_MAX).any(|tag| self.tags.get(&tag).is_some_and(later)) {
                return true;
            }
        }
        self.below.iter().any(|(start, at)| later(at) && stored.target.starts_with(start.as_str()))
    }
}

/// AWS: "Invalidate files", characters of a path; "Invalidate by cache tag", of a tag and tags of an object.
const PATH_LENGTH_MAX: usize = 4_000;
const TAG_LENGTH_MAX: usize = 256;
const TAGS_MAX: usize = 50;
/// Ours, of one distribution.
const RULES_MAX: usize = 10_000;

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, UNIX_EPOCH};

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn covered(invalidations: &Invalidations, target: &str, tags: &[&str], since: u64) -> bool {
        invalidations.covers(&Response { distribution: "E1", target, tags, since: at(since) })
    }

    fn after(items: &[&str]) -> Invalidations {
        let invalidations = Invalidations::default();
        assert!(!invalidations.any());
        invalidations.add("E1", items.iter().map(|item| Item::parse(item).unwrap()).collect(), at(10));
        assert!(invalidations.any());
        invalidations
    }

    #[test]
    fn a_star_at_the_end_is_a_wildcard_and_elsewhere_a_star() {
        let invalidations = after(&["/a*", "/*/b", "/c?x=1"]);
        for (target, expected) in [
            ("/a", true),
            ("/a?x=1", true),
            ("/abc/d", true),
            ("/A", false),
            ("/x/b", false),
            ("/*/b", true),
            ("/c", false),
            ("/c?x=1", true),
            ("/c?x=12", false),
        ] {
            assert_eq!(covered(&invalidations, target, &[], 5), expected, "{target}");
        }
    }

    #[test]
    fn only_what_was_stored_before_is_covered_and_only_of_its_distribution() {
        let invalidations = after(&["/*"]);
        assert!(covered(&invalidations, "/a", &[], 10) && !covered(&invalidations, "/a", &[], 11));
        let other = Response { distribution: "E2", target: "/a", tags: &[], since: at(5) };
        assert!(!invalidations.covers(&other));
    }

    #[test]
    fn tags_are_compared_without_case() {
        let invalidations = after(&["#Product:TV"]);
        assert!(covered(&invalidations, "/a", &["news, product:tv"], 5));
        assert!(covered(&invalidations, "/a", &["x", "PRODUCT:TV"], 5));
        assert!(!covered(&invalidations, "/a", &["product"], 5));
    }

    #[test]
    fn too_many_become_everything() {
        let invalidations = after(&[]);
        for nth in 0..=RULES_MAX {
            invalidations.add("E1", vec![Item::Exact(format!("/{nth}"))], at(20));
        }
        assert!(covered(&invalidations, "/never-named", &[], 15));
        assert!(!covered(&invalidations, "/never-named", &[], 25));
    }

    #[test]
    fn what_is_no_item_is_refused() {
        for bad in ["", "a", "#", "#a b", "#a,b", &format!("/{}", "x".repeat(PATH_LENGTH_MAX))] {
            assert!(Item::parse(bad).is_err(), "{bad:?}");
        }
    }
}
