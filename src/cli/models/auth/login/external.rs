//! `login --method cli`: the login of another program, read from its file each time.

use super::super::{AuthError, Place, chain, profile_id, store};
use super::Arguments;
use crate::credentials::profile::{ExternalLogin, ExternalProgram};
use crate::credentials::{Login, Profile, UnixMillis, words};
use std::env;
use std::path::{Path, PathBuf};

pub(super) fn login(place: &Place, arguments: &Arguments) -> Result<String, AuthError> {
    let program = ExternalProgram::ClaudeCli;
    let refused = |words| Err(AuthError::Refused(words));
    let Some(file) = arguments.file.clone().or_else(default_file) else {
        return refused("--file: expected one, as HOME is not set".to_owned());
    };
    let file = match std::path::absolute(&file) {
        Ok(file) => file,
        Err(error) => return refused(format!("{}: {error}", file.display())),
    };
    if file.to_str().is_none() {
        return refused(format!("{}: expected UTF-8", file.display()));
    }
    let login = ExternalLogin { program, file };
    let expires = match login.read() {
        Ok((_, expires)) => expires,
        Err(error) => {
            return refused(format!(
                "{} (is there a login of `claude`, or is it elsewhere: --file?)",
                chain(&error)
            ));
        }
    };
    let name = arguments.profile_name.as_deref();
    let profile = Profile {
        id: profile_id(program.provider(), name.unwrap_or(program.as_str()))?,
        provider: program.provider().to_owned(),
        login: Login::External(login.clone()),
        email: None,
    };
    store(place, &profile, arguments.set_default)?;
    let now = UnixMillis::now();
    let end = match expires {
        Some(at) if at <= now => format!("expired {}: run `claude`", words::relative(now, at)),
        Some(at) => format!("expires {}", words::relative(now, at)),
        None => "no known end".to_owned(),
    };
    let file = login.file.display();
    Ok(format!("logged in: {} ({file}, {end})", profile.id))
}

fn default_file() -> Option<PathBuf> {
    let folder = |name| env::var_os(name).filter(|value| !value.is_empty());
    let own = folder("CLAUDE_CONFIG_DIR").map(PathBuf::from);
    let folder = own.or_else(|| Some(Path::new(&folder("HOME")?).join(".claude")));
    folder.map(|folder| folder.join(".credentials.json"))
}
