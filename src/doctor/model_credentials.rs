//! What is wrong with the credentials of model providers, by the rows of their status.

use super::custody::not_examined;
use super::finding::{Finding, Place, Severity};
use super::finding_id::FindingId;
use crate::credentials::status::{CredentialKind, CredentialStatus, State, Verdict};
use crate::credentials::{UnixMillis, words};
use std::path::Path;
use std::time::Duration;

/// A finding for each credential that a check objects to, with `within` for "soon".
/// `config` is the file that the providers are configured in.
#[must_use]
pub fn check_model_credentials(
    rows: &[CredentialStatus],
    config: &Path,
    now: UnixMillis,
    within: Duration,
) -> Vec<Finding> {
    let objected = rows.iter().map(|row| (row, row.verdict(now, within)));
    let objected = objected.filter(|(_, verdict)| *verdict != Verdict::Good);
    objected.map(|(row, _)| finding(row, config, now)).collect()
}

/// A finding for each token sink that can't be read, by what was said of it; `is_certain`:
/// by the service, or as its user.
#[must_use]
pub fn check_token_sinks(problems: &[String], config: &Path, is_certain: bool) -> Vec<Finding> {
    let place = || Place::key(config, "models.stateDir");
    if !is_certain {
        let told = problems
            .iter()
            .map(|problem| not_examined(place(), "a token sink", problem));
        return told.collect();
    }
    let findings = problems.iter().map(|problem| Finding {
        id: FindingId::ModelCredentialMissing,
        severity: Severity::Critical,
        evidence: format!("a token sink can't be read: {problem}"),
        remedy: "mend or remove that file, and log in again with `portcullis models auth`"
            .to_owned(),
        place: place(),
    });
    findings.collect()
}

fn finding(row: &CredentialStatus, config: &Path, now: UnixMillis) -> Finding {
    let (id, severity) = fault(row.state);
    let key = match &row.agent {
        Some(agent) => format!("agents.{agent}"),
        None => format!("models.providers.{}", row.provider),
    };
    Finding {
        id,
        severity,
        evidence: evidence(row, now),
        remedy: remedy(row),
        place: Place::key(config, key),
    }
}

fn fault(state: State) -> (FindingId, Severity) {
    use FindingId::{ModelCredentialExpired, ModelCredentialExpiring, ModelCredentialMissing};
    match state {
        State::Expired | State::NeedsLogin | State::Rejected => {
            (ModelCredentialExpired, Severity::Critical)
        }
        State::Unresolved | State::Missing => (ModelCredentialMissing, Severity::Critical),
        State::Unusable => (ModelCredentialMissing, Severity::Warning),
        State::Ready | State::CoolingDown | State::LeftOut => {
            (ModelCredentialExpiring, Severity::Warning)
        }
    }
}

fn evidence(row: &CredentialStatus, now: UnixMillis) -> String {
    let CredentialStatus {
        provider,
        name,
        state,
        expires_at,
        detail,
        ..
    } = row;
    let detail = detail.as_deref().unwrap_or("no more is known");
    let when = expires_at.map(|at| words::relative(now, UnixMillis(at)));
    let when = when.as_deref().unwrap_or("at a time that is not known");
    match state {
        State::Expired => format!("`{name}` expired {when}"),
        State::NeedsLogin => format!("`{name}` needs a login: {detail}"),
        State::Unresolved => format!("the secret of `{name}` is not to be had: {detail}"),
        State::Unusable => format!("`{name}` is no credential that could be used: {detail}"),
        State::Missing => format!("`{provider}` is configured and has no credential"),
        State::Rejected => format!("`{provider}` answers 401 to `{name}`"),
        State::Ready | State::CoolingDown | State::LeftOut => format!("`{name}` expires {when}"),
    }
}

fn remedy(row: &CredentialStatus) -> String {
    let provider = &row.provider;
    match (row.state, row.kind) {
        (State::Unusable, _) => format!(
            "put the credential in anew, or take it out with `portcullis models auth logout {}`",
            row.name
        ),
        (State::Unresolved, _) => {
            "give its reference a value: see `portcullis secrets list`".to_owned()
        }
        (State::Missing, _) => format!(
            "set a key (`models.providers.{provider}.apiKey`), or log in with `portcullis models auth`"
        ),
        (_, CredentialKind::External) => "let the program that owns the login renew it".to_owned(),
        _ if row.is_pool_key() => {
            let origin = row.detail.as_deref().unwrap_or("where it is configured");
            format!("put another key in its place ({origin})")
        }
        _ => renewal(row),
    }
}

/// The command that puts another credential in this one's place, and in no other's.
fn renewal(row: &CredentialStatus) -> String {
    // The name says whose it was when it was put in: `openai:default` may be a login.
    let (provider, name) = row
        .name
        .split_once(':')
        .unwrap_or((&row.provider, "default"));
    let mut command = match row.kind {
        CredentialKind::OAuth => format!("portcullis models auth login --provider {provider}"),
        CredentialKind::Token if provider == "anthropic" => {
            "portcullis models auth setup-token".to_owned()
        }
        CredentialKind::Token => {
            format!("portcullis models auth paste-token --provider {provider} --kind token")
        }
        CredentialKind::ApiKey | CredentialKind::External | CredentialKind::None => {
            format!("portcullis models auth paste-token --provider {provider}")
        }
    };
    if name != "default" {
        command.push_str(&format!(" --profile-name {name}"));
    }
    if let Some(agent) = &row.agent {
        command.push_str(&format!(" --agent {agent}"));
    }
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMillis = UnixMillis(1_790_000_000_000);
    const DAY: Duration = Duration::from_secs(86_400);

    fn row(kind: CredentialKind, state: State, expires_at: Option<UnixMillis>) -> CredentialStatus {
        CredentialStatus {
            kind,
            state,
            expires_at: expires_at.map(|at| at.0),
            name: "anthropic:work".to_owned(),
            ..CredentialStatus::missing("anthropic")
        }
    }

    #[test]
    fn each_fault_has_a_finding_that_says_what_to_do() {
        let config = Path::new("/etc/p.toml");
        for (row, id, evidence, remedy) in [
            (
                row(
                    CredentialKind::Token,
                    State::Expired,
                    Some(UnixMillis(NOW.0 - 7_200_000)),
                ),
                FindingId::ModelCredentialExpired,
                "expired 2 h ago",
                "setup-token --profile-name work",
            ),
            (
                row(CredentialKind::OAuth, State::NeedsLogin, None),
                FindingId::ModelCredentialExpired,
                "needs a login",
                "auth login --provider anthropic --profile-name work",
            ),
            (
                row(CredentialKind::Token, State::Ready, Some(NOW.plus(DAY / 2))),
                FindingId::ModelCredentialExpiring,
                "expires in 12 h",
                "setup-token",
            ),
            (
                CredentialStatus::missing("anthropic"),
                FindingId::ModelCredentialMissing,
                "has no credential",
                "apiKey",
            ),
            (
                row(CredentialKind::ApiKey, State::Unresolved, None),
                FindingId::ModelCredentialMissing,
                "not to be had",
                "secrets list",
            ),
            (
                row(CredentialKind::None, State::Unusable, None),
                FindingId::ModelCredentialMissing,
                "no credential that could be used",
                "logout anthropic:work",
            ),
        ] {
            let findings = check_model_credentials(std::slice::from_ref(&row), config, NOW, DAY);
            assert_eq!(findings.len(), 1, "{row:?}");
            assert_eq!(findings[0].id, id);
            assert!(findings[0].evidence.contains(evidence), "{findings:?}");
            assert!(findings[0].remedy.contains(remedy), "{findings:?}");
        }
        let good = [
            row(CredentialKind::Token, State::Ready, Some(NOW.plus(2 * DAY))),
            row(CredentialKind::ApiKey, State::CoolingDown, None),
        ];
        assert_eq!(check_model_credentials(&good, config, NOW, DAY), []);
    }
}
