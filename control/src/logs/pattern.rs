//! Which lines a filter pattern finds (AWS: "Filter pattern syntax for metric filters,
//! subscription filters, filter log events, and Live Tail"): those of unstructured lines.

/// Terms that a line must have, may have, and must not have.
#[derive(Debug, Default)]
pub(super) struct Pattern {
    all: Vec<String>,
    any: Vec<String>,
    none: Vec<String>,
}

impl Pattern {
    /// Reads a pattern, or says what of it is not supported.
    pub(super) fn parse(text: &str) -> Result<Pattern, String> {
        let text = text.trim();
        if let Some(mark @ ('{' | '[' | '%')) = text.chars().next() {
            return Err(format!("filterPattern {text:?}: patterns with {mark} are not supported by this edge"));
        }
        let mut pattern = Pattern::default();
        let mut rest = text;
        while !rest.is_empty() {
            let (list, after) = match rest.strip_prefix(['?', '-']) {
                Some(after) if rest.starts_with('?') => (&mut pattern.any, after),
                Some(after) => (&mut pattern.none, after),
                None => (&mut pattern.all, rest),
            };
            let (term, after) = term(after)?;
            list.push(term.to_owned());
            rest = after.trim_start();
        }
        // One of them is enough only where nothing else is asked for.
        if !pattern.all.is_empty() {
            pattern.any.clear();
        }
        Ok(pattern)
    }

    /// Whether it finds the line. Capital letters are others than small ones.
    pub(super) fn finds(&self, line: &str) -> bool {
        let has = |term: &String| line.contains(term.as_str());
        self.all.iter().all(has) && (self.any.is_empty() || self.any.iter().any(has)) && !self.none.iter().any(has)
    }
}

/// The first term, which may be in quotes, and what follows it.
fn term(text: &str) -> Result<(&str, &str), String> {
    if let Some(quoted) = text.strip_prefix('"') {
        return quoted.split_once('"').ok_or_else(|| format!("filterPattern: the quotes of \"{quoted} do not end"));
    }
    Ok(text.split_once(char::is_whitespace).unwrap_or((text, "")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finds(pattern: &str, line: &str) -> bool {
        Pattern::parse(pattern).unwrap().finds(line)
    }

    #[test]
    fn terms_are_asked_for_offered_and_excluded() {
        assert!(finds("", "anything") && finds("ERROR", "an ERROR came") && !finds("ERROR", "an error came"));
        assert!(finds("one two", "two and one") && !finds("one two", "one"));
        assert!(finds("\"one two\"", "and one two") && !finds("\"one two\"", "two one"));
        assert!(finds("?one ?two", "two") && !finds("?one ?two", "three"));
        assert!(finds("one -two", "one") && !finds("one -two", "one two"));
        for unsupported in ["{ $.a = 1 }", "[a, b]", "%x.y%", "\"open"] {
            assert!(Pattern::parse(unsupported).is_err(), "{unsupported}");
        }
    }
}
