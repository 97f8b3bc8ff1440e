//! Each guard, whatever the host is like.

use super::super::guard::Below;
use super::*;
use crate::secrets::Custody;

const ME: u32 = 1000;

fn severities(guard: Guard, owner: u32, mode: u32) -> Vec<Severity> {
    breaches(
        Path::new("/x"),
        FileFacts { owner, mode },
        guard,
        Holder::Onlooker(ME),
    )
    .into_iter()
    .map(|breach| breach.severity)
    .collect()
}

#[test]
fn each_guard_has_its_own_bits_and_owners() {
    use Guard::{Above, Authorities, Command, Config, ConfigWithSecrets, Held, Private, Rule};
    use Severity::{Critical, Warning};
    const OWN: Guard = Held(Custody::Own);
    const MOUNTED: Guard = Held(Custody::MountedVolume);
    for (guard, owner, mode, expected) in [
        (Private, ME, 0o600, &[][..]),
        (Private, 0, 0o400, &[]),
        (Private, ME, 0o711, &[]),
        (Private, ME, 0o640, &[Warning]),
        (Private, ME, 0o604, &[Critical]),
        (Private, ME, 0o620, &[Critical]),
        (Private, ME, 0o602, &[Critical]),
        (Private, 1001, 0o600, &[Warning]),
        (Private, 1001, 0o644, &[Critical, Warning]),
        (OWN, ME, 0o600, &[]),
        (OWN, 0, 0o600, &[Warning]),
        (OWN, ME, 0o601, &[Warning]),
        (OWN, ME, 0o644, &[Critical]),
        (MOUNTED, 0, 0o444, &[]),
        (MOUNTED, ME, 0o640, &[]),
        (MOUNTED, 0, 0o660, &[Critical]),
        (MOUNTED, 1001, 0o440, &[Warning]),
        (Config, ME, 0o644, &[]),
        (Config, 0, 0o644, &[]),
        (Config, ME, 0o664, &[Critical]),
        (Config, ME, 0o646, &[Critical]),
        (Config, 1001, 0o600, &[Critical]),
        (ConfigWithSecrets, ME, 0o600, &[]),
        (ConfigWithSecrets, ME, 0o640, &[Warning]),
        (ConfigWithSecrets, ME, 0o644, &[Critical]),
        (ConfigWithSecrets, 1001, 0o600, &[Critical]),
        (Rule, ME, 0o644, &[]),
        (Rule, ME, 0o664, &[Critical]),
        (Rule, 1001, 0o644, &[Critical]),
        (Rule, 0, 0o644, &[]),
        (Authorities, ME, 0o644, &[]),
        (Authorities, ME, 0o646, &[Critical]),
        (Authorities, 1001, 0o644, &[Critical]),
        (Command, 0, 0o755, &[]),
        (Command, 0, 0o775, &[Critical]),
        (Command, 0, 0o757, &[Critical]),
        (Command, 1001, 0o755, &[Warning]),
        (Above(Below::Command), 0, 0o755, &[]),
        (Above(Below::Command), 0, 0o775, &[Critical]),
        (Above(Below::Command), 0, 0o777, &[Critical]),
        (Above(Below::Command), 0, 0o1777, &[]),
        (Above(Below::Command), 1001, 0o1755, &[Warning]),
        (Above(Below::CommandsConfig), 0, 0o755, &[]),
        (Above(Below::CommandsConfig), ME, 0o775, &[Critical]),
        (Above(Below::CommandsConfig), 0, 0o1777, &[]),
        (Above(Below::CommandsConfig), 1001, 0o755, &[Critical]),
        (Above(Below::Config), 0, 0o777, &[Critical]),
        (Above(Below::Config), 1001, 0o755, &[Critical]),
        (Above(Below::Rule), ME, 0o755, &[]),
        (Above(Below::Rule), 0, 0o775, &[Critical]),
        (Above(Below::Rule), 0, 0o1777, &[]),
        (Above(Below::Rule), 1001, 0o755, &[Critical]),
        (Above(Below::Authorities), 0, 0o757, &[Critical]),
        (Above(Below::Authorities), 1001, 0o700, &[Critical]),
        (Above(Below::Key), 0, 0o777, &[Critical]),
        (Above(Below::Key), 1001, 0o755, &[Warning]),
        (Above(Below::Secret), 0, 0o777, &[Warning]),
        (Above(Below::Socket), ME, 0o755, &[]),
        (Above(Below::Socket), 0, 0o777, &[Critical]),
        (Above(Below::Socket), 1001, 0o755, &[Critical]),
        (Above(Below::Secret), 0, 0o1777, &[]),
        (Above(Below::Secret), 1001, 0o755, &[Warning]),
    ] {
        assert_eq!(
            severities(guard, owner, mode),
            expected,
            "{guard:?} {owner} {mode:o}"
        );
    }
}

#[test]
fn the_remedy_takes_away_what_it_must_and_no_more() {
    for (guard, mode, mended) in [
        (Guard::Private, 0o644, "0600"),
        (Guard::Held(Custody::Own), 0o640, "0600"),
        (Guard::Held(Custody::MountedVolume), 0o664, "0644"),
        (Guard::Config, 0o666, "0644"),
        (Guard::ConfigWithSecrets, 0o666, "0600"),
        (Guard::Command, 0o4777, "0755"),
        (Guard::Above(Below::Command), 0o777, "0755"),
    ] {
        let facts = FileFacts { owner: ME, mode };
        let remedy = &breaches(Path::new("/x"), facts, guard, Holder::Onlooker(ME))[0].remedy;
        assert!(
            remedy.starts_with(&format!("chmod {mended} /x")),
            "{remedy}"
        );
        let mended = FileFacts {
            mode: guard.mended(mode),
            ..facts
        };
        let left = breaches(Path::new("/x"), mended, guard, Holder::Onlooker(ME));
        assert!(left.is_empty(), "{guard:?} {mode:o}");
    }
}

#[test]
fn another_users_file_is_not_said_to_be_open() {
    let file = GuardedFile {
        what: "the private key".into(),
        key: Some("gateway.tls.keyPath".to_owned()),
        path: "/x".into(),
        guard: Guard::Private,
        facts: Look::Seen(FileFacts {
            owner: 65534,
            mode: 0o600,
        }),
    };
    let found = check(&file, Some(3), Holder::Onlooker(0));
    assert_eq!(found.len(), 1);
    assert_eq!(
        found[0].evidence,
        "the private key, named in line 3 of the config, belongs to user 65534, and this runs \
         as user 0"
    );
    let remedy = &found[0].remedy;
    assert!(
        remedy.starts_with("run this command as the service's user"),
        "{remedy}"
    );
}

#[test]
fn an_owner_is_judged_by_the_service_and_not_where_nothing_shows_it() {
    use FindingId::{FileModeBroad, NotExamined};
    use Severity::{Critical, Info, Warning};
    const OWN: Guard = Guard::Held(Custody::Own);
    let service = Holder::Service(65534);
    for (guard, owner, holder, expected) in [
        (Guard::Private, 65534, service, None),
        (OWN, 65534, service, None),
        (Guard::Rule, 65534, service, None),
        (Guard::Rule, 0, service, None),
        (Guard::Rule, ME, service, Some((FileModeBroad, Critical))),
        (Guard::Private, ME, service, Some((FileModeBroad, Warning))),
        (OWN, 0, service, Some((FileModeBroad, Warning))),
        (OWN, 0, Holder::Unknown, None),
        (Guard::Rule, 0, Holder::Unknown, None),
        (
            Guard::Rule,
            65534,
            Holder::Unknown,
            Some((NotExamined, Info)),
        ),
        (OWN, 65534, Holder::Unknown, Some((NotExamined, Info))),
    ] {
        let mode = 0o600;
        let found = breaches(Path::new("/x"), FileFacts { owner, mode }, guard, holder);
        let found: Vec<_> = found.iter().map(|it| (it.id, it.severity)).collect();
        let expected: Vec<_> = expected.into_iter().collect();
        assert_eq!(found, expected, "{guard:?} {owner} {holder:?}");
    }
    let facts = FileFacts {
        owner: ME,
        mode: 0o600,
    };
    let found = &breaches(Path::new("/x"), facts, Guard::Private, service)[0];
    assert_eq!(
        found.evidence,
        "belongs to user 1000, and Portcullis runs as user 65534"
    );
    assert_eq!(found.remedy, "chown it to root or that user");
    // What others may do needs no owner to be judged.
    let facts = FileFacts {
        owner: 65534,
        mode: 0o666,
    };
    let found = breaches(Path::new("/x"), facts, Guard::Rule, Holder::Unknown);
    assert_eq!(found[0].severity, Critical);
}

#[test]
fn what_is_not_there_is_nobodys_to_read() {
    let mut file = GuardedFile {
        what: "the private key".into(),
        key: Some("gateway.tls.keyPath".to_owned()),
        path: "/x".into(),
        guard: Guard::Private,
        facts: Look::Missing,
    };
    assert_eq!(check(&file, None, Holder::Onlooker(ME)), []);
    file.facts = Look::Hidden("permission denied".to_owned());
    let hidden = check(&file, None, Holder::Onlooker(ME));
    assert_eq!(
        (hidden[0].id, hidden[0].severity),
        (FindingId::NotExamined, Severity::Info)
    );
}
