//! An `openclaw.json` that is imported: TOML comes out, and what kept people out there
//! keeps them out here.
#![no_main]

use libfuzzer_sys::fuzz_target;
use portcullis::config::{AllowUsersSource, import_openclaw, parse};
use portcullis::policy::AllowUsers;
use serde_json::{Value, json};

fuzz_target!(|text: &str| {
    let Ok(imported) = import_openclaw(text) else {
        return;
    };
    let page = &imported.toml;
    if let Err(error) = toml::from_str::<toml::Table>(page) {
        panic!("{error}\n{page}");
    }
    let parsed = parse(page);
    assert_eq!(parsed.is_ok(), imported.problems.is_empty(), "{page}");
    for left in &imported.left_out {
        assert!(!left.key.is_empty() && !left.reason.is_empty());
    }
    let Ok(parsed) = parsed else { return };

    // A rule there, be it one that can't be read, never means anybody here.
    let document = json5::from_str::<Value>(text).expect("it was imported");
    let users = document.pointer("/gateway/auth/trustedProxy/allowUsers");
    if let Some(users) = users.filter(|users| **users != json!([])) {
        let here = &parsed.config.gateway.trusted_proxy.allow_users;
        let AllowUsersSource::Inline(AllowUsers::Only(list)) = here else {
            panic!("{users} became {here:?}\n{page}");
        };
        let named = users.as_array().into_iter().flatten();
        let named: Vec<&str> = named.filter_map(Value::as_str).map(str::trim).collect();
        for user in list.iter() {
            assert!(named.contains(&user), "{user} came from nowhere\n{page}");
        }
    }
});
