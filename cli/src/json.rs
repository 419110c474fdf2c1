//! What is told to programs.
//!
//! Not `serde_json::Value`, though it is written by `serde_json`: that one also holds floating point numbers, and its
//! `json!` has code at every field for one that fails to become a value. Nothing here needs either, and in the WASI
//! program they were 24 KB.

use std::fmt;

use serde::{Serialize, Serializer};

/// A JSON value. Objects are kept in the order of their keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value {
    Null,
    Bool(bool),
    Number(u64),
    Text(String),
    List(Vec<Self>),
    Object(Vec<(&'static str, Self)>),
}

impl Value {
    /// An object with these fields.
    pub(crate) fn object(fields: Vec<(&'static str, Self)>) -> Self {
        let mut object = Self::Object(Vec::with_capacity(fields.len()));
        for (key, value) in fields {
            object.set(key, value);
        }
        object
    }

    /// Sets a field of an object. Of anything else it makes an object with this one field.
    pub(crate) fn set(&mut self, key: &'static str, value: Self) {
        match self {
            Self::Object(fields) => match fields.binary_search_by_key(&key, |(key, _)| *key) {
                Ok(at) => fields[at].1 = value,
                Err(at) => fields.insert(at, (key, value)),
            },
            other => *other = Self::Object(vec![(key, value)]),
        }
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Number(value) => serializer.serialize_u64(*value),
            Self::Text(text) => serializer.serialize_str(text),
            Self::List(values) => serializer.collect_seq(values),
            Self::Object(fields) => {
                serializer.collect_map(fields.iter().map(|(key, value)| (key, value)))
            }
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&serde_json::to_string(self).map_err(|_| fmt::Error)?)
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<u64> for Value {
    fn from(value: u64) -> Self {
        Self::Number(value)
    }
}

impl From<usize> for Value {
    fn from(value: usize) -> Self {
        Self::Number(value as u64)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl<T: Into<Self>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, T::into)
    }
}

impl<T: Into<Value>> FromIterator<T> for Value {
    fn from_iter<I: IntoIterator<Item = T>>(values: I) -> Self {
        Self::List(values.into_iter().map(T::into).collect())
    }
}

/// The first of something and the one behind the last.
pub(crate) fn pair(first: u64, end: Option<u64>) -> Value {
    Value::List(vec![first.into(), end.into()])
}

/// `json!({"key": value, …})`, where every value becomes a [`Value`] with `into`.
macro_rules! json {
    ({$($key:literal: $value:expr),* $(,)?}) => {
        $crate::json::Value::object(vec![$(($key, $value.into())),*])
    };
}

pub(crate) use json;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_written_in_the_order_of_its_keys() {
        let mut value = json!({"b": 1_u64, "a": "x\n\"", "c": None::<bool>});
        value.set("aa", Value::Null);
        value.set("aa", [Value::from(true), "y".into()].into_iter().collect());
        assert_eq!(
            value.to_string(),
            r#"{"a":"x\n\"","aa":[true,"y"],"b":1,"c":null}"#
        );
    }

    #[test]
    fn a_field_makes_an_object_of_anything() {
        let mut value = Value::Null;
        value.set("a", u64::MAX.into());
        assert_eq!(value.to_string(), r#"{"a":18446744073709551615}"#);
    }
}
