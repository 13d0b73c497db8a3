//! Path patterns of behaviors (AWS: "Cache behavior settings", "Path pattern").

use std::fmt;

/// AWS: "Path pattern", characters.
const LENGTH_MAX: usize = 255;

/// Besides letters and digits; `?` is the wildcard for one character.
const PUNCTUATION: &[u8] = b"_-.*$/~\"'@:+&?";

/// A pattern with the wildcards `*` (none or more characters, slashes too) and
/// `?` (exactly one). Case-sensitive.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct PathPattern {
    written: String,
    /// With the implied slash at the front.
    rooted: Box<[u8]>,
}

impl PathPattern {
    /// # Errors
    /// Says which rule the text breaks: empty, too long, or a character that is not allowed.
    pub fn parse(text: &str) -> Result<PathPattern, String> {
        if text.is_empty() {
            return Err("path pattern is empty".into());
        }
        if text.chars().count() > LENGTH_MAX {
            let length = text.chars().count();
            return Err(format!("path pattern has {length} characters, at most {LENGTH_MAX} are allowed"));
        }
        let allowed = |c: &char| u8::try_from(*c).is_ok_and(|b| b.is_ascii_alphanumeric() || PUNCTUATION.contains(&b));
        if let Some(character) = text.chars().find(|c| !allowed(c)) {
            return Err(format!("path pattern {text:?} contains {character:?}, which is not allowed in a pattern"));
        }
        let slash = if text.starts_with('/') { "" } else { "/" };
        Ok(PathPattern { written: text.to_owned(), rooted: format!("{slash}{text}").into_bytes().into() })
    }

    /// The pattern of the default behavior: `*`, which matches every path.
    #[must_use]
    pub fn any() -> PathPattern {
        PathPattern { written: "*".into(), rooted: b"/*".as_slice().into() }
    }

    /// True when the whole path matches. The path is one that
    /// [`normalise`](crate::normalise()) returned.
    #[must_use]
    pub fn matches(&self, normalised: &str) -> bool {
        wildcard_matches(&self.rooted, normalised)
    }

    /// As written in the configuration.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.written
    }

    /// True when both match the same paths because they are the same but for the implied slash.
    pub(crate) fn is_same(&self, other: &PathPattern) -> bool {
        self.rooted == other.rooted
    }
}

impl fmt::Debug for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.written, f)
    }
}

impl fmt::Display for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written)
    }
}

/// Whether a whole text is what a pattern says: `*` is none or more characters, `?`
/// exactly one. Takes at most pattern times text steps, whatever the pattern.
#[must_use]
pub fn wildcard_matches(pattern: &[u8], text: &str) -> bool {
    let text = text.as_bytes();
    let (mut at_pattern, mut at_text) = (0, 0);
    // After the last `*`, and the first byte that it does not cover yet.
    let mut star: Option<(usize, usize)> = None;
    while at_text < text.len() {
        match pattern.get(at_pattern) {
            Some(b'*') => {
                at_pattern += 1;
                star = Some((at_pattern, at_text));
            }
            Some(byte) if *byte == b'?' || *byte == text[at_text] => {
                at_pattern += 1;
                at_text += if *byte == b'?' { character_length(text[at_text]) } else { 1 };
            }
            _ => match star {
                Some((after, covered)) => {
                    let covered = covered + character_length(text[covered]);
                    star = Some((after, covered));
                    (at_pattern, at_text) = (after, covered);
                }
                None => return false,
            },
        }
    }
    pattern[at_pattern..].iter().all(|byte| *byte == b'*')
}

/// Bytes of the UTF-8 character that starts with `first`.
fn character_length(first: u8) -> usize {
    match first {
        0..0xc0 => 1,
        0xc0..0xe0 => 2,
        0xe0..0xf0 => 3,
        _ => 4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn matches(pattern: &str, path: &str) -> bool {
        PathPattern::parse(pattern).unwrap().matches(path)
    }

    #[test]
    fn wildcards_match_as_cloudfront_says() {
        assert!(matches("/images/*.jpg", "/images/a/b.jpg"));
        assert!(matches("/a??.jpg", "/ant.jpg"));
        assert!(!matches("/a??.jpg", "/an.jpg"));
        assert!(matches("/a*", "/a"));
        assert!(!matches("/a*", "/b/a"));
        assert!(matches("*.gif", "/deep/x.gif"));
        assert!(matches("/?", "/é"));
    }

    #[test]
    fn leading_slash_is_implied() {
        assert!(matches("images/*", "/images/x"));
        assert!(matches("*", "/"));
        assert!(PathPattern::parse("a").unwrap().is_same(&PathPattern::parse("/a").unwrap()));
        assert_eq!(PathPattern::parse("a").unwrap().as_str(), "a");
    }

    #[test]
    fn patterns_are_case_sensitive() {
        assert!(!matches("/*.jpg", "/LOGO.JPG"));
    }

    #[test]
    fn long_patterns_and_foreign_characters_are_refused() {
        assert!(PathPattern::parse(&"a".repeat(255)).is_ok());
        let error = PathPattern::parse(&"a".repeat(256)).unwrap_err();
        assert!(error.contains("256 characters"), "{error}");
        for text in ["/a b", "/a#b", "/a%20", "/é", "/a[b]", ""] {
            assert!(PathPattern::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn many_stars_do_not_explode() {
        let pattern = format!("{}b", "*a".repeat(100));
        let path = format!("/{}", "a".repeat(20_000));
        let start = std::time::Instant::now();
        assert!(!matches(&pattern, &path));
        assert!(start.elapsed() < std::time::Duration::from_secs(2));
    }

    /// The definition, without care for time.
    fn reference(pattern: &[u8], path: &[u8]) -> bool {
        match pattern.split_first() {
            None => path.is_empty(),
            Some((b'*', rest)) => (0..=path.len()).any(|taken| reference(rest, &path[taken..])),
            Some((b'?', rest)) => !path.is_empty() && reference(rest, &path[1..]),
            Some((byte, rest)) => path.first() == Some(byte) && reference(rest, &path[1..]),
        }
    }

    proptest! {
        #[test]
        fn agrees_with_the_definition(pattern in "/[ab/*?]{0,8}", path in "/[ab/]{0,10}") {
            let expected = reference(pattern.as_bytes(), path.as_bytes());
            prop_assert_eq!(matches(&pattern, &path), expected);
        }
    }
}
