//! Who may talk to a listener for programs of this host.
