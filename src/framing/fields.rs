//! The fields of a message to or from a bank, in their order.
//!
//! A list and no map: there are a dozen of them, they are looked for a few times at most, and to
//! compare a dozen names costs less than to hash one. It must not know what a field means.

use http::{HeaderMap, HeaderName, HeaderValue};

/// Fields.
#[derive(Debug, Clone, Default)]
pub struct Fields(Vec<(HeaderName, HeaderValue)>);

impl Fields {
    /// None.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// None, with room for so many.
    pub fn with_capacity(fields: usize) -> Self {
        Self(Vec::with_capacity(fields))
    }

    /// Sets a field: it stands once then, where it first stood or at the end.
    pub fn insert(&mut self, name: HeaderName, value: HeaderValue) {
        let Some(first) = self.0.iter().position(|(known, _)| *known == name) else {
            return self.append(name, value);
        };
        let mut at = 0;
        self.0.retain(|(known, _)| {
            at += 1;
            at <= first + 1 || *known != name
        });
        if let Some(place) = self.0.get_mut(first) {
            place.1 = value;
        }
    }

    /// Adds a line behind the others.
    pub fn append(&mut self, name: HeaderName, value: HeaderValue) {
        self.0.push((name, value));
    }

    /// The value of a field; of several, the first.
    pub fn get(&self, name: &HeaderName) -> Option<&HeaderValue> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value)
    }

    /// The values of a field, in their order.
    pub fn get_all<'f, 'n>(
        &'f self,
        name: &'n HeaderName,
    ) -> impl Iterator<Item = &'f HeaderValue> + use<'f, 'n> {
        self.0.iter().filter(move |(known, _)| known == name).map(|(_, value)| value)
    }

    /// Whether a field is there.
    pub fn contains(&self, name: &HeaderName) -> bool {
        self.get(name).is_some()
    }

    /// Lines.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Every line, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&HeaderName, &HeaderValue)> {
        self.0.iter().map(|(name, value)| (name, value))
    }

    /// The same, as the HTTP library wants it.
    pub fn to_map(&self) -> HeaderMap {
        let mut map = HeaderMap::with_capacity(self.len());
        for (name, value) in self.iter() {
            map.append(name.clone(), value.clone());
        }
        map
    }
}

impl FromIterator<(HeaderName, HeaderValue)> for Fields {
    fn from_iter<I: IntoIterator<Item = (HeaderName, HeaderValue)>>(lines: I) -> Self {
        Self(lines.into_iter().collect())
    }
}

impl From<HeaderMap> for Fields {
    fn from(map: HeaderMap) -> Self {
        let mut fields = Self::with_capacity(map.len());
        let mut name = None;
        for (named, value) in map {
            // A line without a name has that of the line before.
            name = named.or(name);
            if let Some(name) = &name {
                fields.append(name.clone(), value);
            }
        }
        fields
    }
}

#[cfg(test)]
mod tests {
    use http::header::{ACCEPT, VIA};

    use super::*;

    fn text(fields: &Fields) -> String {
        let line = |(name, value): (&HeaderName, &HeaderValue)| {
            format!("{name}={} ", value.to_str().unwrap())
        };
        fields.iter().map(line).collect()
    }

    #[test]
    fn a_field_that_is_set_stands_once_where_it_first_stood() {
        let value = HeaderValue::from_static;
        let mut fields = Fields::new();
        fields.append(VIA, value("1"));
        fields.append(ACCEPT, value("2"));
        fields.append(VIA, value("3"));
        assert_eq!(text(&fields), "via=1 accept=2 via=3 ");
        assert_eq!(text(&Fields::from(fields.to_map())), "via=1 via=3 accept=2 ");
        fields.insert(VIA, value("4"));
        assert_eq!(text(&fields), "via=4 accept=2 ");
        fields.insert(http::header::AGE, value("5"));
        assert_eq!(text(&fields), "via=4 accept=2 age=5 ");
        assert_eq!((fields.len(), fields.contains(&VIA)), (3, true));
    }
}
