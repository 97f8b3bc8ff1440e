//! One walk over a request's fields: the class of each, and what the checks ask.

use super::cause::{Cause, Missing};
use super::class::{Class, Classifier, Found};
use super::names::FieldName;
use super::request::{Field, MAX_FIELDS, trim};

/// What one walk over the fields found.
pub(super) struct Survey<'a> {
    pub(super) classes: [Class; MAX_FIELDS],
    /// The user header's value, trimmed; `None` where it is absent.
    pub(super) user: Option<&'a [u8]>,
    /// The value of `x-openclaw-scopes`, trimmed; `None` where it is absent.
    pub(super) scopes: Option<&'a [u8]>,
    /// The value of the assertion's header, trimmed; `None` where it is absent.
    pub(super) assertion: Option<&'a [u8]>,
    alias: Option<&'a FieldName>,
    repeated: Option<&'a FieldName>,
    /// A bit for each required header that came.
    came: u128,
    /// A bit for each required header that came with a value.
    filled: u128,
}

impl<'a> Survey<'a> {
    /// Looks at every field once. More of them than can be examined are refused.
    pub(super) fn take(classifier: &'a Classifier, fields: &'a [Field<'a>]) -> Result<Self, Cause> {
        if fields.len() > MAX_FIELDS {
            return Err(Cause::TooManyFields(fields.len()));
        }
        let mut survey = Self {
            classes: [Class::Drop; MAX_FIELDS],
            user: None,
            scopes: None,
            assertion: None,
            alias: None,
            repeated: None,
            came: 0,
            filled: 0,
        };
        for (class, field) in survey.classes.iter_mut().zip(fields) {
            let entry = match classifier.find(field.name) {
                Found::Ordinary => {
                    *class = Class::Pass;
                    continue;
                }
                Found::Foreign => continue,
                Found::Alias(entry) => {
                    survey.alias = Some(&entry.name);
                    continue;
                }
                Found::Known(entry) => entry,
            };
            *class = entry.class;
            let earlier = match entry.class {
                Class::User => survey.user.replace(trim(field.value)).is_some(),
                Class::Scopes => survey.scopes.replace(trim(field.value)).is_some(),
                _ if entry.is_assertion => survey.assertion.replace(trim(field.value)).is_some(),
                _ => false,
            };
            let bit = entry.required.map_or(0, required_bit);
            // A list may be split over several fields (RFC 9110 §5.3), and
            // HTTP/2 splits cookies (RFC 9113 §8.2.3).
            let is_list = matches!(entry.class, Class::ForwardedFor | Class::Cookie);
            if earlier || (survey.came & bit != 0 && !is_list) {
                survey.repeated = Some(&entry.name);
            }
            survey.came |= bit;
            if bit != 0 && !trim(field.value).is_empty() {
                survey.filled |= bit;
            }
        }
        Ok(survey)
    }

    /// Refuses stand-ins for the names we set or decide by.
    pub(super) fn refuse_aliases(&self) -> Result<(), Cause> {
        match self.alias {
            Some(name) => Err(Cause::Alias(name.clone())),
            None => Ok(()),
        }
    }

    /// Refuses a header that must be single and isn't.
    pub(super) fn refuse_repeated(&self, fields: &[Field<'_>]) -> Result<(), Cause> {
        let Some(name) = self.repeated else {
            return Ok(());
        };
        let same = |field: &&Field<'_>| field.name.eq_ignore_ascii_case(name.as_str());
        Err(Cause::Repeated(
            name.clone(),
            fields.iter().filter(same).count(),
        ))
    }

    /// The first required header that is absent or blank.
    pub(super) fn missing<'p>(
        &self,
        required: &'p [FieldName],
    ) -> Option<(&'p FieldName, Missing)> {
        // More required headers than a request may have fields: those without a
        // bit never come, so that every request is refused.
        let bit = |place: usize| u8::try_from(place).map_or(0, required_bit);
        let place = (0..required.len()).find(|&place| self.filled & bit(place) == 0)?;
        let missing = if self.came & bit(place) == 0 {
            Missing::Absent
        } else {
            Missing::Blank
        };
        Some((&required[place], missing))
    }
}

fn required_bit(place: u8) -> u128 {
    1u128.checked_shl(u32::from(place)).unwrap_or(0)
}
