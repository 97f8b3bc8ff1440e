//! `[[gateway.publicRoutes]]`: routes that carry their own proof.

use super::entry::Entry;
use super::gateway::read_nets;
use super::section::Section;
use super::shape::Shape;
use super::walk::Walk;
use crate::policy::{PublicRoute, RouteError, RoutePath};

pub(super) fn read(entry: &Entry<'_>, walk: &mut Walk<'_>) -> Vec<PublicRoute> {
    entry
        .sections(walk)
        .iter()
        .filter_map(|section| read_route(section, walk))
        .collect()
}

fn read_route(section: &Section<'_>, walk: &mut Walk<'_>) -> Option<PublicRoute> {
    let [path_entry, methods_entry, websocket_entry, sources_entry] =
        section.fields(walk, ["path", "methods", "websocket", "sources"], &[]);
    let expected = "a path such as \"/hooks/\"";
    let path = path_entry
        .needed(walk, expected)
        .convert(walk, expected, RoutePath::parse);
    let expected = "an array of methods such as [\"POST\"]";
    let items = methods_entry.needed(walk, expected).items(walk, expected);
    let methods: Option<Vec<&str>> = items.as_ref().map(|items| {
        items
            .iter()
            .filter_map(|item| item.text(walk, Shape::Hidden, "a method such as \"POST\""))
            .collect()
    });
    let websocket = websocket_entry.boolean(walk).unwrap_or(false);
    let expected = "an array of IP addresses and CIDRs";
    let sources = read_nets(&sources_entry, walk, expected);
    if sources.is_none() && sources_entry.is_present() {
        return None;
    }

    let (items, methods) = (items?, methods?);
    if methods.len() != items.len() {
        return None;
    }
    // A bad path doesn't hide what is wrong with the methods.
    let stand_in = || RoutePath::parse("/-").expect("a plain path with one segment");
    let has_path = path.is_some();
    match PublicRoute::new(path.unwrap_or_else(stand_in), methods, websocket, sources) {
        Ok(route) => has_path.then_some(route),
        Err(error) => {
            let entry = match error {
                RouteError::Method(index) => items.get(index).unwrap_or(&methods_entry),
                RouteError::NoMethods => &methods_entry,
                RouteError::WebsocketNeedsGet => &websocket_entry,
                RouteError::NoSources => &sources_entry,
                RouteError::NotAbsolute | RouteError::NotPlain(_) | RouteError::Everything => {
                    &path_entry
                }
            };
            walk.refuse(entry.place(), error.to_string());
            None
        }
    }
}
