//! Path templates: `/connections/{id}`.
//!
//! This file decides which paths a template has. A segment that a target could read as more than
//! one, or as a way up, matches none. It must not know which operation is asked.

use crate::contract::rule::TextRule;
use crate::fault::{Fault, Name};
use crate::ids::hex_value;

/// A path with parameters.
#[derive(Debug)]
pub(in crate::contract) struct Template {
    /// Its segments, in order.
    pub(in crate::contract) segments: Vec<Segment>,
}

/// One segment of a template.
#[derive(Debug)]
pub(in crate::contract) enum Segment {
    /// This text.
    Literal(Name),
    /// One non-empty segment.
    Parameter(PathParameter),
}

/// The rule of one path parameter.
#[derive(Debug)]
pub(in crate::contract) struct PathParameter {
    /// Its name.
    pub(in crate::contract) name: Name,
    /// Its schema.
    pub(in crate::contract) text: TextRule,
    /// What the client is told.
    pub(in crate::contract) refusal: Name,
}

impl Template {
    /// Whether a path below the mount, which starts with `/`, is one of these.
    pub(super) fn matches(&self, below: &str) -> bool {
        let mut parts = below.strip_prefix('/').unwrap_or(below).split('/');
        let fits = |segment: &Segment| match (segment, parts.next()) {
            (Segment::Literal(text), Some(part)) => **text == *part,
            (Segment::Parameter(_), Some(part)) => decode(part).is_some(),
            (_, None) => false,
        };
        self.segments.iter().all(fits) && parts.next().is_none()
    }

    /// Checks the parameters of a path that matches.
    pub(super) fn check(&self, below: &str, wrong: &mut Vec<Fault>) {
        let parts = below.strip_prefix('/').unwrap_or(below).split('/');
        for (segment, part) in self.segments.iter().zip(parts) {
            let Segment::Parameter(rule) = segment else { continue };
            let holds = decode(part).is_some_and(|text| rule.text.check_text(&text).is_ok());
            if !holds {
                wrong.push(Fault::ParameterMalformed(rule.name.clone(), rule.refusal.clone()));
            }
        }
    }
}

/// Decodes one segment. `None` where two servers could read two paths in it: where it is empty, `.`
/// or `..`, holds what is no `pchar` (RFC 3986 section 3.3), or, raw or encoded, a control
/// character or what divides a path for anybody. That is `/` and `\`; `;`, behind which some read
/// parameters that they cut off (`..;`); `?` and `#`, for who decodes first; and `%`, for who
/// decodes twice.
fn decode(part: &str) -> Option<String> {
    let mut octets = Vec::with_capacity(part.len());
    let mut rest = part.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        rest = tail;
        let octet = if *first == b'%' {
            let (digits, after) = tail.split_at_checked(2)?;
            let [high, low] = *digits else { return None };
            rest = after;
            hex_value(high)? << 4 | hex_value(low)?
        } else if first.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@".contains(first) {
            *first
        } else {
            return None;
        };
        if octet.is_ascii_control() || b"/\\;?#%".contains(&octet) {
            return None;
        }
        octets.push(octet);
    }
    let text = String::from_utf8(octets).ok()?;
    (!matches!(text.as_str(), "" | "." | "..")).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template() -> Template {
        let parameter = PathParameter {
            name: "id".into(),
            text: TextRule { length_max: Some(5), ..TextRule::default() },
            refusal: "id is malformed".into(),
        };
        let literal = |text: &str| Segment::Literal(text.into());
        Template { segments: vec![literal("a"), Segment::Parameter(parameter), literal("b")] }
    }

    #[test]
    fn a_parameter_is_one_segment_that_nobody_reads_as_more() {
        for good in ["/a/1/b", "/a/%41/b", "/a/x:y/b", "/a/.../b", "/a/toolong/b"] {
            assert!(template().matches(good), "{good}");
        }
        for bad in [
            "/a//b",
            "/a/1",
            "/a/1/b/",
            "/a/1/2/b",
            "/b/1/b",
            "/a/./b",
            "/a/../b",
            "/a/%2e%2E/b",
            "/a/%2F/b",
            "/a/%5c/b",
            "/a/%00/b",
            "/a/%/b",
            "/a/%4/b",
            "/a/%zz/b",
            "/a/{id}/b",
            "/a/\u{fc}/b",
            "/a/%ff/b",
            "/a/1;/../b",
            "/a/..;/b",
            "/a/%2e%2e;/b",
            "/a/%2e%2e%3b/b",
            "/a/..;v=1/b",
            "/a/7;jsessionid=x/b",
            "/a/%252e%252e/b",
            "/a/%252f/b",
            "/a/1%25/b",
            "/a/1%3Fx/b",
            "/a/1%23x/b",
            "/a/1\\2/b",
        ] {
            assert!(!template().matches(bad), "{bad}");
        }
    }

    #[test]
    fn its_schema_is_told_apart_from_the_path() {
        let wrong = |below| {
            let mut wrong = Vec::new();
            template().check(below, &mut wrong);
            wrong
        };
        assert_eq!(wrong("/a/12345/b"), []);
        let fault = Fault::ParameterMalformed("id".into(), "id is malformed".into());
        assert_eq!(wrong("/a/123456/b"), [fault]);
    }
}
