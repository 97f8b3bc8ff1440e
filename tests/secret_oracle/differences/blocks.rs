//! Differences in what a `secrets` block may hold that are meant.

use super::{Difference, Users};

pub(super) const BLOCKS: &[Difference] = &[
    Difference {
        reason: "a key of ours: volumes of Kubernetes, and Homebrew's symlinks",
        seen_by: Users::All,
        portcullis: "accepted",
        gateway: "refused",
        names: &[
            "file with mountedVolume = false",
            "file with mountedVolume = true",
            "exec with allowSymlinkCommand = false",
            "a symlinked command in a trusted folder",
        ],
    },
    Difference {
        reason: "another user's home is for a shell to find; the gateway reads `~nick` as a folder's name",
        seen_by: Users::All,
        portcullis: "refused",
        gateway: "accepted",
        names: &["path of another user's home"],
    },
    Difference {
        reason: "the gateway's own store and plugins can't be reached from outside of it",
        seen_by: Users::All,
        portcullis: "refused",
        gateway: "accepted",
        names: &[
            "env with source = \"store\"",
            "the gateway's store",
            "a plugin's provider",
        ],
    },
    Difference {
        reason: "what the system can't take (NUL, a variable's name with `=` or without a letter, a blank path) is refused when read, not when used",
        seen_by: Users::All,
        portcullis: "refused",
        gateway: "accepted",
        names: &[
            "path with NUL",
            "file with path = \" \"",
            "exec with args = [\"a\\u0000b\"]",
            "exec with env = {\"\":\"1\"}",
            "exec with env = {\"A=B\":\"1\"}",
            "exec with env = {\"A\":\"a\\u0000b\"}",
        ],
    },
    Difference {
        reason: "no control character in a command's or trusted folder's path",
        seen_by: Users::All,
        portcullis: "refused",
        gateway: "accepted",
        names: &[
            "command named \"a\\tb\"",
            "command named \"a\\u{7f}b\"",
            "exec with trustedDirs = [\"/a\\nb\"]",
        ],
    },
    Difference {
        reason: "released for Linux alone",
        seen_by: Users::All,
        portcullis: "refused",
        gateway: "accepted",
        names: &[
            "command at \"C:\\\\op.exe\"",
            "exec with trustedDirs = [\"C:\\\\a\"]",
        ],
    },
    Difference {
        reason: "an alias that no reference could name is refused",
        seen_by: Users::All,
        portcullis: "refused",
        gateway: "accepted",
        names: &[
            "alias in capitals",
            "alias with a blank",
            "blank alias",
            "alias of 65 characters",
            "alias `__proto__`",
        ],
    },
    Difference {
        reason: "a command is started without a shell, so its name may hold a shell's characters",
        seen_by: Users::All,
        portcullis: "accepted",
        gateway: "refused",
        names: &[
            "command named \"a;b\"",
            "command named \"a&b\"",
            "command named \"a|b\"",
            "command named \"a`b\"",
            "command named \"a$b\"",
            "command named \"a<b\"",
            "command named \"a>b\"",
            "command named \"a\\\"b\"",
            "command named \"a'b\"",
        ],
    },
    Difference {
        reason: "limits that older gateways had are accepted with a warning",
        seen_by: Users::All,
        portcullis: "accepted",
        gateway: "refused",
        names: &["resolution limits"],
    },
];
