//! How the files must be guarded on which secrets and rules depend.

use super::finding::Severity;
use crate::secrets::Custody;

/// How a file must be guarded. The owner is to be root or the service's user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guard {
    /// Group and others neither read nor write it.
    Private,
    /// As a file provider of this custody asks.
    Held(Custody),
    /// The config: who writes it may have any command run, so only the owner does.
    Config,
    /// A config that holds secrets: others don't read it either.
    ConfigWithSecrets,
    /// A file that decides who may pass: only the owner writes it.
    Rule,
    /// Authorities of those who are sent secrets: only the owner writes them.
    Authorities,
    /// A command: others may run it, only the owner writes.
    Command,
    /// A folder in which a file is looked up, or a symlink that leads to it: only the owner
    /// puts another in its place.
    Above(Below),
}

/// What a folder leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Below {
    /// A command. It isn't run where others may replace it.
    Command,
    /// The logins.
    Logins,
    /// The config.
    Config,
    /// A config that names commands. None is run where others may replace it.
    CommandsConfig,
    /// The front door's key.
    Key,
    /// A file that decides who may pass.
    Rule,
    /// Authorities of those who are sent secrets.
    Authorities,
    /// A secret. Another user's file isn't taken for it.
    Secret,
    /// A socket that sources connect to.
    Socket,
}

const READ_BY_OTHERS: u32 = 0o004;
/// What lets group and others write.
pub(super) const WRITE: u32 = 0o022;
const STICKY: u32 = 0o1000;

impl Guard {
    /// The guard of what leads to a file that is guarded like this.
    pub(super) fn above(self) -> Self {
        Self::Above(match self {
            Self::Private => Below::Key,
            Self::Held(_) => Below::Secret,
            Self::Config | Self::ConfigWithSecrets => Below::Config,
            Self::Rule => Below::Rule,
            Self::Authorities => Below::Authorities,
            Self::Command => Below::Command,
            Self::Above(below) => below,
        })
    }

    /// The bits that must not be set, and in words those that may.
    pub(super) fn forbidden(self) -> (u32, &'static str) {
        match self {
            Self::Private | Self::ConfigWithSecrets => (
                0o066,
                "group and others neither to read nor to write, such as 0600",
            ),
            Self::Held(custody) => custody.forbidden_mode(),
            Self::Config | Self::Rule | Self::Authorities => {
                (WRITE, "group and others not to write, such as 0644")
            }
            Self::Command | Self::Above(_) => {
                (WRITE, "group and others not to write, such as 0755")
            }
        }
    }

    /// The bits of a mode that must not be set.
    pub(super) fn excess(self, mode: u32) -> u32 {
        match self {
            // In a sticky folder nobody takes away another's file.
            Self::Above(_) if mode & STICKY != 0 => 0,
            _ => mode & self.forbidden().0,
        }
    }

    pub(super) fn admits_owner(self, owner: u32, user: u32) -> bool {
        match self {
            Self::Held(custody) => custody.admits_owner(owner, user),
            _ => [0, user].contains(&owner),
        }
    }

    /// A mode that mends one which is too broad.
    pub(super) fn mended(self, mode: u32) -> u32 {
        mode & 0o777 & !self.forbidden().0
    }

    /// Whether it is the content that must not be known.
    pub(super) fn hides(self) -> bool {
        matches!(
            self,
            Self::Private | Self::ConfigWithSecrets | Self::Held(Custody::Own)
        )
    }

    /// How bad it is that these bits are set.
    pub(super) fn severity_of(self, excess: u32) -> Severity {
        match self {
            Self::Above(Below::Secret) => Severity::Warning,
            _ if excess & (READ_BY_OTHERS | WRITE) != 0 => Severity::Critical,
            _ => Severity::Warning,
        }
    }

    /// How bad it is that another, unprivileged user owns it.
    pub(super) fn severity_of_owner(self) -> Severity {
        use Below::{CommandsConfig, Key, Logins};
        match self {
            Self::Config | Self::ConfigWithSecrets | Self::Rule | Self::Authorities => {
                Severity::Critical
            }
            Self::Above(Below::Config | CommandsConfig | Below::Rule | Below::Authorities) => {
                Severity::Critical
            }
            Self::Above(Below::Socket) => Severity::Critical,
            Self::Private | Self::Held(_) | Self::Command => Severity::Warning,
            Self::Above(Below::Command | Logins | Key | Below::Secret) => Severity::Warning,
        }
    }

    /// What becomes possible to those who may write it, where that is not plain.
    pub(super) fn danger(self) -> &'static str {
        match self {
            Self::Config | Self::ConfigWithSecrets => {
                "; who may change it may have any command run by Portcullis"
            }
            Self::Rule => "; who may change it decides who may pass",
            Self::Authorities => "; who may change it decides who gets what is sent there",
            Self::Above(below) => below.danger(),
            Self::Private | Self::Held(_) | Self::Command => "",
        }
    }
}

impl Below {
    /// What becomes possible to those who may put something else there.
    fn danger(self) -> &'static str {
        match self {
            Self::Command | Self::Logins => "",
            Self::Config => {
                "; who may put another config there decides who may pass, and who gets the secrets"
            }
            Self::CommandsConfig => {
                "; who may put another config there names the commands, so `run` has none run \
                 until that is mended"
            }
            Self::Key => "; who may put another there decides by which key the front door is known",
            Self::Rule => "; who may put another there decides who may pass",
            Self::Authorities => "; who may put others there decides who gets what is sent there",
            Self::Secret => "; who may write there can take it away",
            Self::Socket => {
                "; who may put a socket of his own there is sent what is meant for Portcullis, \
                 sessions and all"
            }
        }
    }
}
