//! Findings, to people and to programs.

use super::super::output::{Style, one_line};
use crate::doctor::{Finding, Tally};
use serde_json::{Value, json};
use std::path::Path;

/// As `secrets audit` has it, and the severity of the worst.
pub(super) fn json(findings: &[Finding], config: Option<&Path>) -> Value {
    json!({
        "ok": Tally::of(findings).is_good(),
        "worst": findings.iter().map(|finding| finding.severity).max(),
        "file": config.map(|config| config.display().to_string()),
        "findings": findings,
    })
}

/// Three lines a finding, and one for all of them.
pub(super) fn text(findings: &[Finding], style: Style) -> String {
    let mut text = String::new();
    for finding in findings {
        let Finding {
            id,
            severity,
            evidence,
            remedy,
            place,
        } = finding;
        let severity = style.severity(*severity);
        let place = style.dim(one_line(&place.to_string()));
        let (evidence, remedy) = (one_line(evidence), one_line(remedy));
        text.push_str(&format!(
            "{severity} {id} {place}\n    {evidence}\n    do: {remedy}\n"
        ));
    }
    text.push_str(&summary(findings, style));
    text
}

/// `no critical finding; 2 warnings, 3 notes`.
fn summary(findings: &[Finding], style: Style) -> String {
    let Tally {
        critical,
        warning,
        info,
    } = Tally::of(findings);
    let critical = match critical {
        0 => style.green("no critical finding"),
        1 => style.red("1 critical finding"),
        more => style.red(format_args!("{more} critical findings")),
    };
    let some = |count: usize, one: &str| match count {
        1 => format!("1 {one}"),
        _ => format!("{count} {one}s"),
    };
    let warnings = some(warning, "warning");
    let notes = some(info, "note");
    format!("{critical}; {warnings}, {notes}\n")
}

#[cfg(test)]
mod tests {
    use super::super::super::output::Style;
    use super::*;
    use crate::doctor::{FindingId, Place, Severity};

    fn finding(severity: Severity) -> Finding {
        Finding {
            id: FindingId::FileModeBroad,
            severity,
            evidence: "the key is\nopen".to_owned(),
            remedy: "chmod 0600 /k".to_owned(),
            place: Place::file(Path::new("/k")),
        }
    }

    #[test]
    fn people_read_what_and_where_and_what_to_do_and_the_sum_of_it() {
        use Severity::{Critical, Info, Warning};
        for (severities, sum) in [
            (&[][..], "no critical finding; 0 warnings, 0 notes"),
            (&[Warning, Info], "no critical finding; 1 warning, 1 note"),
            (
                &[Critical, Info, Info],
                "1 critical finding; 0 warnings, 2 notes",
            ),
            (
                &[Critical, Critical],
                "2 critical findings; 0 warnings, 0 notes",
            ),
        ] {
            let findings: Vec<_> = severities.iter().copied().map(finding).collect();
            let text = text(&findings, Style::plain());
            assert_eq!(text.lines().last(), Some(sum));
            assert_eq!(text.lines().count(), 3 * findings.len() + 1);
        }
        let text = text(&[finding(Critical)], Style::plain());
        let expected =
            "critical FILE_MODE_BROAD /k\n    the key is\u{fffd}open\n    do: chmod 0600 /k\n";
        assert!(text.starts_with(expected), "{text}");
    }

    #[test]
    fn programs_read_the_worst_and_whether_anything_is_to_be_mended() {
        use Severity::{Critical, Info, Warning};
        for (severities, ok, worst) in [
            (&[][..], true, Value::Null),
            (&[Info], true, "info".into()),
            (&[Info, Warning], false, "warning".into()),
            (&[Warning, Critical], false, "critical".into()),
        ] {
            let findings: Vec<_> = severities.iter().copied().map(finding).collect();
            let json = json(&findings, Some(Path::new("/p.toml")));
            assert_eq!((&json["ok"], &json["worst"]), (&ok.into(), &worst));
            assert_eq!(json["file"], "/p.toml");
        }
    }
}
