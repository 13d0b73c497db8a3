//! A result's header map as it stands in the JSON, read in the same pass as the
//! result and borrowed from it. What is not of a header map's shape is kept as
//! what it is instead: `header_map` says which rule that breaks.

use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

/// What is there, or the kind of JSON that is there in its place.
pub(super) enum Found<T> {
    It(T),
    Other(&'static str),
}

/// The entries of a header map in order, repeated names included.
pub(super) type HeaderMap<'a> = Found<Vec<(Name<'a>, Lines<'a>)>>;

/// The lines of one name.
pub(super) type Lines<'a> = Found<Vec<Found<RawLine<'a>>>>;

/// A name, copied only where it has escapes.
pub(super) struct Name<'a>(pub(super) Cow<'a, str>);

/// One line, its fields still JSON.
#[derive(Default)]
pub(super) struct RawLine<'a> {
    pub(super) key: Option<&'a RawValue>,
    pub(super) value: Option<&'a RawValue>,
}

/// How a thing is read from an object or from an array; everything else is [`Found::Other`].
trait Shape<'de>: Sized {
    fn of_map<A: MapAccess<'de>>(map: A) -> Result<Found<Self>, A::Error> {
        skip_map(map)
    }

    fn of_seq<A: SeqAccess<'de>>(seq: A) -> Result<Found<Self>, A::Error> {
        skip_seq(seq)
    }
}

impl<'de: 'a, 'a> Shape<'de> for Vec<(Name<'a>, Lines<'a>)> {
    fn of_map<A: MapAccess<'de>>(mut map: A) -> Result<Found<Self>, A::Error> {
        let mut entries = Vec::with_capacity(ENTRIES_USUAL);
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(Found::It(entries))
    }
}

impl<'de: 'a, 'a> Shape<'de> for Vec<Found<RawLine<'a>>> {
    fn of_seq<A: SeqAccess<'de>>(mut seq: A) -> Result<Found<Self>, A::Error> {
        let mut lines = Vec::with_capacity(1);
        while let Some(line) = seq.next_element()? {
            lines.push(line);
        }
        Ok(Found::It(lines))
    }
}

impl<'de: 'a, 'a> Shape<'de> for RawLine<'a> {
    fn of_map<A: MapAccess<'de>>(mut map: A) -> Result<Found<Self>, A::Error> {
        let mut line = RawLine::default();
        let mut twice = false;
        while let Some(Name(name)) = map.next_key()? {
            let field = match &*name {
                "key" => &mut line.key,
                "value" => &mut line.value,
                _ => {
                    map.next_value::<IgnoredAny>()?;
                    continue;
                }
            };
            twice |= field.replace(map.next_value()?).is_some();
        }
        Ok(if twice { Found::Other("an object with a field twice") } else { Found::It(line) })
    }
}

impl<'de, T: Shape<'de>> Deserialize<'de> for Found<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyKind(PhantomData))
    }
}

struct AnyKind<T>(PhantomData<T>);

impl<'de, T: Shape<'de>> Visitor<'de> for AnyKind<T> {
    type Value = Found<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        T::of_map(map)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Self::Value, A::Error> {
        T::of_seq(seq)
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<Self::Value, E> {
        Ok(Found::Other("a string"))
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Self::Value, E> {
        Ok(Found::Other("a boolean"))
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(Found::Other("null"))
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<Self::Value, E> {
        Ok(Found::Other("a number"))
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Self::Value, E> {
        Ok(Found::Other("a number"))
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Self::Value, E> {
        Ok(Found::Other("a number"))
    }
}

fn skip_map<'de, T, A: MapAccess<'de>>(mut map: A) -> Result<Found<T>, A::Error> {
    while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
    Ok(Found::Other("an object"))
}

fn skip_seq<'de, T, A: SeqAccess<'de>>(mut seq: A) -> Result<Found<T>, A::Error> {
    while seq.next_element::<IgnoredAny>()?.is_some() {}
    Ok(Found::Other("an array"))
}

impl<'de: 'a, 'a> Deserialize<'de> for Name<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl<'de> Visitor<'de> for Text {
            type Value = Name<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name")
            }

            fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Name(Cow::Borrowed(text)))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Name(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(Text)
    }
}

/// Room for the headers of most events.
const ENTRIES_USUAL: usize = 16;
