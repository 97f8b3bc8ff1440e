//! One key's value, read as the type that it should have. Each reader records
//! what is wrong and gives back what is needed to go on.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use toml::de::DeValue;

use super::quantity::{self, ByteSize};
use super::section::{Content, Section, list};
use super::shape::Shape;
use super::walk::{Place, Walk};

/// A key's value, present or not.
pub(super) struct Entry<'a> {
    place: Place,
    content: Content<'a, DeValue<'a>>,
}

/// A reader's verdict on a string: the value, or what is wrong with it beyond
/// not being what was expected (empty where there is no more to say). It must
/// not repeat the string.
pub(super) type Verdict<T> = Result<T, String>;

impl<'a> Entry<'a> {
    pub(super) fn new(place: Place, content: Content<'a, DeValue<'a>>) -> Self {
        Self { place, content }
    }

    /// A value at a place of its own.
    pub(super) fn of(place: Place, value: &'a DeValue<'a>) -> Self {
        Self::new(place, Content::Found(value))
    }

    /// Where the value stands, or should.
    pub(super) fn place(&self) -> &Place {
        &self.place
    }

    /// The value, if there is one.
    pub(super) fn value(&self) -> Option<&'a DeValue<'a>> {
        match self.content {
            Content::Found(value) => Some(value),
            Content::Missing | Content::Refused => None,
        }
    }

    /// Whether the config has this key.
    pub(super) fn is_present(&self) -> bool {
        self.value().is_some()
    }

    /// Refuses the config when the key is absent.
    pub(super) fn needed(&self, walk: &mut Walk<'_>, expected: &str) -> &Self {
        if matches!(self.content, Content::Missing) {
            walk.refuse(&self.place, format!("got nothing, expected {expected}"));
        }
        self
    }

    /// Refuses the value, if there is one: `got …, expected …`.
    pub(super) fn refuse(&self, walk: &mut Walk<'_>, shape: Shape, expected: &str) {
        if let Some(value) = self.value() {
            walk.unexpected(&self.place, value, shape, expected);
        }
    }

    /// A string.
    pub(super) fn text(
        &self,
        walk: &mut Walk<'_>,
        shape: Shape,
        expected: &str,
    ) -> Option<&'a str> {
        match self.value()? {
            DeValue::String(text) => Some(text),
            _ => {
                self.refuse(walk, shape, expected);
                None
            }
        }
    }

    /// A string that `read` makes something of.
    pub(super) fn parse<T>(
        &self,
        walk: &mut Walk<'_>,
        shape: Shape,
        expected: &str,
        read: impl FnOnce(&str) -> Verdict<T>,
    ) -> Option<T> {
        match read(self.text(walk, shape, expected)?) {
            Ok(value) => Some(value),
            Err(detail) if detail.is_empty() => {
                self.refuse(walk, shape, expected);
                None
            }
            Err(detail) => {
                self.refuse(walk, shape, &format!("{expected}: {detail}"));
                None
            }
        }
    }

    /// A string that `read` makes something of, its error being the whole message.
    pub(super) fn convert<T, E: std::fmt::Display>(
        &self,
        walk: &mut Walk<'_>,
        expected: &str,
        read: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        match read(self.text(walk, Shape::Hidden, expected)?) {
            Ok(value) => Some(value),
            Err(error) => {
                walk.refuse(&self.place, error.to_string());
                None
            }
        }
    }

    /// One of `names`, as the value beside it.
    pub(super) fn choice<T: Copy>(
        &self,
        walk: &mut Walk<'_>,
        names: &'static [&'static str],
        values: &[T],
    ) -> Option<T> {
        let found = |text: &str| names.iter().position(|name| *name == text);
        self.parse(walk, Shape::Word(names), &list(names), |text| {
            found(text)
                .and_then(|at| values.get(at))
                .copied()
                .ok_or_else(String::new)
        })
    }

    /// `true` or `false`.
    pub(super) fn boolean(&self, walk: &mut Walk<'_>) -> Option<bool> {
        match self.value()? {
            DeValue::Boolean(value) => Some(*value),
            _ => {
                self.refuse(walk, Shape::Hidden, "`true` or `false`");
                None
            }
        }
    }

    /// An integer within `range`.
    pub(super) fn integer(&self, walk: &mut Walk<'_>, range: RangeInclusive<u64>) -> Option<u64> {
        let value = self.value()?;
        let number = match value {
            DeValue::Integer(number) => i128::from_str_radix(number.as_str(), number.radix()).ok(),
            _ => None,
        };
        let fits = number
            .and_then(|number| u64::try_from(number).ok())
            .filter(|number| range.contains(number));
        if fits.is_none() {
            let expected = format!("an integer from {} to {}", range.start(), range.end());
            self.refuse(walk, Shape::Number, &expected);
        }
        fits
    }

    /// A duration within `range`.
    pub(super) fn duration(
        &self,
        walk: &mut Walk<'_>,
        range: RangeInclusive<Duration>,
    ) -> Option<Duration> {
        let expected = format!(
            "a duration such as \"30s\" (ms, s, m, h, d) from {} to {}",
            quantity::show_duration(*range.start()),
            quantity::show_duration(*range.end()),
        );
        self.parse(walk, Shape::Quantity, &expected, |text| {
            quantity::parse_duration(text)
                .filter(|duration| range.contains(duration))
                .ok_or_else(String::new)
        })
    }

    /// A size within `range`.
    pub(super) fn size(
        &self,
        walk: &mut Walk<'_>,
        range: RangeInclusive<ByteSize>,
    ) -> Option<ByteSize> {
        let expected = format!(
            "a size such as \"64KiB\" (B, KiB, MiB, GiB, TiB) from {} to {}",
            range.start(),
            range.end(),
        );
        self.parse(walk, Shape::Quantity, &expected, |text| {
            quantity::parse_size(text)
                .filter(|size| range.contains(size))
                .ok_or_else(String::new)
        })
    }

    /// A path, taken as it is written.
    pub(super) fn path(&self, walk: &mut Walk<'_>) -> Option<PathBuf> {
        self.parse(walk, Shape::Hidden, "a file's path", |text| {
            if text.trim().is_empty() || text.contains('\0') {
                Err(String::new())
            } else {
                Ok(PathBuf::from(text))
            }
        })
    }

    /// The elements of an array.
    pub(super) fn items(&self, walk: &mut Walk<'_>, expected: &str) -> Option<Vec<Entry<'a>>> {
        let DeValue::Array(items) = self.value()? else {
            self.refuse(walk, Shape::Hidden, expected);
            return None;
        };
        let entry = |(index, item): (usize, &'a toml::Spanned<DeValue<'a>>)| {
            let place = self.place.element(index, item.span().start);
            Entry::new(place, Content::Found(item.get_ref()))
        };
        Some(items.iter().enumerate().map(entry).collect())
    }

    /// A table, empty where there is none.
    pub(super) fn section(&self, walk: &mut Walk<'_>) -> Section<'a> {
        walk.unnote(&self.place);
        let content = match self.content {
            Content::Found(DeValue::Table(table)) => Content::Found(table),
            Content::Found(_) => {
                self.refuse(walk, Shape::Hidden, "a table");
                Content::Refused
            }
            Content::Missing => Content::Missing,
            Content::Refused => Content::Refused,
        };
        Section::new(self.place.clone(), content)
    }

    /// A table that may be left out as a whole.
    pub(super) fn optional_section(&self, walk: &mut Walk<'_>) -> Option<Section<'a>> {
        let section = self.section(walk);
        (section.is_present() || walk.learns()).then_some(section)
    }

    /// An array of tables.
    pub(super) fn sections(&self, walk: &mut Walk<'_>) -> Vec<Section<'a>> {
        if walk.learns() {
            walk.unnote(&self.place);
            let place = self.place.element(0, self.place.at);
            return vec![Section::new(place, Content::Missing)];
        }
        self.items(walk, "an array of tables")
            .unwrap_or_default()
            .iter()
            .map(|item| item.section(walk))
            .collect()
    }
}
