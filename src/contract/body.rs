//! The body's rules: what the parameters of a form must be (CONTRACT 4.5).
//!
//! This file decides which parameter breaks the contract and how. It must not know whose client id
//! is right: it names the parameter, and the walk compares.

use std::sync::Arc;

use super::rule::{Breach, TextRule};
use crate::fault::{Fault, Name};
use crate::ids;
use crate::oauth;
use crate::oauth::form::Form;

/// Requirements that a client's entry waives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Waivers {
    /// `username_on_refresh = "optional"` (CONTRACT decision 7).
    pub username_on_refresh: bool,
}

/// The body rules of one operation.
#[derive(Debug)]
pub struct BodyRules {
    /// How the body is read; a JSON body would be a second kind.
    pub(super) kind: BodyKind,
}

/// The kinds of body, by media type.
#[derive(Debug)]
pub(super) enum BodyKind {
    /// `application/x-www-form-urlencoded`.
    Form(FormRules),
    /// A native operation's, which has rules of its own.
    Native,
}

/// The rules of one form.
#[derive(Debug)]
pub(super) struct FormRules {
    /// The parameters.
    pub(super) shape: Shape,
    /// `additionalProperties`: whether a parameter without a rule may be sent.
    pub(super) open: bool,
    /// The parameter with `x-corgate-role: client-id`.
    pub(super) client_id: Option<Name>,
}

/// Which parameters a form has.
#[derive(Debug)]
pub(super) enum Shape {
    /// Always the same.
    Plain(Vec<ParameterRule>),
    /// `oneOf` with a `discriminator`: one parameter decides.
    Chosen(Choice),
}

/// A choice by the value of one parameter.
#[derive(Debug)]
pub(super) struct Choice {
    /// The parameter that decides; always required.
    pub(super) parameter: Name,
    /// What the client is told about a value without a branch.
    pub(super) refusals: Refusals,
    /// The branches.
    pub(super) branches: Vec<Branch>,
}

/// One of the shapes that a choice is between, flattened: common parameters are in each.
#[derive(Debug)]
pub(super) struct Branch {
    /// The values that choose it.
    pub(super) values: Vec<Name>,
    /// Its parameters, in the document's order.
    pub(super) parameters: Vec<ParameterRule>,
}

/// The rule of one parameter.
#[derive(Debug, Clone)]
pub(super) struct ParameterRule {
    /// Its name.
    pub(super) name: Name,
    /// Whether it must be sent, with a value.
    pub(super) required: bool,
    /// A client's entry may make it optional.
    pub(super) waiver: Option<Waiver>,
    /// What its value must be; two where a branch says more than the common part.
    pub(super) tests: Vec<Test>,
}

/// A rule on a value, and what the client is told if it is broken.
#[derive(Debug, Clone)]
pub(super) struct Test {
    /// The schema. Shared: a common parameter is tested in each branch.
    pub(super) text: Arc<TextRule>,
    /// Whether the value is a client id besides.
    pub(super) is_client_id: bool,
    /// The sentences.
    pub(super) refusals: Refusals,
}

/// What the client is told, by the way in which a value breaks its rule.
#[derive(Debug, Clone)]
pub(super) struct Refusals {
    /// `x-corgate-refusal`, which then is all the others too.
    own: Option<Name>,
    too_long: Name,
    not_listed: Name,
    malformed: Name,
    /// `x-corgate-error: unsupported_grant_type`.
    unlisted_is_grant: bool,
}

/// `x-corgate-waiver`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Waiver {
    /// `username_on_refresh`.
    UsernameOnRefresh,
}

impl BodyRules {
    /// The body of a native operation.
    pub(super) const fn none() -> Self {
        Self { kind: BodyKind::Native }
    }

    /// Parses the body and checks it: what decides the shape first, then each parameter in the
    /// document's order, so that the first in the table that is wrong is the one that is told.
    ///
    /// # Errors
    /// What [`Form::parse`] refuses; [`Fault::ParameterMissing`], [`Fault::ParameterMalformed`],
    /// [`Fault::GrantUnsupported`]; [`Fault::FormMalformed`] for an unknown parameter where the
    /// contract allows none.
    pub fn check<'b>(&self, body: &'b [u8], waivers: Waivers) -> Result<Form<'b>, Fault> {
        match &self.kind {
            BodyKind::Form(rules) => rules.check(body, waivers),
            BodyKind::Native => Err(Fault::Internal("a native body is no form")),
        }
    }

    /// The parameter that must equal the caller's client id (`x-corgate-role: client-id`).
    pub fn client_id_parameter(&self) -> Option<&Name> {
        match &self.kind {
            BodyKind::Form(rules) => rules.client_id.as_ref(),
            BodyKind::Native => None,
        }
    }
}

impl FormRules {
    fn check<'b>(&self, body: &'b [u8], waivers: Waivers) -> Result<Form<'b>, Fault> {
        let form = Form::parse(body)?;
        let parameters = match &self.shape {
            Shape::Plain(parameters) => parameters,
            Shape::Chosen(choice) => choice.find(&form)?,
        };
        parameters.iter().try_for_each(|rule| rule.check(&form, waivers))?;
        let is_known = |name: &str| parameters.iter().any(|rule| *rule.name == *name);
        if self.open || form.pairs().all(|(name, _)| is_known(name)) {
            Ok(form)
        } else {
            Err(Fault::FormMalformed("unknown parameter"))
        }
    }
}

impl Choice {
    fn find(&self, form: &Form<'_>) -> Result<&[ParameterRule], Fault> {
        let Some(value) = form.value(&self.parameter) else {
            return Err(Fault::ParameterMissing(self.parameter.clone()));
        };
        let has_value = |branch: &&Branch| branch.values.iter().any(|known| **known == *value);
        let branch = self.branches.iter().find(has_value);
        let branch = branch.ok_or_else(|| self.refusals.fault(&self.parameter, Breach::NotListed));
        branch.map(|branch| &*branch.parameters)
    }
}

impl ParameterRule {
    fn check(&self, form: &Form<'_>, waivers: Waivers) -> Result<(), Fault> {
        let Some(value) = form.value(&self.name) else {
            let waived = self.waiver.is_some_and(|waiver| waiver.is_granted(waivers));
            return if self.required && !waived {
                Err(Fault::ParameterMissing(self.name.clone()))
            } else {
                Ok(())
            };
        };
        for test in &self.tests {
            test.check(value).map_err(|breach| test.refusals.fault(&self.name, breach))?;
        }
        Ok(())
    }

    /// Whether its value is a client id.
    pub(super) fn is_client_id(&self) -> bool {
        self.tests.iter().any(|test| test.is_client_id)
    }
}

impl Test {
    fn check(&self, value: &str) -> Result<(), Breach> {
        self.text.check_text(value)?;
        if self.is_client_id && ids::check_party_id(value).is_err() {
            return Err(Breach::Malformed);
        }
        Ok(())
    }

    /// Whether `x-corgate-error` stands here without a list that it could be about.
    pub(super) fn lacks_list(&self) -> bool {
        self.refusals.unlisted_is_grant && self.text.listed.is_none()
    }
}

impl Refusals {
    /// The sentences for a parameter: the document's own (`x-corgate-refusal`) for every breach, or
    /// the most precise that the rule gives.
    pub(super) fn new(
        name: &str,
        text: &TextRule,
        own: Option<Name>,
        unlisted_is_grant: bool,
    ) -> Self {
        if let Some(own) = own {
            let (too_long, not_listed, malformed) = (own.clone(), own.clone(), own.clone());
            return Self { own: Some(own), too_long, not_listed, malformed, unlisted_is_grant };
        }
        let malformed: Name = format!("{name} is malformed").into();
        let too_long = text.length_max.map(|max| match max {
            1 => format!("{name} must be at most 1 character"),
            max => format!("{name} must be at most {max} characters"),
        });
        let not_listed = text.listed.as_deref().map(|listed| one_of(name, listed));
        let or_malformed = |sentence: Option<String>| match sentence {
            // An enum can be too long or have characters that a description can't carry.
            Some(sentence) if is_sentence(&sentence) => sentence.into(),
            Some(_) | None => malformed.clone(),
        };
        let (too_long, not_listed) = (or_malformed(too_long), or_malformed(not_listed));
        Self { own: None, too_long, not_listed, malformed, unlisted_is_grant }
    }

    /// The same for a list of values that the document spreads over branches.
    pub(super) fn for_values(&self, name: &str, listed: Vec<Name>) -> Self {
        let text = TextRule::of_values(listed);
        Self::new(name, &text, self.own.clone(), self.unlisted_is_grant)
    }

    fn fault(&self, name: &Name, breach: Breach) -> Fault {
        let sentence = match breach {
            Breach::NotListed if self.unlisted_is_grant => {
                return Fault::GrantUnsupported(self.not_listed.clone());
            }
            Breach::NotListed => &self.not_listed,
            Breach::TooLong => &self.too_long,
            Breach::Malformed => &self.malformed,
        };
        Fault::ParameterMalformed(name.clone(), sentence.clone())
    }
}

impl Waiver {
    /// Every waiver, by its name in a document.
    pub(super) const ALL: [(&'static str, Self); 1] =
        [("username_on_refresh", Self::UsernameOnRefresh)];

    fn is_granted(self, waivers: Waivers) -> bool {
        match self {
            Self::UsernameOnRefresh => waivers.username_on_refresh,
        }
    }
}

/// Whether `text` can be an `error_description`: not empty, short, and of its characters.
pub(super) fn is_sentence(text: &str) -> bool {
    !text.is_empty() && text.len() <= SENTENCE_BYTES_MAX && oauth::is_description(text)
}

/// `a must be b, c or d`.
fn one_of(name: &str, listed: &[Name]) -> String {
    match listed {
        [first @ .., before_last, last] => {
            let first: String = first.iter().map(|value| format!("{value}, ")).collect();
            format!("{name} must be {first}{before_last} or {last}")
        }
        [only] => format!("{name} must be {only}"),
        [] => String::new(),
    }
}

/// Longest sentence that a client is told, in bytes.
pub(super) const SENTENCE_BYTES_MAX: usize = 200;

#[cfg(test)]
mod tests;
