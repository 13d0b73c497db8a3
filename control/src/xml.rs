//! XML as CloudFront speaks it: a tree of elements in, text out. Which elements there may
//! be is `cloudfront`'s.

use crate::error::{ApiError, Code};
use quick_xml::Reader;
use quick_xml::events::Event;

/// An element without its attributes; namespaces are dropped from its name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Element {
    pub(crate) name: String,
    pub(crate) text: String,
    pub(crate) children: Vec<Element>,
}

impl Element {
    /// The root element of a document.
    pub(crate) fn parse(document: &[u8]) -> Result<Element, ApiError> {
        if document.is_empty() {
            return Err(ApiError::new(Code::MISSING_BODY, "the request has no body"));
        }
        let malformed = |reason: String| ApiError::new(Code::MALFORMED_XML, reason);
        let text = std::str::from_utf8(document).map_err(|error| malformed(error.to_string()))?;
        let mut reader = Reader::from_str(text);
        let mut open: Vec<Element> = vec![Element::default()];
        loop {
            let event = reader.read_event().map_err(|error| malformed(error.to_string()))?;
            let top = open.last_mut().expect("the document itself is never closed");
            match event {
                Event::Start(start) => {
                    if open.len() > DEPTH_MAX {
                        return Err(malformed(format!("elements are nested deeper than {DEPTH_MAX}")));
                    }
                    open.push(named(start.local_name().as_ref()));
                }
                Event::Empty(start) => top.children.push(named(start.local_name().as_ref())),
                Event::End(_) => {
                    let done = open.pop().expect("the reader checks that tags are closed in order");
                    open.last_mut().expect("the reader checks that tags are closed in order").children.push(done);
                }
                Event::Text(part) => {
                    let part = part.decode().map_err(|error| malformed(error.to_string()))?;
                    top.text.push_str(&part);
                }
                Event::GeneralRef(reference) => top.text.push_str(&referenced(&reference).map_err(malformed)?),
                Event::CData(part) => top.text.push_str(&String::from_utf8_lossy(&part)),
                Event::DocType(_) => return Err(malformed("a document type is not allowed".into())),
                Event::Decl(_) | Event::Comment(_) | Event::PI(_) => {}
                Event::Eof => break,
            }
        }
        let [document] = &mut open[..] else { return Err(malformed("the document ends within an element".into())) };
        match &mut document.children[..] {
            [root] => Ok(std::mem::take(root)),
            _ => Err(malformed("the document must have one root element".into())),
        }
    }
}

/// A document with this root element and content, in CloudFront's namespace.
pub(crate) fn document(root: &str, content: &str) -> String {
    let namespace = crate::cloudfront::NAMESPACE;
    format!("<?xml version=\"1.0\"?>\n<{root} xmlns=\"{namespace}\">{content}</{root}>")
}

/// Appends an element with text.
pub(crate) fn put(out: &mut String, name: &str, text: &str) {
    put_raw(out, name, &quick_xml::escape::escape(text));
}

/// Appends an element with content that is XML already.
pub(crate) fn put_raw(out: &mut String, name: &str, content: &str) {
    for part in ["<", name, ">", content, "</", name, ">"] {
        out.push_str(part);
    }
}

fn named(name: &[u8]) -> Element {
    Element { name: String::from_utf8_lossy(name).into_owned(), ..Element::default() }
}

fn referenced(reference: &quick_xml::events::BytesRef<'_>) -> Result<String, String> {
    if let Some(character) = reference.resolve_char_ref().map_err(|error| error.to_string())? {
        return Ok(character.into());
    }
    let name = reference.decode().map_err(|error| error.to_string())?;
    let known = quick_xml::escape::resolve_predefined_entity(&name);
    known.map(str::to_owned).ok_or_else(|| format!("entity {name} is not known"))
}

const DEPTH_MAX: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_keep_their_text_and_order() {
        let text = b"<?xml version=\"1.0\"?><A xmlns=\"u\"><B>x &amp; y&#33;</B><C /><x:B xmlns:x=\"u\">2</x:B></A>";
        let root = Element::parse(text).unwrap();
        let shown: Vec<(&str, &str)> = root.children.iter().map(|c| (c.name.as_str(), c.text.as_str())).collect();
        assert_eq!((root.name.as_str(), &shown[..]), ("A", &[("B", "x & y!"), ("C", ""), ("B", "2")][..]));
    }

    #[test]
    fn what_is_no_document_is_refused() {
        let deep = "<A>".repeat(100);
        let bomb = "<!DOCTYPE a [<!ENTITY b \"c\">]><a>&b;</a>";
        for text in ["x", "<A><B></A>", "<A/><B/>", "<A>&unknown;</A>", "<A", &deep, bomb] {
            assert_eq!(Element::parse(text.as_bytes()).unwrap_err().code, Code::MALFORMED_XML, "{text}");
        }
        assert_eq!(Element::parse(b"").unwrap_err().code, Code::MISSING_BODY);
    }

    #[test]
    fn text_is_escaped() {
        let mut out = String::new();
        put(&mut out, "A", "<&>");
        assert_eq!(out, "<A>&lt;&amp;&gt;</A>");
    }
}
