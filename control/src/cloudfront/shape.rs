//! What elements a structure of the API has: from XML to JSON with every default filled
//! in, as the service itself shows what it keeps, and back to XML in the model's order.

use crate::error::{ApiError, Code};
use crate::xml::{self, Element};
use serde_json::{Map, Value};

/// The kind of a value.
#[derive(Debug)]
pub(crate) enum Shape {
    Text,
    Number,
    /// With a fraction.
    Fraction,
    Flag,
    /// Elements of this name.
    List(&'static str, &'static Shape),
    Struct(&'static [Field]),
}

/// A member of a structure.
#[derive(Debug)]
pub(crate) struct Field {
    pub(crate) name: &'static str,
    pub(crate) shape: Shape,
    absent: Absent,
}

/// What a member is that is not given.
#[derive(Debug)]
enum Absent {
    Refused,
    /// It stays away.
    Allowed,
    /// This JSON, itself filled in.
    Default(&'static str),
}

pub(crate) const fn required(name: &'static str, shape: Shape) -> Field {
    Field { name, shape, absent: Absent::Refused }
}

pub(crate) const fn optional(name: &'static str, shape: Shape) -> Field {
    Field { name, shape, absent: Absent::Allowed }
}

/// A member whose default is this JSON.
pub(crate) const fn defaulted(name: &'static str, shape: Shape, default: &'static str) -> Field {
    Field { name, shape, absent: Absent::Default(default) }
}

impl Shape {
    /// The element's content as JSON, every default filled in. A structure with a Quantity
    /// must have as many Items.
    pub(crate) fn read(&self, element: &Element) -> Result<Value, ApiError> {
        let wrong = |kind: &str| {
            let message = format!("{} is {:?}, it must be {kind}", element.name, element.text.trim());
            ApiError::new(Code::MALFORMED_XML, message)
        };
        let text = element.text.trim();
        match self {
            Shape::Text => Ok(Value::String(element.text.clone())),
            Shape::Number => text.parse::<i64>().map(Value::from).map_err(|_| wrong("a whole number")),
            Shape::Fraction => text.parse::<f64>().map(Value::from).map_err(|_| wrong("a number")),
            Shape::Flag => text.parse::<bool>().map(Value::Bool).map_err(|_| wrong("true or false")),
            Shape::List(name, of) => {
                if let Some(other) = element.children.iter().find(|child| child.name != *name) {
                    return Err(unknown(element, other));
                }
                element.children.iter().map(|child| of.read(child)).collect::<Result<Vec<_>, _>>().map(Value::Array)
            }
            Shape::Struct(fields) => read_struct(fields, element),
        }
    }

    /// What [`Shape::write`] puts within the element of a structure.
    pub(crate) fn content(&self, value: &Value) -> String {
        let mut content = String::new();
        if let (Shape::Struct(fields), Value::Object(members)) = (self, value) {
            for field in *fields {
                if let Some(value) = members.get(field.name) {
                    field.shape.write(&mut content, field.name, value);
                }
            }
        }
        content
    }

    /// Appends the value as elements.
    pub(crate) fn write(&self, out: &mut String, name: &str, value: &Value) {
        match (self, value) {
            (Shape::List(child, of), Value::Array(items)) => {
                // Absent, as the service itself does it.
                if items.is_empty() {
                    return;
                }
                let mut content = String::new();
                items.iter().for_each(|item| of.write(&mut content, child, item));
                xml::put_raw(out, name, &content);
            }
            (Shape::Struct(_), Value::Object(_)) => xml::put_raw(out, name, &self.content(value)),
            (_, Value::String(text)) => xml::put(out, name, text),
            (_, other) => xml::put(out, name, &other.to_string()),
        }
    }

    fn fill(&self, value: Value) -> Value {
        match (self, value) {
            (Shape::Struct(fields), Value::Object(mut members)) => {
                for field in *fields {
                    let value = match (members.remove(field.name), &field.absent) {
                        (Some(value), _) => value,
                        (None, Absent::Default(default)) => {
                            serde_json::from_str(default).expect("a default is JSON: a test fills all in")
                        }
                        (None, Absent::Refused | Absent::Allowed) => continue,
                    };
                    members.insert(field.name.to_owned(), field.shape.fill(value));
                }
                Value::Object(members)
            }
            (_, value) => value,
        }
    }
}

fn read_struct(fields: &[Field], element: &Element) -> Result<Value, ApiError> {
    let mut members = Map::new();
    for child in &element.children {
        let field = fields.iter().find(|field| field.name == child.name);
        let field = field.ok_or_else(|| unknown(element, child))?;
        let value = field.shape.read(child)?;
        // Clients write an empty id for none.
        if matches!(field.absent, Absent::Allowed) && value == "" {
            continue;
        }
        if members.insert(child.name.clone(), value).is_some() {
            let message = format!("{} has more than one {}", element.name, child.name);
            return Err(ApiError::new(Code::MALFORMED_XML, message));
        }
    }
    for field in fields {
        if matches!(field.absent, Absent::Refused) && !members.contains_key(field.name) {
            let message = format!("{} has no {}", element.name, field.name);
            return Err(ApiError::new(Code::MALFORMED_XML, message));
        }
        if let (Absent::Default(default), false) = (&field.absent, members.contains_key(field.name)) {
            let value = serde_json::from_str(default).expect("a default is JSON: a test fills all in");
            members.insert(field.name.to_owned(), field.shape.fill(value));
        }
    }
    if let Some(quantity) = members.get("Quantity").and_then(Value::as_u64) {
        let items = members.get("Items").and_then(Value::as_array).map_or(0, Vec::len) as u64;
        if quantity != items {
            let message = format!("{} has Quantity {quantity} and {items} Items", element.name);
            return Err(ApiError::new(Code::INCONSISTENT_QUANTITIES, message));
        }
    }
    Ok(Value::Object(members))
}

fn unknown(parent: &Element, child: &Element) -> ApiError {
    ApiError::new(Code::MALFORMED_XML, format!("{} cannot have {}", parent.name, child.name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const NAMES: Shape = Shape::Struct(&[
        required("Quantity", Shape::Number),
        defaulted("Items", Shape::List("Name", &Shape::Text), "[]"),
    ]);
    const THING: Shape = Shape::Struct(&[
        required("Id", Shape::Text),
        defaulted("Names", NAMES, "{\"Quantity\": 0}"),
        defaulted("Enabled", Shape::Flag, "false"),
        optional("Size", Shape::Number),
        optional("Owner", Shape::Text),
    ]);

    fn read(text: &str) -> Result<Value, ApiError> {
        THING.read(&Element::parse(text.as_bytes()).unwrap())
    }

    #[test]
    fn defaults_are_filled_in_and_order_does_not_matter() {
        let expected = json!({ "Id": "a", "Names": { "Quantity": 0, "Items": [] }, "Enabled": false });
        assert_eq!(read("<T><Id>a</Id></T>").unwrap(), expected);
        let full = "<T><Names><Items><Name>x</Name></Items><Quantity>1</Quantity></Names><Enabled>true</Enabled><Id>a</Id></T>";
        let value = read(full).unwrap();
        let mut out = String::new();
        THING.write(&mut out, "T", &value);
        let ordered = "<T><Id>a</Id><Names><Quantity>1</Quantity><Items><Name>x</Name></Items></Names><Enabled>true</Enabled></T>";
        assert_eq!(out, ordered);
    }

    #[test]
    fn an_empty_text_is_as_good_as_none_where_there_may_be_none() {
        let value = read("<T><Id/><Owner></Owner></T>").unwrap();
        assert_eq!((&value["Id"], value.get("Owner")), (&json!(""), None));
        assert_eq!(read("<T><Id>a</Id><Owner>b</Owner></T>").unwrap()["Owner"], "b");
    }

    #[test]
    fn what_does_not_fit_is_named() {
        for (text, code, named) in [
            ("<T/>", Code::MALFORMED_XML, "Id"),
            ("<T><Id>a</Id><Other/></T>", Code::MALFORMED_XML, "Other"),
            ("<T><Id>a</Id><Id>b</Id></T>", Code::MALFORMED_XML, "Id"),
            ("<T><Id>a</Id><Size>x</Size></T>", Code::MALFORMED_XML, "Size"),
            ("<T><Id>a</Id><Names><Quantity>2</Quantity></Names></T>", Code::INCONSISTENT_QUANTITIES, "Names"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.code == code && error.message.contains(named), "{text}: {error}");
        }
    }
}
