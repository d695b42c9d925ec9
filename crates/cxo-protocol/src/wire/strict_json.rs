//! JSON as a request has to be: one text, no key twice.
//!
//! Of two values of one key, one reader takes the first and another the last; a request that can
//! be read in two ways is not carried out in either.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// Reads one JSON text. Nesting is bounded by the reader's own limit of 128.
pub fn read(bytes: &[u8]) -> Result<Value, serde_json::Error> {
    serde_json::from_slice::<Strict>(bytes).map(|Strict(value)| value)
}

struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader).map(Self)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(Strict(value)) = seq.next_element()? {
            values.push(value);
        }
        Ok(values.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut values = Map::new();
        while let Some(key) = map.next_key::<String>()? {
            if values.contains_key(&key) {
                let shown: String = key.chars().take(80).flat_map(char::escape_debug).collect();
                return Err(A::Error::custom(format!("the key `{shown}` is there twice")));
            }
            let Strict(value) = map.next_value()?;
            values.insert(key, value);
        }
        Ok(values.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// [G18] What can be read in two ways, or not at all, is refused; everything else is read as
    /// by everybody.
    #[test]
    fn only_one_reading_is_taken() {
        for bad in [
            r#"{"a":1,"a":2}"#,
            r#"{"a":{"b":[{"c":1,"c":1}]}}"#,
            r#"{"a":1} {}"#,
            r#"{"a":1e400}"#,
            "{\"a\":\"\u{0}\"}",
            r#"{"a":"\ud800"}"#,
            "\u{feff}{}",
            "",
        ] {
            assert!(read(bad.as_bytes()).is_err(), "{bad:?} was taken");
        }
        assert!(read(&[b'[', 0xff, b']']).is_err());
        assert!(read("[".repeat(100_000).as_bytes()).is_err(), "nesting has no limit");
        let good = r#"{"a":[1,-5,2.5,true,null,"x",{}],"b":18446744073709551615}"#;
        let expected: Value = serde_json::from_str(good).unwrap();
        assert_eq!(read(good.as_bytes()).unwrap(), expected);
    }
}
