//! A request pasted as a curl command line, as browsers copy it: what curl would send of
//! it, as far as the policy looks. Errors name flags and never what stands behind them.

mod data;
mod flags;
mod url;

use super::asked::{Asked, split_header};
use crate::policy::Upgrade;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flags::{Effect, Kind};
use url::Address;

/// What the command line comes to.
#[derive(Default)]
struct Draft {
    url: Option<String>,
    method: Option<String>,
    is_head: bool,
    is_get: bool,
    is_upload: bool,
    is_path_as_is: bool,
    request_target: Option<String>,
    content_type: Option<&'static str>,
    /// What `-G` puts into the query.
    data: Vec<String>,
    cookies: Vec<String>,
    authorization: Option<String>,
    user_agent: Option<String>,
    referer: Option<String>,
    range: Option<String>,
    accept: Option<&'static str>,
    is_compressed: bool,
    headers: Vec<Header>,
}

/// What a `-H` says.
enum Header {
    Sent(String, String),
    /// `name:`: curl's own of this name is left out.
    LeftOut(String),
}

/// Reads the words of a command line, `curl` the first.
pub(super) fn read(words: &[String]) -> Result<Asked, String> {
    let mut words = words.iter();
    match words.next().map(|word| word.rsplit('/').next()) {
        Some(Some("curl" | "curl.exe")) => {}
        _ => return Err("expected `curl` and its flags after `--`".to_owned()),
    }
    let mut draft = Draft::default();
    while let Some(word) = words.next() {
        let mut value = |flag: &str| {
            let value = words.next().cloned();
            value.ok_or_else(|| format!("curl's `{flag}` comes without its value"))
        };
        if let Some(long) = word.strip_prefix("--").filter(|long| !long.is_empty()) {
            match flags::long(long).ok_or_else(|| unknown(word))? {
                Kind::Switch(effect) => draft.switch(effect),
                Kind::Value(effect) => draft.value(effect, value(word)?)?,
            }
        } else if let Some(cluster) = word.strip_prefix('-').filter(|rest| !rest.is_empty()) {
            for (at, letter) in cluster.char_indices() {
                let flag = format!("-{letter}");
                match flags::short(letter).ok_or_else(|| unknown(&flag))? {
                    Kind::Switch(effect) => draft.switch(effect),
                    Kind::Value(effect) => {
                        let rest = &cluster[at + letter.len_utf8()..];
                        let given = match rest.is_empty() {
                            true => value(&flag)?,
                            false => rest.to_owned(),
                        };
                        draft.value(effect, given)?;
                        break;
                    }
                }
            }
        } else {
            draft.set_url(word.clone())?;
        }
    }
    draft.finish()
}

fn unknown(flag: &str) -> String {
    // What stands behind `=` may be anything.
    let flag = flag.split('=').next().unwrap_or(flag);
    format!(
        "got curl's `{flag}`, which is not known here: leave it out, if the request is the same without"
    )
}

impl Draft {
    fn switch(&mut self, effect: Effect) {
        match effect {
            Effect::Head => self.is_head = true,
            Effect::Get => self.is_get = true,
            Effect::Compressed => self.is_compressed = true,
            Effect::PathAsIs => self.is_path_as_is = true,
            _ => {}
        }
    }

    fn value(&mut self, effect: Effect, value: String) -> Result<(), String> {
        match effect {
            Effect::Method => self.method = Some(value),
            Effect::Url => self.set_url(value)?,
            Effect::Target => self.request_target = Some(value),
            Effect::Data => self.data(data::plain(value)),
            Effect::DataRaw => self.data(Some(value)),
            Effect::DataUrlencode => self.data(data::encoded(&value)),
            Effect::Json => {
                self.content_type = Some("application/json");
                self.accept = Some("application/json");
            }
            Effect::Form => self.content_type = Some("multipart/form-data"),
            Effect::Upload => self.is_upload = true,
            Effect::Cookie if value.contains('=') => self.cookies.push(value),
            Effect::Cookie => {
                return Err(
                    "curl's `-b` names a file, which is not read here: expected `name=value`"
                        .to_owned(),
                );
            }
            Effect::User => {
                self.authorization = Some(format!("Basic {}", STANDARD.encode(value)));
            }
            Effect::Bearer => self.authorization = Some(format!("Bearer {value}")),
            Effect::UserAgent => self.user_agent = Some(value),
            Effect::Referer => {
                let plain = value.trim_end_matches(";auto");
                self.referer = Some(plain.to_owned());
            }
            Effect::Range => self.range = Some(format!("bytes={value}")),
            Effect::Header => self.headers.extend(header(&value)?),
            Effect::Nothing
            | Effect::Head
            | Effect::Get
            | Effect::Compressed
            | Effect::PathAsIs => {}
        }
        Ok(())
    }

    /// The content of a file, which is none here, would make no difference but in a query.
    fn data(&mut self, content: Option<String>) {
        self.content_type = Some("application/x-www-form-urlencoded");
        self.data.extend(content);
    }

    fn set_url(&mut self, url: String) -> Result<(), String> {
        match self.url.replace(url) {
            None => Ok(()),
            Some(_) => {
                Err("got a second URL, expected one: is a value in need of quotes?".to_owned())
            }
        }
    }

    fn finish(self) -> Result<Asked, String> {
        let url = self
            .url
            .as_deref()
            .ok_or("expected a URL in the curl line")?;
        let Address {
            host,
            target,
            user,
            is_websocket,
        } = Address::read(url, self.is_path_as_is)?;
        let given = self.headers.iter().filter_map(|header| match header {
            Header::Sent(name, value) => Some((name.clone(), value.clone())),
            Header::LeftOut(_) => None,
        });
        let fields = self.own_fields(user).chain(given).collect();
        let target = self
            .request_target
            .clone()
            .unwrap_or_else(|| self.with_query(target));
        let upgrade = match is_websocket {
            true => Upgrade::Websocket,
            false => Upgrade::None,
        };
        Ok(Asked {
            method: self.method().to_owned(),
            target,
            host: match self.names("host") {
                // Whatever host is sent is among the fields.
                true => String::new(),
                false => host,
            },
            upgrade,
            fields,
            is_open: false,
        })
    }

    /// Whether a `-H` is about this field.
    fn names(&self, field: &str) -> bool {
        self.headers.iter().any(|header| {
            let (Header::Sent(set, _) | Header::LeftOut(set)) = header;
            set.eq_ignore_ascii_case(field)
        })
    }

    fn method(&self) -> &str {
        match &self.method {
            Some(method) => method,
            None if self.is_head => "HEAD",
            None if self.is_upload => "PUT",
            None if self.has_body() => "POST",
            None => "GET",
        }
    }

    fn has_body(&self) -> bool {
        self.content_type.is_some() && !self.is_get
    }

    /// The target with what `-G` adds.
    fn with_query(&self, target: String) -> String {
        let query = self.data.join("&");
        match (self.is_get && !query.is_empty(), target.contains('?')) {
            (false, _) => target,
            (true, true) => format!("{target}&{query}"),
            (true, false) => format!("{target}?{query}"),
        }
    }

    /// The fields that curl sets by itself, less those that a `-H` names; `user` is the
    /// URL's.
    fn own_fields(&self, user: Option<String>) -> impl Iterator<Item = (String, String)> {
        let of_url = user.map(|user| format!("Basic {}", STANDARD.encode(user)));
        let text = |text: &str| Some(text.to_owned());
        let own = [
            ("authorization", self.authorization.clone().or(of_url)),
            (
                "user-agent",
                self.user_agent.clone().or_else(|| text("curl")),
            ),
            ("accept", text(self.accept.unwrap_or("*/*"))),
            (
                "accept-encoding",
                self.is_compressed
                    .then(|| "deflate, gzip, br, zstd".to_owned()),
            ),
            ("range", self.range.clone()),
            ("referer", self.referer.clone()),
            ("cookie", Some(self.cookies.join("; "))),
            (
                "content-type",
                self.content_type.filter(|_| self.has_body()).and_then(text),
            ),
        ];
        own.into_iter()
            .filter(|(name, _)| !self.names(name))
            // Without cookies there is none, and an empty `-A` or `-e` leaves the field out.
            .filter_map(|(name, value)| Some((name.to_owned(), value.filter(|v| !v.is_empty())?)))
    }
}

/// A `-H`, as curl reads it: none where curl sends nothing for it.
fn header(text: &str) -> Result<Option<Header>, String> {
    if text.starts_with('@') {
        return Err("curl's `-H` names a file, which is not read here".to_owned());
    }
    if let Some(name) = text.strip_suffix(';').filter(|name| !name.contains(':')) {
        return split_header(&format!("{name}:"))
            .map(|(name, _)| Some(Header::Sent(name, String::new())));
    }
    let (name, value) = split_header(text)?;
    Ok(Some(match value.is_empty() {
        true => Header::LeftOut(name),
        false => Header::Sent(name, value),
    }))
}

#[cfg(test)]
mod tests;
