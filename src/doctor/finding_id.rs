//! The kinds of findings.

use serde::{Serialize, Serializer};
use std::fmt;

/// Declares the kinds once: as variants, as text and as a list.
macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// The kinds of findings: stable codes for scripts.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum FindingId {
            $($(#[$doc])* $name,)*
        }

        impl FindingId {
            /// Every kind there is.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// As JSON and people read it.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }
        }
    };
}

kinds! {
    /// A secret stands in the config itself.
    PlaintextFound = "PLAINTEXT_FOUND",
    /// A file that holds a secret or a rule, or gives secrets out, is open to others.
    FileModeBroad = "FILE_MODE_BROAD",
    /// A secret stands in a systemd unit, which shows it to every user.
    UnitEnvironment = "UNIT_ENVIRONMENT",
    /// A reference that is in use has no value.
    RefUnresolved = "REF_UNRESOLVED",
    /// Something couldn't be looked at, so nothing is said about it.
    NotExamined = "NOT_EXAMINED",
    /// A model provider's credential has ended, or its login is over.
    ModelCredentialExpired = "MODEL_CREDENTIAL_EXPIRED",
    /// A model provider's credential ends soon.
    ModelCredentialExpiring = "MODEL_CREDENTIAL_EXPIRING",
    /// A model provider has no credential, or one whose secret is not to be had.
    ModelCredentialMissing = "MODEL_CREDENTIAL_MISSING",
    /// A header of the client's is taken for the proxy's in front.
    AttackHeaderBelieved = "ATTACK_HEADER_BELIEVED",
    /// A header of the client's comes through the proxy in front, and goes no further.
    AttackHeaderPassed = "ATTACK_HEADER_PASSED",
    /// A client can take away a header that the proxy in front sets.
    AttackHeaderRemoved = "ATTACK_HEADER_REMOVED",
    /// Some attacks had no answer to judge them by.
    AttackUnjudged = "ATTACK_UNJUDGED",
    /// Something in front gave an answer to another request than its own.
    AttackReplayed = "ATTACK_REPLAYED",
    /// No attack came through, so that nothing is known.
    AttackUnanswered = "ATTACK_UNANSWERED",
    /// The certificate of the attacked address was not verified.
    AttackUnverifiedTls = "ATTACK_UNVERIFIED_TLS",
    /// Portcullis would not start with this config.
    StartRefused = "START_REFUSED",
    /// The gateway can be reached past Portcullis.
    GatewayExposed = "GATEWAY_EXPOSED",
    /// The gateway doesn't answer where Portcullis would ask it.
    GatewayUnreachable = "GATEWAY_UNREACHABLE",
    /// The gateway is on another host, so who reaches it can't be seen from here.
    GatewayElsewhere = "GATEWAY_ELSEWHERE",
    /// Requests go to another host unencrypted.
    UpstreamPlainHttp = "UPSTREAM_PLAIN_HTTP",
    /// More addresses may name users than identity proxies have.
    TrustedProxiesWide = "TRUSTED_PROXIES_WIDE",
    /// Every process of this host may name any user.
    LoopbackTrusted = "LOOPBACK_TRUSTED",
    /// Processes that connect from this host's own addresses may name any user.
    LocalInterfaceTrusted = "LOCAL_INTERFACE_TRUSTED",
    /// Processes that are not the identity proxy may name any user at the Unix socket.
    UnixPeersTrusted = "UNIX_PEERS_TRUSTED",
    /// More addresses may say where a connection comes from than load balancers have.
    ProxyProtocolWide = "PROXY_PROTOCOL_WIDE",
    /// A Unix socket isn't the one that the running process listens at.
    SocketDisplaced = "SOCKET_DISPLACED",
    /// The front door has an address of the Internet.
    ListenerPublic = "LISTENER_PUBLIC",
    /// Any user whom a trusted proxy names may pass.
    AllowUsersAbsent = "ALLOW_USERS_ABSENT",
    /// The file of users can't be read, or holds none.
    AllowUsersUnreadable = "ALLOW_USERS_UNREADABLE",
    /// Nothing limits what users may do at the gateway.
    ScopeCeilingsAbsent = "SCOPE_CEILINGS_ABSENT",
    /// The trusted proxy's word decides what users may do.
    ScopesPassed = "SCOPES_PASSED",
    /// The front door speaks plain HTTP off loopback.
    TlsOff = "TLS_OFF",
    /// Browsers are not told to use https, or only for a short time.
    HstsWeak = "HSTS_WEAK",
    /// The certificate has ended.
    CertificateExpired = "CERTIFICATE_EXPIRED",
    /// The certificate ends soon.
    CertificateExpiring = "CERTIFICATE_EXPIRING",
    /// The certificate has not begun.
    CertificateNotYetValid = "CERTIFICATE_NOT_YET_VALID",
    /// For which names the certificate is, or that it has none, or not those served.
    CertificateNames = "CERTIFICATE_NAMES",
    /// The certificate vouches for itself.
    CertificateSelfSigned = "CERTIFICATE_SELF_SIGNED",
    /// The chain is out of order, or a part of it seems to be missing.
    CertificateChain = "CERTIFICATE_CHAIN",
    /// The certificate's key or signature is too weak.
    CertificateWeak = "CERTIFICATE_WEAK",
    /// The admin listener can be reached from other hosts.
    AdminExposed = "ADMIN_EXPOSED",
    /// Every process of this host may use the admin listener.
    AdminTokenAbsent = "ADMIN_TOKEN_ABSENT",
    /// Metrics can be read from other hosts.
    ProbeExposed = "PROBE_EXPOSED",
    /// The back door can be reached from other hosts, unencrypted.
    BackDoorExposed = "BACK_DOOR_EXPOSED",
    /// Every process of this host may spend the model credentials.
    BackDoorTokenAbsent = "BACK_DOOR_TOKEN_ABSENT",
    /// Portcullis runs as root.
    RunsAsRoot = "RUNS_AS_ROOT",
    /// A crash may write memory, with its secrets, to a file.
    CoreDumpsOn = "CORE_DUMPS_ON",
    /// The running process gave up less than it could, or nothing.
    LockdownOff = "LOCKDOWN_OFF",
    /// The process that runs the commands of exec providers has ended.
    ExecHelperGone = "EXEC_HELPER_GONE",
    /// The running process serves an older config, since this one could not be loaded.
    ReloadFailed = "RELOAD_FAILED",
    /// The running process keeps old values until it is restarted.
    RestartRequired = "RESTART_REQUIRED",
    /// The running process has no keys to verify assertions by, or can't renew them.
    AssertionKeysMissing = "ASSERTION_KEYS_MISSING",
    /// Fewer open files are allowed than the limits need.
    OpenFilesFew = "OPEN_FILES_FEW",
    /// A route that needs no user.
    PublicRoute = "PUBLIC_ROUTE",
    /// Requests leave no line in the log.
    AccessLogOff = "ACCESS_LOG_OFF",
    /// Users may send requests as fast as they like.
    RateLimitOff = "RATE_LIMIT_OFF",
    /// The user header alone makes a request an identity proxy's.
    RequiredHeadersAbsent = "REQUIRED_HEADERS_ABSENT",
    /// An address is the only proof of who connects.
    ClientCertificatesAbsent = "CLIENT_CERTIFICATES_ABSENT",
    /// Any certificate of the sources' authority will do.
    ClientCertNamesAbsent = "CLIENT_CERT_NAMES_ABSENT",
    /// Something in the gateway's config could not be compared.
    OpenclawUnread = "OPENCLAW_UNREAD",
    /// The gateway is not in trusted-proxy mode.
    OpenclawMode = "OPENCLAW_MODE",
    /// The credential that Portcullis shows is not what the gateway asks for.
    OpenclawCredential = "OPENCLAW_CREDENTIAL",
    /// A secret beside trusted-proxy mode keeps the gateway from starting.
    OpenclawSecretBeside = "OPENCLAW_SECRET_BESIDE",
    /// The two read the user from different headers.
    OpenclawUserHeader = "OPENCLAW_USER_HEADER",
    /// The gateway demands a header that it doesn't get.
    OpenclawRequiredHeaders = "OPENCLAW_REQUIRED_HEADERS",
    /// The two let different users in.
    OpenclawAllowUsers = "OPENCLAW_ALLOW_USERS",
    /// The gateway trusts not Portcullis, or not Portcullis alone.
    OpenclawTrustedProxies = "OPENCLAW_TRUSTED_PROXIES",
    /// The gateway refuses Portcullis, which comes over loopback.
    OpenclawAllowLoopback = "OPENCLAW_ALLOW_LOOPBACK",
    /// The gateway refuses Portcullis, which comes from an address of the gateway's own host.
    OpenclawLocalInterface = "OPENCLAW_LOCAL_INTERFACE",
    /// The gateway listens for more than Portcullis.
    OpenclawBind = "OPENCLAW_BIND",
    /// The gateway's port is another than Portcullis connects to.
    OpenclawPort = "OPENCLAW_PORT",
    /// One side speaks TLS and the other doesn't.
    OpenclawTls = "OPENCLAW_TLS",
    /// The gateway is published past Portcullis.
    OpenclawTailscale = "OPENCLAW_TAILSCALE",
    /// The gateway refuses browsers on a host that is served, or admits them from others.
    OpenclawAllowedOrigins = "OPENCLAW_ALLOWED_ORIGINS",
    /// The gateway grants scopes that Portcullis doesn't limit, or never lets through.
    OpenclawScopes = "OPENCLAW_SCOPES",
}

impl fmt::Display for FindingId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl Serialize for FindingId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn each_kind_has_a_code_of_its_own_that_is_its_name() {
        let codes: BTreeSet<_> = FindingId::ALL.iter().map(|id| id.as_str()).collect();
        assert_eq!(codes.len(), FindingId::ALL.len());
        for id in FindingId::ALL {
            let name = id.as_str().to_ascii_lowercase().replace('_', "");
            assert_eq!(format!("{id:?}").to_ascii_lowercase(), name);
            assert_eq!(serde_json::to_value(id).unwrap(), id.as_str());
        }
    }

    /// The list that users find.
    #[test]
    fn the_readme_knows_every_kind() {
        let readme = include_str!("../../README.md");
        let missing: Vec<_> = FindingId::ALL
            .iter()
            .filter(|id| !readme.contains(&format!("`{id}`")))
            .collect();
        assert!(missing.is_empty(), "{missing:?}");
    }
}
