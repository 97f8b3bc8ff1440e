//! `[gateway.auth.trustedProxy]`: what the trusted proxies must say, and who may pass.

use std::collections::HashSet;
use std::path::PathBuf;

use super::assertion::{self, Assertion};
use super::ceilings;
use super::entry::Entry;
use super::section::Section;
use super::shape::Shape;
use super::walk::Walk;
use crate::forwarded::CookiePatterns;
use crate::policy::{
    AllowUsers, AltName, ClientNames, FieldName, NameError, ScopeCeilings, UserList, UserListError,
    same_folded,
};

/// What the trusted proxies must say, and who may pass.
#[derive(Debug, Clone)]
pub struct TrustedProxy {
    /// The names one of which a source's certificate must bear.
    pub client_names: Option<ClientNames>,
    /// The signed assertion that must prove the user.
    pub assertion: Option<Assertion>,
    /// The header that names the user.
    pub user_header: FieldName,
    /// Headers that must be there, too.
    pub required_headers: Vec<FieldName>,
    /// Who may pass.
    pub allow_users: AllowUsersSource,
    /// Whether a loopback source may be a trusted proxy. Default no.
    pub allow_loopback: bool,
    /// Whether another address of this host may be one. Default no.
    pub allow_local_interface: bool,
    /// Further identity headers to let through.
    pub pass_headers: Vec<FieldName>,
    /// What becomes of `x-openclaw-scopes`.
    pub scopes: ScopeRule,
    /// The cookies that the gateway must not see. Default: those of oauth2-proxy,
    /// Pomerium and Cloudflare Access.
    pub drop_cookies: CookiePatterns,
}

/// Where the list of allowed users is.
#[derive(Debug, Clone)]
pub enum AllowUsersSource {
    /// In the config, or anyone.
    Inline(AllowUsers),
    /// In a file, one user a line: see [`super::parse_users_file`].
    File(PathBuf),
}

/// What becomes of `x-openclaw-scopes`.
#[derive(Debug, Clone)]
pub enum ScopeRule {
    /// It may not come in, and is left out.
    Unset,
    /// It is the user's ceiling, cut by what comes in.
    Ceilings(ScopeCeilings),
    /// The trusted proxy overwrites it: it is believed.
    Passed,
}

pub(super) fn read(
    section: &Section<'_>,
    asks_for_certificates: bool,
    walk: &mut Walk<'_>,
) -> Option<TrustedProxy> {
    let [
        user_header,
        required_headers,
        allow_users,
        allow_users_file,
        allow_loopback,
        allow_local_interface,
        pass_headers,
        pass_scopes,
        drop_cookies,
        scope_ceilings,
        client_cert_names,
        assertion,
    ] = section.fields(
        walk,
        [
            "userHeader",
            "requiredHeaders",
            "allowUsers",
            "allowUsersFile",
            "allowLoopback",
            "allowLocalInterface",
            "passHeaders",
            "passScopes",
            "dropCookies",
            "scopeCeilings",
            "clientCertNames",
            "assertion",
        ],
        &["deviceAutoApprove"],
    );
    let expected = "a header's name such as \"x-forwarded-user\"";
    let user_header =
        user_header
            .needed(walk, expected)
            .convert(walk, expected, FieldName::parse_identity);
    let required_headers = read_names(&required_headers, walk, FieldName::parse_required);
    let pass_headers = read_names(&pass_headers, walk, FieldName::parse_identity);
    let allow_users_source = read_users(&allow_users, &allow_users_file, section, walk);
    let ceilings = scope_ceilings
        .optional_section(walk)
        .map(|ceilings| ceilings::read(&ceilings, &allow_users, allow_users_source.as_ref(), walk));
    let passed = pass_scopes.boolean(walk).unwrap_or(false);
    let scopes = match ceilings {
        Some(_) if passed => {
            walk.refuse(
                pass_scopes.place(),
                "got `true` beside `scopeCeilings`, expected one of the two",
            );
            None
        }
        Some(ceilings) => ceilings.map(ScopeRule::Ceilings),
        None if passed => Some(ScopeRule::Passed),
        None => {
            if section.is_present() {
                walk.warn(
                    section.place(),
                    "neither `scopeCeilings` nor `passScopes` is set: requests reach the gateway \
                     without `x-openclaw-scopes`, and its HTTP APIs then grant their default set, \
                     `operator.admin` included",
                );
            }
            Some(ScopeRule::Unset)
        }
    };
    let client_names = read_client_names(&client_cert_names, asks_for_certificates, walk);
    let assertion = match assertion.optional_section(walk) {
        None => Some(None),
        Some(section) => assertion::read(&section, walk).map(Some),
    };
    if let (Some(user), Some(Some(proven))) = (&user_header, &assertion)
        && same_folded(
            user.as_str().as_bytes(),
            proven.rule.header.as_str().as_bytes(),
        )
    {
        walk.refuse(
            &section.locate(&["assertion", "header"]),
            "got the `userHeader`, expected another header: a token is no user",
        );
    }
    if let Some(Some(proven)) = &assertion {
        refuse_prefixed_users(proven, allow_users_source.as_ref(), &allow_users, walk);
    }
    let drop_cookies = read_cookies(&drop_cookies, walk);
    let allow_loopback = allow_loopback.boolean(walk).unwrap_or(false);
    let allow_local_interface = allow_local_interface.boolean(walk).unwrap_or(false);
    Some(TrustedProxy {
        client_names: client_names?,
        assertion: assertion?,
        user_header: user_header?,
        required_headers,
        allow_users: allow_users_source?,
        allow_loopback,
        allow_local_interface,
        pass_headers,
        scopes: scopes?,
        drop_cookies,
    })
}

/// The identity proxy's prefix is taken off before users are compared.
fn refuse_prefixed_users(
    assertion: &Assertion,
    users: Option<&AllowUsersSource>,
    entry: &Entry<'_>,
    walk: &mut Walk<'_>,
) {
    let Some(prefix) = assertion.rule.user_prefix else {
        return;
    };
    let is_prefixed = |users: &UserList| users.iter().any(|user| user.starts_with(prefix));
    if let Some(AllowUsersSource::Inline(AllowUsers::Only(users))) = users
        && is_prefixed(users)
    {
        walk.refuse(
            entry.place(),
            format!("got users that begin with `{prefix}`, expected them without: it is taken off"),
        );
    }
}

/// None: problems. Some none: no certificate needs a name.
fn read_client_names(
    entry: &Entry<'_>,
    asks_for_certificates: bool,
    walk: &mut Walk<'_>,
) -> Option<Option<ClientNames>> {
    let expected = "an array of DNS names, URIs and e-mail addresses";
    if !entry.is_present() {
        return Some(None);
    }
    if !asks_for_certificates {
        walk.refuse(
            entry.place(),
            "got names, expected `gateway.tls.clientCaPath` beside them: without it no source is \
             asked for a certificate",
        );
        return None;
    }
    let items = entry.items(walk, expected)?;
    let read: Vec<Option<AltName>> = items
        .iter()
        .map(|item| {
            item.parse(walk, Shape::Hidden, "a name of a certificate", |text| {
                AltName::parse(text).map_err(|error| error.to_string())
            })
        })
        .collect();
    let names = ClientNames::new(read.into_iter().collect::<Option<Vec<_>>>()?);
    if names.is_none() {
        entry.refuse(walk, Shape::Hidden, &format!("{expected}, at least one"));
        return None;
    }
    Some(names)
}

fn read_names(
    entry: &Entry<'_>,
    walk: &mut Walk<'_>,
    read: fn(&str) -> Result<FieldName, NameError>,
) -> Vec<FieldName> {
    let mut seen = HashSet::new();
    let mut names = Vec::new();
    for item in entry
        .items(walk, "an array of headers' names")
        .unwrap_or_default()
    {
        let Some(name) = item.convert(walk, "a header's name", read) else {
            continue;
        };
        if seen.insert(name.clone()) {
            names.push(name);
        } else {
            walk.refuse(item.place(), "got the same header again, expected it once");
        }
    }
    names
}

fn read_cookies(entry: &Entry<'_>, walk: &mut Walk<'_>) -> CookiePatterns {
    let name = "a cookie's name, `*` standing for anything";
    let Some(items) = entry.items(walk, "an array of cookies' names") else {
        return CookiePatterns::default();
    };
    let texts: Vec<(&Entry<'_>, &str)> = items
        .iter()
        .filter_map(|item| Some((item, item.text(walk, Shape::Hidden, name)?)))
        .collect();
    match CookiePatterns::parse(texts.iter().map(|(_, text)| text)) {
        Ok(patterns) => patterns,
        Err(errors) => {
            for error in errors {
                if let Some((item, _)) = texts.get(error.index) {
                    item.refuse(walk, Shape::Hidden, name);
                }
            }
            CookiePatterns::default()
        }
    }
}

fn read_users(
    users: &Entry<'_>,
    file: &Entry<'_>,
    section: &Section<'_>,
    walk: &mut Walk<'_>,
) -> Option<AllowUsersSource> {
    let path = file.path(walk);
    if users.is_present() && file.is_present() {
        walk.refuse(
            file.place(),
            "got a file beside `allowUsers`, expected one of the two",
        );
    } else if file.is_present() {
        return path.map(AllowUsersSource::File);
    }
    if !users.is_present() {
        if section.is_present() {
            walk.warn(
                section.place(),
                "neither `allowUsers` nor `allowUsersFile` is set: any user that a trusted proxy \
                 names may pass",
            );
        }
        return Some(AllowUsersSource::Inline(AllowUsers::Any));
    }
    let items = users.items(walk, "an array of users")?;
    let texts: Vec<(&Entry<'_>, &str)> = items
        .iter()
        .filter_map(|item| Some((item, item.text(walk, Shape::Hidden, "a user")?)))
        .collect();
    match AllowUsers::only(texts.iter().map(|(_, text)| text)) {
        Ok(allowed) => (texts.len() == items.len()).then_some(AllowUsersSource::Inline(allowed)),
        Err(UserListError::Empty) => {
            if items.is_empty() {
                users.refuse(
                    walk,
                    Shape::Hidden,
                    "at least one user, or none of the key to let any named user pass",
                );
            }
            None
        }
        Err(UserListError::Entries(entries)) => {
            for entry in entries {
                if let Some((item, _)) = texts.get(entry.index) {
                    walk.refuse(item.place(), entry.problem.to_string());
                }
            }
            None
        }
    }
}
