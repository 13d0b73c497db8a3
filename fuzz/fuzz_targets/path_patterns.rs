//! Path patterns match what their definition says, on paths in the form that
//! matching sees; that form is a fixed point.
#![no_main]

use deployment::{PathPattern, normalise};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (&str, &str)| {
    let (text, raw_path) = input;
    let path = normalise(raw_path);
    assert!(path.starts_with('/') && !path.contains("//"));
    assert!(path.split('/').all(|segment| segment != "." && segment != ".."));
    assert_eq!(normalise(&path), path);
    assert!(PathPattern::any().matches(&path));
    let Ok(pattern) = PathPattern::parse(text) else { return };
    assert_eq!(pattern.as_str(), text);
    let rooted = if text.starts_with('/') { text.to_owned() } else { format!("/{text}") };
    assert_eq!(pattern.matches(&path), matches(&rooted, &path), "{text:?} on {path:?}");
});

/// The definition, one row of a table per character of the pattern.
fn matches(pattern: &str, path: &str) -> bool {
    let path: Vec<char> = path.chars().collect();
    let mut reached = vec![false; path.len() + 1];
    reached[0] = true;
    for wanted in pattern.chars() {
        let mut next = vec![false; path.len() + 1];
        for at in 0..=path.len() {
            next[at] = match wanted {
                '*' => reached[at] || (at > 0 && next[at - 1]),
                '?' => at > 0 && reached[at - 1],
                character => at > 0 && reached[at - 1] && path[at - 1] == character,
            };
        }
        reached = next;
    }
    reached[path.len()]
}
