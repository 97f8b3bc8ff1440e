//! The changes that are made to a sink, each in one place and by name.

use super::super::profile::{ExternalLogin, Held, Login, OAuthTokens, ProfileId};
use super::super::wiped::{Wiped, wipe};
use super::super::{Profile, UnixMillis, fingerprint};
use super::{Sink, Usage};
use crate::secrets::{SecretRef, SecretValue};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// All that a profile may hold and that is known here.
const KNOWN: [&str; 16] = [
    "type",
    "provider",
    "email",
    "key",
    "keyRef",
    "token",
    "tokenRef",
    "access",
    "refresh",
    "expires",
    "obtained",
    "accountId",
    "managedBy",
    "file",
    "refreshAttempt",
    "needsLogin",
];

/// A sink's content while it is changed under the lock.
pub struct Draft(Wiped);

impl Draft {
    pub(super) fn new(document: Wiped) -> Self {
        Self(document)
    }

    pub(super) fn into_document(self) -> Wiped {
        self.0
    }

    /// What it holds now.
    #[must_use]
    pub fn sink(&self) -> Sink {
        Sink::of(self.0.get())
    }

    /// Puts a profile in place of the one of its name, of which only what is unknown here
    /// is kept.
    pub fn put_profile(&mut self, profile: &Profile) {
        let profiles = self.members("profiles");
        let mut members = match profiles.remove(profile.id.as_str()) {
            Some(Value::Object(old)) => old,
            Some(_) | None => Map::new(),
        };
        for name in KNOWN {
            if let Some(mut old) = members.remove(name) {
                wipe(&mut old);
            }
        }
        members.extend(written(profile));
        profiles.insert(profile.id.to_string(), Value::Object(members));
    }

    /// Takes a profile out, by its name as it stands there, and from the orders and
    /// whatever else names it. Returns whether it was there.
    pub fn remove_profile(&mut self, id: &str) -> bool {
        let Some(mut removed) = self.members("profiles").remove(id) else {
            return false;
        };
        wipe(&mut removed);
        if let Some(order) = self.present("order") {
            order.retain(|_, ids| match ids {
                Value::Array(ids) => {
                    ids.retain(|listed| listed != id);
                    !ids.is_empty()
                }
                _ => true,
            });
        }
        if let Some(last_good) = self.present("lastGood") {
            last_good.retain(|_, good| good != id);
        }
        if let Some(usage) = self.present("usageStats") {
            usage.remove(id);
        }
        true
    }

    /// The order in which a provider's profiles are tried; with none, there is no own
    /// order any more.
    pub fn set_order(&mut self, provider: &str, ids: &[ProfileId]) {
        if !ids.is_empty() {
            let ids = ids.iter().map(ProfileId::as_str).collect();
            self.members("order").insert(provider.to_owned(), ids);
        } else if let Some(order) = self.present("order") {
            order.remove(provider);
        }
    }

    /// The profile that last had a good answer of a provider.
    pub fn set_last_good(&mut self, provider: &str, id: &ProfileId) {
        self.members("lastGood")
            .insert(provider.to_owned(), json!(id.as_str()));
    }

    /// How credentials fared, by profile or `provider#fingerprint`. Others, and what else
    /// is known of these, stay.
    pub fn set_usage(&mut self, usage: &BTreeMap<String, Usage>) {
        for (key, usage) in usage {
            let old = self.present("usageStats").and_then(|all| all.remove(key));
            let mut entry = match old {
                Some(Value::Object(entry)) => entry,
                Some(_) | None => Map::new(),
            };
            let time = |time: Option<UnixMillis>| time.map(|UnixMillis(at)| json!(at));
            let count = (usage.error_count > 0).then(|| json!(usage.error_count));
            set(&mut entry, "lastUsed", time(usage.last_used));
            set(&mut entry, "cooldownUntil", time(usage.cooldown_until));
            set(&mut entry, "errorCount", count);
            set(&mut entry, "of", usage.of.as_ref().map(|of| json!(of)));
            if !entry.is_empty() {
                self.members("usageStats").insert(key.clone(), entry.into());
            }
        }
    }

    /// Marks `sent`, the profile's refresh token, as about to be sent. Returns whether it
    /// still is the profile's.
    pub fn begin_refresh(&mut self, id: &ProfileId, sent: &SecretValue, now: UnixMillis) -> bool {
        self.of_refresh(id, sent, |login| {
            let attempt = json!({"of": fingerprint(sent), "at": now.0});
            login.insert("refreshAttempt".to_owned(), attempt);
        })
    }

    /// Puts the tokens in that came for `sent`. Returns whether that still is the
    /// profile's refresh token: a login made meanwhile stays.
    pub fn finish_refresh(
        &mut self,
        id: &ProfileId,
        sent: &SecretValue,
        tokens: &OAuthTokens,
    ) -> bool {
        self.of_refresh(id, sent, |login| {
            let mut new = Map::new();
            put_tokens(&mut new, tokens);
            for gone in ["refreshAttempt", "needsLogin"] {
                login.remove(gone);
            }
            for (name, value) in new {
                if let Some(mut old) = login.insert(name, value) {
                    wipe(&mut old);
                }
            }
        })
    }

    /// Takes the mark off `sent`: it was not used.
    pub fn end_attempt(&mut self, id: &ProfileId, sent: &SecretValue) -> bool {
        self.of_refresh(id, sent, |login| {
            login.remove("refreshAttempt");
        })
    }

    /// Notes that the provider refused `sent` with `code`, and takes its mark off.
    pub fn refuse_refresh(
        &mut self,
        id: &ProfileId,
        sent: &SecretValue,
        code: &str,
        now: UnixMillis,
    ) -> bool {
        self.of_refresh(id, sent, |login| {
            login.remove("refreshAttempt");
            let refusal = json!({"code": code, "at": now.0, "of": fingerprint(sent)});
            login.insert("needsLogin".to_owned(), refusal);
        })
    }

    /// Changes the login whose refresh token is `sent`.
    fn of_refresh(
        &mut self,
        id: &ProfileId,
        sent: &SecretValue,
        change: impl FnOnce(&mut Map<String, Value>),
    ) -> bool {
        let login = self.members("profiles").get_mut(id.as_str());
        let Some(Value::Object(login)) = login else {
            return false;
        };
        let held = login.get("refresh").and_then(Value::as_str);
        let is_oauth = login.get("type").is_some_and(|kind| kind == "oauth");
        let is_same = is_oauth && held.is_some_and(|held| held.trim() == sent.expose());
        if is_same {
            change(login);
        }
        is_same
    }

    /// The member, made where it isn't there.
    fn members(&mut self, name: &str) -> &mut Map<String, Value> {
        let member = self.0.get_mut().entry(name).or_insert_with(|| json!({}));
        member
            .as_object_mut()
            .expect("a sink whose members are no objects isn't read")
    }

    /// The member, where it is there.
    fn present(&mut self, name: &str) -> Option<&mut Map<String, Value>> {
        self.0.get_mut().get_mut(name)?.as_object_mut()
    }
}

fn set(members: &mut Map<String, Value>, name: &str, value: Option<Value>) {
    match value {
        Some(value) => members.insert(name.to_owned(), value),
        None => members.remove(name),
    };
}

/// The members in the form that `profile::read` reads.
fn written(profile: &Profile) -> Map<String, Value> {
    let Profile {
        id: _,
        provider,
        login,
        email,
    } = profile;
    let mut members = Map::new();
    let kind = match login {
        Login::ApiKey(key) => {
            put_held(&mut members, ("key", "keyRef"), key);
            "api_key"
        }
        Login::Token { token, expires } => {
            put_held(&mut members, ("token", "tokenRef"), token);
            set(&mut members, "expires", expires.map(|at| json!(at.0)));
            "token"
        }
        Login::OAuth(tokens) => {
            put_tokens(&mut members, tokens);
            "oauth"
        }
        Login::External(ExternalLogin { program, file }) => {
            members.insert("managedBy".to_owned(), json!(program.as_str()));
            members.insert("file".to_owned(), json!(file.to_string_lossy()));
            "token"
        }
    };
    members.insert("type".to_owned(), json!(kind));
    members.insert("provider".to_owned(), json!(provider));
    set(&mut members, "email", email.as_ref().map(|it| json!(it)));
    members
}

fn put_held(members: &mut Map<String, Value>, names: (&str, &str), held: &Held) {
    match held {
        Held::Value(secret) => members.insert(names.0.to_owned(), json!(secret.expose())),
        Held::Ref(SecretRef { provider, id }) => members.insert(
            names.1.to_owned(),
            json!({
                "source": id.source().as_str(),
                "provider": provider.as_str(),
                "id": id.as_str(),
            }),
        ),
    };
}

/// Tokens as a provider gave them, without the marks of refreshes.
fn put_tokens(members: &mut Map<String, Value>, tokens: &OAuthTokens) {
    let OAuthTokens {
        access,
        refresh,
        expires,
        obtained,
        account_id,
        attempt: _,
        needs_login: _,
    } = tokens;
    members.insert("access".to_owned(), json!(access.expose()));
    members.insert("expires".to_owned(), json!(expires.0));
    let optional = [
        ("refresh", refresh.as_ref().map(|it| json!(it.expose()))),
        ("obtained", obtained.map(|at| json!(at.0))),
        ("accountId", account_id.as_ref().map(|it| json!(it))),
    ];
    for (name, value) in optional {
        set(members, name, value);
    }
}
