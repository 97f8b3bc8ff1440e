//! Asks the process that serves about itself, where there is one.

use super::super::admin_client::{AskError, Question, ask};
use super::super::chain;
use super::super::config_file::Loaded;
use crate::doctor::{Deployment, Facts, Finding, Running, check_running, unanswered};
use hyper::{Method, StatusCode};
use std::time::Duration;

/// For the answer, which is in memory.
const ANSWER: Duration = Duration::from_secs(5);

/// What the process at `admin.address` admits, and, in `deployment`, which it is. Another
/// host is not asked: the token is not for it.
pub(super) fn examine(loaded: &Loaded, facts: &Facts, deployment: &mut Deployment) -> Vec<Finding> {
    let config = &loaded.config;
    let address = config.admin.address;
    let is_here = address.ip().is_unspecified() || deployment.is_own(address.ip());
    if address.port() == 0 || !is_here {
        return Vec::new();
    }
    let question = Question {
        method: Method::GET,
        path: "/status",
        address: None,
        patience: ANSWER,
    };
    let why = match ask(config, &question) {
        Ok((StatusCode::OK, status)) => match Running::read(status) {
            Some(running) => {
                deployment.has_answered = true;
                if let Some(pid) = running.pid {
                    deployment.recognise(pid);
                }
                return check_running(config, facts, &running);
            }
            None => format!("{address} answers, and not as an admin listener"),
        },
        Ok((StatusCode::UNAUTHORIZED, _)) => {
            format!("{address} refuses admin.token: was it changed since the start?")
        }
        Ok((status, _)) => format!("{address} answers {status}"),
        // Perhaps nothing runs.
        Err(AskError::Unreachable { .. } | AskError::NoToken(_) | AskError::Token(_))
            if deployment.processes.is_empty() =>
        {
            return Vec::new();
        }
        Err(error) => chain(&error),
    };
    vec![unanswered(facts, &why)]
}
