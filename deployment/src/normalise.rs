//! The form of a path that patterns are matched against. Only matching sees it:
//! the origin, the cache key and functions get the path the viewer sent (AWS:
//! "Cache behavior settings", "How CloudFront normalizes URI paths").

use std::borrow::Cow;

/// Decodes percent-encoded unreserved characters, collapses runs of slashes and
/// resolves dot segments (RFC 3986 6.2.2.2, 6.2.2.3). Idempotent; the result
/// starts with `/`. A path that is normal already is not copied.
#[must_use]
pub fn normalise(raw_path: &str) -> Cow<'_, str> {
    if is_normal(raw_path) {
        return Cow::Borrowed(raw_path);
    }
    let decoded = decode_unreserved(raw_path);
    let mut segments: Vec<&str> = Vec::new();
    let mut directory = true;
    for segment in decoded.split('/') {
        directory = matches!(segment, "" | "." | "..");
        match segment {
            "" | "." => {}
            ".." => {
                segments.pop();
            }
            name => segments.push(name),
        }
    }
    let mut path = String::with_capacity(decoded.len() + 1);
    for segment in &segments {
        path.push('/');
        path.push_str(segment);
    }
    if directory || path.is_empty() {
        path.push('/');
    }
    Cow::Owned(path)
}

/// True for paths that certainly need no work; false only costs a copy.
fn is_normal(path: &str) -> bool {
    let bytes = path.as_bytes();
    bytes.first() == Some(&b'/')
        && !bytes.contains(&b'%')
        && !bytes.windows(2).any(|pair| pair == b"//" || pair == b"/.")
}

/// Also decodes what decoding brings together (`%%361` becomes `a`): no origin
/// can read a further meaning into the result.
fn decode_unreserved(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    for character in path.chars() {
        out.push(character);
        while let Some(decoded) = encoded_unreserved(out.as_bytes()) {
            out.truncate(out.len() - 3);
            out.push(decoded);
        }
    }
    out
}

/// The character that the last three bytes encode, when it is an unreserved one.
fn encoded_unreserved(bytes: &[u8]) -> Option<char> {
    let [.., b'%', high, low] = bytes else { return None };
    let code = char::from(*high).to_digit(16)? * 16 + char::from(*low).to_digit(16)?;
    char::from_u32(code).filter(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_' | '~'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn dot_segments_and_slashes_are_resolved() {
        for (raw, normal) in [
            ("/", "/"),
            ("", "/"),
            ("*", "/*"),
            ("/a/b", "/a/b"),
            ("/a/b/", "/a/b/"),
            ("/a//b", "/a/b"),
            ("//a", "/a"),
            ("/a/./b", "/a/b"),
            ("/a/b/..", "/a/"),
            ("/a/b/../c", "/a/c"),
            ("/../../etc", "/etc"),
            ("/a//../b", "/b"),
            ("/a/.", "/a/"),
            ("/.well-known/x", "/.well-known/x"),
            ("/a/...", "/a/..."),
        ] {
            assert_eq!(normalise(raw), normal, "{raw}");
        }
    }

    #[test]
    fn encoded_letters_and_dots_cannot_dodge_a_pattern() {
        assert_eq!(normalise("/%61pi/x"), "/api/x");
        assert_eq!(normalise("/public/%2e%2E/admin"), "/admin");
        assert_eq!(normalise("/a%2Fb"), "/a%2Fb");
        assert_eq!(normalise("/%2561"), "/%2561");
        assert_eq!(normalise("/100%"), "/100%");
    }

    #[test]
    fn normal_paths_are_not_copied() {
        assert!(matches!(normalise("/assets/app.js"), Cow::Borrowed(_)));
    }

    proptest! {
        #[test]
        fn normalising_twice_changes_nothing(raw in "[/.%a2356eEé]{0,40}") {
            let once = normalise(&raw).into_owned();
            prop_assert_eq!(normalise(&once), once.as_str());
        }

        #[test]
        fn the_result_is_rooted_and_has_no_dot_segments(raw in "[/.%a2e]{0,40}") {
            let normal = normalise(&raw);
            prop_assert!(normal.starts_with('/'));
            prop_assert!(!normal.contains("//"));
            prop_assert!(normal.split('/').all(|segment| segment != "." && segment != ".."));
        }
    }
}
