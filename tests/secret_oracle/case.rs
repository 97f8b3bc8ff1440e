//! A case: a `secrets` block, an environment, and the references asked of them.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) secrets: Value,
    pub(crate) environment: BTreeMap<String, String>,
    /// Each batch is resolved at once.
    pub(crate) batches: Vec<Vec<Asked>>,
    /// Whether its references only make a crowd: they count as one.
    pub(crate) is_crowd: bool,
}

/// A reference, or what stands in its place.
pub(crate) struct Asked {
    pub(crate) label: String,
    pub(crate) reference: Value,
}

pub(crate) fn reference(source: &str, provider: &str, id: &str) -> Value {
    json!({"source": source, "provider": provider, "id": id})
}

/// `base` with further keys, or others.
pub(crate) fn with(base: &Value, extra: &Value) -> Value {
    let mut merged: Map<String, Value> = base.as_object().unwrap().clone();
    merged.extend(extra.as_object().unwrap().clone());
    Value::Object(merged)
}

impl Case {
    pub(crate) fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            secrets: json!({}),
            environment: BTreeMap::new(),
            batches: Vec::new(),
            is_crowd: false,
        }
    }

    pub(crate) fn block(mut self, secrets: Value) -> Self {
        self.secrets = secrets;
        self
    }

    pub(crate) fn provider(mut self, alias: &str, provider: Value) -> Self {
        self.secrets["providers"][alias] = provider;
        self
    }

    pub(crate) fn default_env(mut self, alias: &str) -> Self {
        self.secrets["defaults"] = json!({"env": alias});
        self
    }

    pub(crate) fn variable(mut self, name: &str, value: impl Into<String>) -> Self {
        self.environment.insert(name.to_owned(), value.into());
        self
    }

    pub(crate) fn asks(self, source: &str, provider: &str, id: &str) -> Self {
        self.asks_as(id, reference(source, provider, id))
    }

    pub(crate) fn asks_as(mut self, label: &str, reference: Value) -> Self {
        let label = label.to_owned();
        self.batches.push(vec![Asked { label, reference }]);
        self
    }

    /// All of what is asked so far at once.
    pub(crate) fn together(mut self) -> Self {
        self.batches = vec![self.batches.into_iter().flatten().collect()];
        self
    }
    pub(crate) fn crowd(mut self) -> Self {
        self.is_crowd = true;
        self
    }
}
