//! Whose the files of Portcullis may be, beside root's: by the user that its unit names,
//! else by its process, else by who looks.

use super::units::{Fragment, Units};
use nix::unistd::User;
use std::collections::BTreeMap;

/// The user by whom owners are judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holder {
    /// As whom Portcullis runs.
    Service(u32),
    /// Whoever looks: nothing shows as whom Portcullis runs.
    Onlooker(u32),
    /// Root looks, and nothing shows as whom Portcullis runs: it may be anybody.
    Unknown,
}

const ROOT: u32 = 0;

impl Holder {
    /// By what the host shows. `processes` are the users of the running ones: anybody can
    /// start one, and root alone writes units, so a user that those name counts first.
    pub(super) fn of(processes: &[u32], units: &Units, onlooker: u32) -> Self {
        let of_units = of_units(units);
        let names_one = units.fragments.iter().any(|it| it.content.user.is_some());
        let users = match processes {
            [_, ..] if !names_one || of_units.is_none() => Some(processes.to_vec()),
            _ => of_units,
        };
        match users.as_deref() {
            Some([first, rest @ ..]) if rest.iter().all(|user| user == first) => {
                Self::Service(*first)
            }
            _ if onlooker == ROOT => Self::Unknown,
            _ => Self::Onlooker(onlooker),
        }
    }

    /// Whether this owner is the service's user, or may be, for all that is known.
    pub(super) fn may_be(self, owner: u32) -> bool {
        match self {
            Self::Service(user) | Self::Onlooker(user) => owner == user,
            Self::Unknown => true,
        }
    }
}

/// As whom each unit runs Portcullis; none where one doesn't show that.
fn of_units(units: &Units) -> Option<Vec<u32>> {
    let mut parts: BTreeMap<&str, Vec<&Fragment>> = BTreeMap::new();
    for fragment in &units.fragments {
        parts.entry(&fragment.unit).or_default().push(fragment);
    }
    parts.values().map(|parts| of_parts(parts)).collect()
}

/// As whom the parts of one unit run it. Which part is the last is not told, so they have
/// to agree.
fn of_parts(parts: &[&Fragment]) -> Option<u32> {
    let mut named = parts.iter().filter_map(|part| part.content.user.as_deref());
    let Some(first) = named.next() else {
        let is_dynamic = |part: &&Fragment| part.content.has_dynamic_user == Some(true);
        return (!parts.iter().any(is_dynamic)).then_some(ROOT);
    };
    if named.any(|other| other != first) {
        return None;
    }
    match first {
        "" => Some(ROOT),
        name => match name.parse() {
            Ok(user) => Some(user),
            Err(_) => Some(User::from_name(name).ok()??.uid.as_raw()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::super::unit_file::UnitFile;
    use super::*;
    use Holder::{Onlooker, Service, Unknown};

    #[test]
    fn a_named_user_counts_before_the_process_and_that_before_who_looks() {
        let dynamic = "DynamicUser=yes";
        for (processes, units, by_root, by_another) in [
            (&[][..], &[][..], Unknown, Onlooker(7)),
            (&[65534], &[], Service(65534), Service(65534)),
            (&[65534, 65534], &[], Service(65534), Service(65534)),
            (&[65534, 33], &[], Unknown, Onlooker(7)),
            (&[4711], &["User=33"], Service(33), Service(33)),
            (&[4711], &["Restart=always"], Service(4711), Service(4711)),
            (&[], &["User=33"], Service(33), Service(33)),
            (&[], &["User=root"], Service(0), Service(0)),
            (&[], &["User="], Service(0), Service(0)),
            // systemd's own default.
            (&[], &["Restart=always"], Service(0), Service(0)),
            (&[], &["User=33", "User=34"], Unknown, Onlooker(7)),
            (
                &[],
                &["Restart=always", "User=33"],
                Service(33),
                Service(33),
            ),
            (&[], &[dynamic], Unknown, Onlooker(7)),
            (&[], &["User=no-such-user-here"], Unknown, Onlooker(7)),
            (&[33], &[dynamic], Service(33), Service(33)),
        ] {
            let fragment = |line: &&str| Fragment {
                unit: "portcullis.service".to_owned(),
                path: "/etc/systemd/system/portcullis.service".into(),
                content: UnitFile::parse(&format!("[Service]\n{line}\n")),
            };
            let units = Units {
                fragments: units.iter().map(fragment).collect(),
                ..Units::default()
            };
            for (onlooker, expected) in [(0, by_root), (7, by_another)] {
                let holder = Holder::of(processes, &units, onlooker);
                assert_eq!(holder, expected, "{processes:?} {units:?} {onlooker}");
            }
        }
    }
}
