//! On which lines a config's keys stand.

use std::collections::BTreeMap;
use toml::de::{DeTable, DeValue};

/// The lines of a config's keys. Names that hold dots are joined as they are, as
/// the config's own list of secrets does it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeyLines(BTreeMap<String, usize>);

impl KeyLines {
    /// Reads the lines of all values. A text that is no TOML has none.
    #[must_use]
    pub fn read(text: &str) -> Self {
        let mut lines = Self::default();
        // Its spans count from after the mark, which holds no line break.
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        if let Ok(document) = DeTable::parse(text) {
            let breaks = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
            let breaks: Vec<usize> = breaks.map(|(at, _)| at).collect();
            lines.table(String::new(), document.get_ref(), &breaks);
        }
        lines
    }

    /// The line of a key's value, from 1.
    #[must_use]
    pub fn of(&self, key: &str) -> Option<usize> {
        self.0.get(key).copied()
    }

    fn table(&mut self, path: String, table: &DeTable<'_>, breaks: &[usize]) {
        for (key, value) in table.iter() {
            let name = key.get_ref();
            let path = match path.as_str() {
                "" => name.to_string(),
                parent => format!("{parent}.{name}"),
            };
            self.value(path, value.span().start, value.get_ref(), breaks);
        }
    }

    fn value(&mut self, path: String, at: usize, value: &DeValue<'_>, breaks: &[usize]) {
        match value {
            DeValue::Table(table) => self.table(path.clone(), table, breaks),
            DeValue::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    let path = format!("{path}[{index}]");
                    self.value(path, item.span().start, item.get_ref(), breaks);
                }
            }
            _ => {}
        }
        self.0
            .insert(path, breaks.partition_point(|end| *end < at) + 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_key_has_the_line_of_its_value() {
        let text = "\u{feff}a = 1\n[admin]\n\ntoken = \"x\"\n[models.providers.\"a.b\"]\n\
                    apiKeys = [\n  \"one\", # no\n  \"two\",\n]\n\
                    apiKey = { source = \"env\" }\n";
        let lines = KeyLines::read(text);
        for (key, line) in [
            ("a", Some(1)),
            ("admin.token", Some(4)),
            ("models.providers.a.b.apiKeys[0]", Some(7)),
            ("models.providers.a.b.apiKeys[1]", Some(8)),
            ("models.providers.a.b.apiKey", Some(10)),
            ("admin.nothing", None),
        ] {
            assert_eq!(lines.of(key), line, "{key}");
        }
        assert_eq!(KeyLines::read("= no TOML"), KeyLines::default());
    }
}
