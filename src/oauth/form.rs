//! stub
/// A parsed form.
#[derive(Debug)]
pub struct Form<'b> {
    pairs: Vec<(std::borrow::Cow<'b, str>, std::borrow::Cow<'b, str>)>,
}

impl<'b> Form<'b> {
    /// The decoded value of a parameter.
    pub fn value(&self, name: &str) -> Option<&str> {
        self.pairs.iter().find(|pair| pair.0 == name).map(|pair| &*pair.1)
    }
}
