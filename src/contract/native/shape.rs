//! Shapes: what a value in a query, a form or a JSON body must be.
//!
//! This file decides which members are wrong, and collects them: the walk tells the first, or all.
//! One set of rules serves all three encodings, because a form is an object of texts. It must not
//! know how a value was sent.

use super::json::Json;
use crate::contract::rule::TextRule;
use crate::fault::{Fault, Name};
use crate::oauth::ErrorCode;

/// Most wrong members that are told at once.
const WRONG_MAX: usize = 32;

/// The rule of one value.
#[derive(Debug, Clone)]
pub(in crate::contract) struct Rule {
    /// Where it stands, for people: `consents[].account_id`.
    pub(in crate::contract) name: Name,
    /// What it must be.
    pub(in crate::contract) shape: Shape,
    /// What the client is told.
    pub(in crate::contract) refusal: Name,
    /// `x-corgate-error`.
    pub(in crate::contract) error: Option<ValueError>,
    /// `x-corgate-role: client-id`: it says who calls.
    pub(in crate::contract) is_client_id: bool,
}

/// `x-corgate-error` on a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::contract) enum ValueError {
    /// `unsupported_grant_type`.
    Grant,
    /// `invalid_client`, also where it is missing.
    Client,
    /// Another `error`, for a value that breaks the rule.
    Value(ErrorCode),
}

/// What a value must be.
#[derive(Debug, Clone)]
pub(in crate::contract) enum Shape {
    /// Anything.
    Any,
    /// A text.
    Text(TextRule),
    /// `true` or `false`.
    Boolean,
    /// A number between two bounds; `true`: without a fraction.
    Number(bool, f64, f64),
    /// A list.
    Array {
        /// Each of it.
        items: Box<Rule>,
        /// `minItems`.
        length_min: usize,
        /// `maxItems`.
        length_max: usize,
        /// `x-corgate-unique`: the member that is different in each.
        unique: Option<Name>,
    },
    /// An object.
    Object(Box<ObjectRule>),
}

/// The rule of an object.
#[derive(Debug, Clone, Default)]
pub(in crate::contract) struct ObjectRule {
    /// Its members, in the document's order, and whether each must be there.
    pub(in crate::contract) members: Vec<(Name, Rule, bool)>,
    /// `additionalProperties: false`.
    pub(in crate::contract) closed: bool,
    /// `oneOf` with a `discriminator`.
    pub(in crate::contract) choice: Option<Choice>,
    /// `oneOf` of conditions: exactly one of these sets holds.
    pub(in crate::contract) exactly_one: Vec<Vec<(Name, Condition)>>,
    /// `x-corgate-pgp-needs`: the member that encrypted values need.
    pub(in crate::contract) pgp_needs: Option<Name>,
}

/// What a set of `oneOf` says of one member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::contract) enum Condition {
    /// `required`.
    Present,
    /// `properties: {name: false}`.
    Absent,
    /// `properties: {name: {const: …}}`: if it is there, it is this.
    Is(bool),
}

/// Shapes that the value of one member chooses between.
#[derive(Debug, Clone)]
pub(in crate::contract) struct Choice {
    /// The member.
    pub(in crate::contract) member: Name,
    /// What a value without a branch is told.
    pub(in crate::contract) refusal: Name,
    /// Value and shape.
    pub(in crate::contract) branches: Vec<(Name, ObjectRule)>,
}

impl Rule {
    /// Checks a value. What is wrong is added to `wrong`, in the document's order.
    pub(in crate::contract) fn check(&self, value: &Json, wrong: &mut Vec<Fault>) {
        if wrong.len() >= WRONG_MAX {
            return;
        }
        let holds = match (&self.shape, value) {
            (Shape::Any, _) | (Shape::Boolean, Json::Bool(_)) => true,
            (Shape::Text(rule), Json::Text(text)) => rule.check_text(text).is_ok(),
            (Shape::Number(whole, min, max), Json::Number(number)) => {
                (min..=max).contains(&number) && !(*whole && number.fract() != 0.0)
            }
            (Shape::Array { items, length_min, length_max, unique }, Json::Array(list)) => {
                list.iter().for_each(|item| items.check(item, wrong));
                (*length_min..=*length_max).contains(&list.len())
                    && unique.as_ref().is_none_or(|member| is_unique(list, member))
            }
            (Shape::Object(rule), Json::Object(members)) => {
                rule.check(self, value, members, wrong);
                true
            }
            _ => false,
        };
        if !holds {
            wrong.push(self.broken());
        }
    }

    /// Whether a value, or one inside of it, can say who calls.
    pub(in crate::contract) fn claims_client(&self) -> bool {
        self.is_client_id
            || match &self.shape {
                Shape::Array { items, .. } => items.claims_client(),
                Shape::Object(rule) => rule.rules().any(|(_, rule)| rule.claims_client()),
                _ => false,
            }
    }

    /// Whether every value that says who calls says what it has to. Of two members of one name
    /// each is looked at: nobody knows which of them will be read.
    pub(super) fn agrees(&self, value: &Json, goes_by: &dyn Fn(&str) -> bool) -> bool {
        match (&self.shape, value) {
            (Shape::Text(_), Json::Text(text)) => !self.is_client_id || goes_by(text),
            (Shape::Array { items, .. }, Json::Array(list)) => {
                list.iter().all(|item| items.agrees(item, goes_by))
            }
            (Shape::Object(rule), Json::Object(_)) => rule
                .rules()
                .all(|(member, rule)| value.all(member).all(|value| rule.agrees(value, goes_by))),
            _ => true,
        }
    }

    fn broken(&self) -> Fault {
        match self.error {
            Some(ValueError::Grant) => Fault::GrantUnsupported(self.refusal.clone()),
            Some(ValueError::Value(error)) => Fault::ParameterRefused(error, self.refusal.clone()),
            Some(ValueError::Client) => Fault::CredentialsMissing(self.name.clone()),
            None => Fault::ParameterMalformed(self.name.clone(), self.refusal.clone()),
        }
    }

    fn missing(&self) -> Fault {
        match self.error {
            Some(ValueError::Client) => Fault::CredentialsMissing(self.name.clone()),
            _ => Fault::ParameterMissing(self.name.clone()),
        }
    }
}

impl ObjectRule {
    /// The rules of all members, whichever shape is chosen.
    fn rules(&self) -> impl Iterator<Item = (&Name, &Rule)> {
        let branches = self.choice.iter().flat_map(|choice| &choice.branches);
        let branched = branches.flat_map(|(_, branch)| &branch.members);
        self.members.iter().chain(branched).map(|(name, rule, _)| (name, rule))
    }

    fn check(
        &self,
        whole: &Rule,
        value: &Json,
        members: &[(String, Json)],
        wrong: &mut Vec<Fault>,
    ) {
        let branch = self.choice.as_ref().and_then(|choice| choice.find(value));
        let unchosen = self.choice.as_ref().filter(|_| branch.is_none());
        if let Some(choice) = unchosen {
            // What follows depends on the choice: nothing else is worth telling.
            wrong.push(match value.get(&choice.member) {
                Some(_) => Fault::GrantUnsupported(choice.refusal.clone()),
                None => Fault::ParameterMissing(choice.member.clone()),
            });
            return;
        }
        let branched = || branch.into_iter().flat_map(|branch| &branch.members);
        for (member, rule, required) in self.members.iter().chain(branched()) {
            let before = wrong.len();
            value.all(member).for_each(|value| rule.check(value, wrong));
            let is_told = wrong.len() > before;
            if *required && !is_told && value.get(member).is_none() {
                wrong.push(rule.missing());
            }
        }
        let is_known = |present: &str| {
            self.members.iter().chain(branched()).any(|(member, ..)| **member == *present)
        };
        if self.closed && !members.iter().all(|(present, _)| is_known(present)) {
            let sentence = format!("{} has an unknown member", shown(&whole.name));
            wrong.push(Fault::ParameterMalformed(whole.name.clone(), sentence.into()));
        }
        let sets = &self.exactly_one;
        if !sets.is_empty() && sets.iter().filter(|set| holds(set, value)).count() != 1 {
            wrong.push(whole.broken());
        }
        self.check_pgp(value, wrong);
    }

    fn check_pgp(&self, value: &Json, wrong: &mut Vec<Fault>) {
        let Some(needed) = &self.pgp_needs else { return };
        let is_pgp = |text: &str| text.starts_with("-----BEGIN PGP MESSAGE-----");
        if value.get(needed).is_none() && value.has_text(&is_pgp) {
            wrong.push(Fault::ParameterMissing(needed.clone()));
        }
    }
}

impl Choice {
    fn find(&self, value: &Json) -> Option<&ObjectRule> {
        let Some(Json::Text(chosen)) = value.get(&self.member) else { return None };
        // Said twice and differently, nobody knows which of them will be read.
        if !value.all(&self.member).all(|said| matches!(said, Json::Text(text) if text == chosen)) {
            return None;
        }
        let branch = self.branches.iter().find(|(value, _)| **value == **chosen);
        branch.map(|(_, rule)| rule)
    }
}

/// Whether a value keeps all conditions of a set.
fn holds(set: &[(Name, Condition)], value: &Json) -> bool {
    set.iter().all(|(member, condition)| match (condition, value.get(member)) {
        (Condition::Present, found) => found.is_some(),
        (Condition::Absent, found) => found.is_none(),
        (Condition::Is(_), None) => true,
        (Condition::Is(wanted), Some(Json::Bool(found))) => wanted == found,
        (Condition::Is(_), Some(_)) => false,
    })
}

fn shown(name: &str) -> &str {
    if name.is_empty() { "body" } else { name }
}

/// Whether a member differs in each item, as far as it is a text.
fn is_unique(list: &[Json], member: &str) -> bool {
    let mut seen = std::collections::HashSet::new();
    list.iter().flat_map(|item| item.all(member)).all(|value| match value {
        Json::Text(text) => seen.insert(text),
        _ => true,
    })
}
