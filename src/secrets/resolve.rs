//! Resolves many references at once: each provider asked once, some side by side.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use super::file::Payload;
use super::{
    Environment, ExecProvider, FileProvider, Provider, ProviderName, Providers, SecretError,
    SecretId, SecretRef, SecretValue, usable,
};

/// Providers that are asked at a time: as many as at the gateway.
const SIDE_BY_SIDE: usize = 4;
/// References that one provider may be asked for: the gateway's limit.
const MAX_REFS: usize = 512;

/// What became of each reference.
pub type Resolved = BTreeMap<SecretRef, Result<SecretValue, SecretError>>;

/// The references of one provider.
struct Batch<'a> {
    provider: &'a Provider,
    name: &'a ProviderName,
    references: Vec<&'a SecretRef>,
}

impl Providers {
    /// Resolves all of `references`. Blocks while files are read and commands run,
    /// each within its own bounds. Every one of `references` has its outcome in
    /// what is returned.
    #[must_use]
    pub fn resolve(
        &self,
        references: &BTreeSet<SecretRef>,
        environment: Environment<'_>,
    ) -> Resolved {
        // Until something better is known, a reference has no value.
        let mut resolved: Resolved = references.iter().map(not_given).collect();
        let mut batches: BTreeMap<_, Batch<'_>> = BTreeMap::new();
        for reference in references {
            match self.admit(reference) {
                Err(error) => drop(resolved.insert(reference.clone(), Err(error))),
                Ok(provider) => batches
                    .entry((reference.id.source(), &reference.provider))
                    .or_insert_with(|| Batch {
                        provider,
                        name: &reference.provider,
                        references: Vec::new(),
                    })
                    .references
                    .push(reference),
            }
        }
        let workers = batches.len().min(SIDE_BY_SIDE);
        let queue = Mutex::new(batches.into_values());
        let results = Mutex::new(resolved);
        let next = || lock(&queue).next();
        std::thread::scope(|scope| {
            for _ in 0..workers {
                scope.spawn(|| {
                    while let Some(batch) = next() {
                        let mut answers = batch.resolve(environment);
                        lock(&results).append(&mut answers);
                    }
                });
            }
        });
        results.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Batch<'_> {
    fn resolve(&self, environment: Environment<'_>) -> Resolved {
        if self.references.len() > MAX_REFS {
            return self.all(&SecretError::TooManyRefs {
                provider: self.name.clone(),
                got: self.references.len(),
                most: MAX_REFS,
            });
        }
        match self.provider {
            Provider::Env(provider) => self
                .references
                .iter()
                .filter_map(|&reference| match &reference.id {
                    SecretId::Env(name) => {
                        let value = provider.read(self.name, name, environment);
                        Some((reference.clone(), value))
                    }
                    SecretId::File(_) | SecretId::Exec(_) => None,
                })
                .collect(),
            Provider::File(provider) => self.file(provider, environment),
            Provider::Exec(provider) => self.exec(provider, environment),
        }
    }

    fn file(&self, provider: &FileProvider, environment: Environment<'_>) -> Resolved {
        let payload = match provider.read(environment) {
            Ok(payload) => payload,
            Err(error) => {
                return self.all(&SecretError::File {
                    source: Arc::new(error),
                });
            }
        };
        let look_up = |&reference: &&SecretRef| {
            let value = match &payload {
                Payload::Whole(value) => usable(reference, value.expose()),
                Payload::Json(document) => match document.at(reference.id.as_str()) {
                    None => return not_given(reference),
                    Some(found) => match found.as_text() {
                        Some(text) => usable(reference, text),
                        None => Err(SecretError::NoSecret {
                            reference: reference.clone(),
                            got: found.kind(),
                        }),
                    },
                },
            };
            (reference.clone(), value)
        };
        self.references.iter().map(look_up).collect()
    }

    fn exec(&self, provider: &ExecProvider, environment: Environment<'_>) -> Resolved {
        let ids: BTreeSet<_> = self
            .references
            .iter()
            .filter_map(|reference| match &reference.id {
                SecretId::Exec(id) => Some(id.clone()),
                SecretId::Env(_) | SecretId::File(_) => None,
            })
            .collect();
        match provider.resolve(self.name, &ids, environment) {
            Ok(answers) => answers
                .into_iter()
                .map(|(id, answer)| {
                    let reference = SecretRef {
                        provider: self.name.clone(),
                        id: SecretId::Exec(id),
                    };
                    (reference, answer)
                })
                .collect(),
            Err(error) => self.all(&SecretError::Exec {
                source: Arc::new(error),
            }),
        }
    }

    /// The same error for every reference.
    fn all(&self, error: &SecretError) -> Resolved {
        let failed = |&reference: &&SecretRef| (reference.clone(), Err(error.clone()));
        self.references.iter().map(failed).collect()
    }
}

fn not_given(reference: &SecretRef) -> (SecretRef, Result<SecretValue, SecretError>) {
    let reference = reference.clone();
    (reference.clone(), Err(SecretError::NotGiven { reference }))
}

/// What is in there stays whole whatever panicked while it held it.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
