//! A process that listens on a Unix socket: what that takes leads nowhere else.

use super::inside::{FOLDER, abi_of, absent, attempt, denied, run_by_itself};
use portcullis::secrets::env;
use portcullis::{config, server};
use std::fs;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixListener, UnixStream};
use std::path::{Path, PathBuf};

const SERVICE: &str = "PORTCULLIS_TEST_SERVICE";

#[test]
fn a_socket_of_its_own_opens_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    for name in ["config", "sockets"] {
        fs::create_dir(path(name)).unwrap();
    }
    fs::write(path("sockets/shadow"), "root:s3cret").unwrap();
    let config = format!(
        "[listen]\naddress = \"unix:{}\"\nunixPeerUids = [33]\n[upstream]\n\
         url = \"http://127.0.0.1:9\"\n[gateway]\ntrustedProxies = [\"10.0.0.1\"]\n\
         [gateway.auth]\nmode = \"trusted-proxy\"\n[gateway.auth.trustedProxy]\n\
         userHeader = \"x-user\"\nallowUsers = [\"nick\"]\n",
        path("sockets/front.sock").display()
    );
    fs::write(path("config/portcullis.toml"), config).unwrap();
    // Another process' socket that no folder guards, as a session's services have it.
    let service = format!("portcullis-test-{}", std::process::id());
    let _listener = UnixListener::bind_addr(&abstract_address(&service)).unwrap();
    let told = (SERVICE, service);
    run_by_itself("lockdown::socket::attempts", folder.path(), told);
    assert!(!path("sockets/planted").exists());
}

fn abstract_address(name: &str) -> SocketAddr {
    SocketAddr::from_abstract_name(name).unwrap()
}

fn call(service: &str) -> io::Result<UnixStream> {
    UnixStream::connect_addr(&abstract_address(service))
}

#[test]
#[ignore = "gives up most of what it may do: the test above runs it in a process of its own"]
fn attempts() {
    let folder = PathBuf::from(std::env::var_os(FOLDER).unwrap());
    let service = std::env::var(SERVICE).unwrap();
    let file = folder.join("config/portcullis.toml");
    let parsed = config::parse(&fs::read_to_string(&file).unwrap()).unwrap();
    fs::read_to_string(folder.join("sockets/shadow")).unwrap();
    call(&service).unwrap();

    let confinement = server::lock_down(&parsed.config, &file, &env::Process);
    let report = confinement.report();
    assert!(report.unix_sockets, "{report:?}");
    // Which abstract sockets it reaches is told by later kernels alone.
    let abi = abi_of(report);
    attempt(move || {
        if abi >= 6 {
            denied(call(&service));
        }
        absent(UnixDatagram::unbound());
        beside_its_socket(&folder.join("sockets"));
    });
}

/// In the folder of its socket it has no business but that.
fn beside_its_socket(folder: &Path) {
    let socket = folder.join("front.sock");
    let _listener = UnixListener::bind(&socket).unwrap();
    UnixStream::connect(&socket).unwrap();
    fs::remove_file(&socket).unwrap();
    denied(fs::read_to_string(folder.join("shadow")));
    denied(fs::read_dir(folder));
    denied(fs::write(folder.join("shadow"), ""));
    denied(fs::write(folder.join("planted"), ""));
}
