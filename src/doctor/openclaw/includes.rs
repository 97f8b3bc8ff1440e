//! `$include`, as the gateway resolves it: files deep-merged in order, the keys beside
//! it on top of them; relative to the file that includes, and never outside the folder
//! of the first.

use super::document::OpenClawError;
use crate::config::read_openclaw;
use crate::regular_file;
use serde_json::{Map, Value};
use std::cell::Cell;
use std::path::{Component, Path, PathBuf};

const INCLUDE: &str = "$include";
/// What of the config is looked at; whatever else it includes stays unread.
const LOOKED_AT: [&str; 2] = ["gateway", "env"];
/// The gateway's limits.
const MAX_DEPTH: usize = 10;
const MAX_BYTES: u64 = 2 << 20;
/// Ours: files that include each other ten at a time would keep the doctor for ever.
const MAX_FILES: usize = 256;

/// Reads a config with what it includes for the keys that are looked at.
pub(super) fn read(path: &Path) -> Result<Map<String, Value>, OpenClawError> {
    let path = std::path::absolute(path).map_err(|source| OpenClawError::Unreadable {
        path: path.to_owned(),
        source,
    })?;
    let folder = path.parent().unwrap_or(Path::new("/"));
    let reader = Reader {
        // What a symlink leads to must be inside, too.
        root: folder.canonicalize().unwrap_or_else(|_| folder.to_owned()),
        files: Cell::new(0),
    };
    let place = File {
        path: &path,
        above: None,
    };
    match reader.value(load(&path)?, &place, Depth::Root)? {
        Value::Object(members) => Ok(members),
        _ => Err(OpenClawError::NotObject { path }),
    }
}

struct Reader {
    root: PathBuf,
    /// How many were included.
    files: Cell<usize>,
}

/// A file, and the ones that include it.
struct File<'a> {
    path: &'a Path,
    above: Option<&'a File<'a>>,
}

/// Where in the config a value stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Depth {
    Root,
    Within,
}

fn load(path: &Path) -> Result<Value, OpenClawError> {
    let unreadable = |source| OpenClawError::Unreadable {
        path: path.to_owned(),
        source,
    };
    let text = regular_file::read_to_string(path, MAX_BYTES).map_err(unreadable)?;
    read_openclaw(&text).map_err(|source| OpenClawError::Malformed {
        path: path.to_owned(),
        source,
    })
}

impl File<'_> {
    fn refused(&self, problem: &'static str) -> OpenClawError {
        OpenClawError::Include {
            path: self.path.to_owned(),
            problem,
        }
    }

    fn chain(&self) -> impl Iterator<Item = &Path> {
        std::iter::successors(Some(self), |file| file.above).map(|file| file.path)
    }
}

impl Reader {
    fn value(&self, value: Value, file: &File<'_>, depth: Depth) -> Result<Value, OpenClawError> {
        match value {
            Value::Object(members) => self.object(members, file, depth),
            Value::Array(items) => {
                let items = items.into_iter();
                let items = items.map(|item| self.value(item, file, Depth::Within));
                items.collect::<Result<_, _>>().map(Value::Array)
            }
            other => Ok(other),
        }
    }

    fn object(
        &self,
        mut members: Map<String, Value>,
        file: &File<'_>,
        depth: Depth,
    ) -> Result<Value, OpenClawError> {
        if depth == Depth::Root {
            members.retain(|name, _| name == INCLUDE || LOOKED_AT.contains(&name.as_str()));
        }
        let include = members.remove(INCLUDE);
        let mut beside = Map::new();
        for (name, value) in members {
            beside.insert(name, self.value(value, file, Depth::Within)?);
        }
        let Some(include) = include else {
            return Ok(Value::Object(beside));
        };
        let included = match include {
            Value::String(name) => self.file(&name, file, depth)?,
            Value::Array(names) => {
                let mut merged = Value::Object(Map::new());
                for name in names {
                    let Value::String(name) = name else {
                        return Err(file.refused("got something else than a path"));
                    };
                    merged = merge(merged, self.file(&name, file, depth)?);
                }
                merged
            }
            _ => return Err(file.refused("got something else than a path or an array of paths")),
        };
        match included {
            included if beside.is_empty() => Ok(included),
            included @ Value::Object(_) => Ok(merge(included, Value::Object(beside))),
            _ => Err(file.refused("got keys beside it, and the included file is no object")),
        }
    }

    fn file(&self, name: &str, from: &File<'_>, depth: Depth) -> Result<Value, OpenClawError> {
        let folder = from.path.parent().unwrap_or(Path::new("/"));
        let path = normal(&folder.join(name));
        let is_inside = match path.canonicalize() {
            Ok(real) => real.starts_with(&self.root),
            Err(source) => return Err(OpenClawError::Unreadable { path, source }),
        };
        if !is_inside {
            return Err(from.refused("a file outside the folder of the config"));
        }
        if from.chain().any(|above| above == path) {
            return Err(from.refused("a file that includes itself"));
        }
        if from.chain().count() > MAX_DEPTH {
            return Err(from.refused("nested deeper than 10 levels"));
        }
        self.files.set(self.files.get() + 1);
        if self.files.get() > MAX_FILES {
            return Err(from.refused("more than 256 files in all"));
        }
        let file = File {
            path: &path,
            above: Some(from),
        };
        self.value(load(&path)?, &file, depth)
    }
}

/// Without `.` and `..`, symlinks not looked at.
fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => {
                normal.pop();
            }
            Component::CurDir => {}
            other => normal.push(other),
        }
    }
    normal
}

/// Objects merge, arrays are joined, of anything else the upper one stays.
fn merge(lower: Value, upper: Value) -> Value {
    match (lower, upper) {
        (Value::Object(mut lower), Value::Object(upper)) => {
            for (name, value) in upper {
                let merged = match lower.remove(&name) {
                    Some(under) => merge(under, value),
                    None => value,
                };
                lower.insert(name, merged);
            }
            Value::Object(lower)
        }
        (Value::Array(mut lower), Value::Array(upper)) => {
            lower.extend(upper);
            Value::Array(lower)
        }
        (_, upper) => upper,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::fs;
    use std::os::unix::fs::symlink;

    fn resolved(files: &[(&str, &str)]) -> Result<Value, OpenClawError> {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        read(&folder.path().join("openclaw.json")).map(Value::Object)
    }

    #[test]
    fn what_is_included_lies_below_what_stands_beside_it() {
        let files = [
            (
                "openclaw.json",
                "{ gateway: { $include: ['./a.json5', 'deep/b.json5'], port: 3 }, \
                 agents: { $include: './missing.json5' } }",
            ),
            (
                "a.json5",
                "{ port: 1, bind: 'lan', trustedProxies: ['a'], auth: { mode: 'x' } }",
            ),
            (
                "deep/b.json5",
                "{ port: 2, trustedProxies: ['b'], auth: { $include: './c.json5' } }",
            ),
            ("deep/c.json5", "{ mode: 'trusted-proxy' }"),
        ];
        let expected = json!({ "gateway": {
            "port": 3, "bind": "lan", "trustedProxies": ["a", "b"], "auth": { "mode": "trusted-proxy" }
        } });
        assert_eq!(resolved(&files).unwrap(), expected);
        let whole = [
            ("openclaw.json", "{ $include: './all.json5' }"),
            (
                "all.json5",
                "{ gateway: { trustedProxies: { $include: './list.json5' } }, models: {} }",
            ),
            ("list.json5", "['a']"),
        ];
        let expected = json!({ "gateway": { "trustedProxies": ["a"] } });
        assert_eq!(resolved(&whole).unwrap(), expected);
    }

    #[test]
    fn what_the_gateway_refuses_is_refused() {
        let gateway = |include: &str| format!("{{ gateway: {{ $include: {include}, port: 1 }} }}");
        for (files, problem) in [
            (
                vec![("openclaw.json", gateway("'../x.json5'"))],
                "No such file",
            ),
            (vec![("openclaw.json", gateway("'/etc/passwd'"))], "outside"),
            (
                vec![("openclaw.json", gateway("'openclaw.json'"))],
                "itself",
            ),
            (vec![("openclaw.json", gateway("1"))], "else than a path"),
            (vec![("openclaw.json", gateway("[1]"))], "else than a path"),
            (
                vec![
                    ("openclaw.json", gateway("'a.json5'")),
                    ("a.json5", "[]".to_owned()),
                ],
                "no object",
            ),
            (
                vec![("openclaw.json", "[]".to_owned())],
                "expected an object",
            ),
            (
                vec![
                    ("openclaw.json", gateway("'a.json5'")),
                    ("a.json5", "{ $include: 'b.json5' }".to_owned()),
                    ("b.json5", "{ $include: 'a.json5' }".to_owned()),
                ],
                "itself",
            ),
        ] {
            let files: Vec<_> = files
                .iter()
                .map(|(name, text)| (*name, text.as_str()))
                .collect();
            let error = resolved(&files).unwrap_err().to_string();
            assert!(error.contains(problem), "{error}");
        }
    }

    #[test]
    fn files_that_multiply_are_not_followed_for_ever() {
        let next = |number: u32| {
            let names = vec![format!("'{}.json5'", number + 1); 10];
            format!("{{ $include: [{}] }}", names.join(", "))
        };
        let mut files = vec![(
            "openclaw.json".to_owned(),
            format!("{{ gateway: {} }}", next(0)),
        )];
        files.extend((1..8).map(|number| (format!("{number}.json5"), next(number))));
        files.push(("8.json5".to_owned(), "{}".to_owned()));
        let files: Vec<_> = files
            .iter()
            .map(|(name, text)| (name.as_str(), text.as_str()))
            .collect();
        let error = resolved(&files).unwrap_err().to_string();
        assert!(error.contains("more than 256 files"), "{error}");
    }

    #[test]
    fn a_symlink_leads_no_further_than_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let outside = tempfile::NamedTempFile::new().unwrap();
        fs::write(outside.path(), "{}").unwrap();
        symlink(outside.path(), folder.path().join("a.json5")).unwrap();
        let path = folder.path().join("openclaw.json");
        fs::write(&path, "{ gateway: { $include: 'a.json5' } }").unwrap();
        let error = read(&path).unwrap_err().to_string();
        assert!(error.contains("outside"), "{error}");
    }

    #[test]
    fn eleven_files_within_each_other_are_too_many() {
        let mut files: Vec<(String, String)> = (0..=MAX_DEPTH)
            .map(|depth| {
                (
                    format!("{depth}.json5"),
                    format!("{{ $include: '{}.json5' }}", depth + 1),
                )
            })
            .collect();
        files.push((format!("{}.json5", MAX_DEPTH + 1), "{}".to_owned()));
        files.push((
            "openclaw.json".to_owned(),
            "{ gateway: { $include: '0.json5' } }".to_owned(),
        ));
        let named = |from: usize| {
            let root = format!("{{ gateway: {{ $include: '{from}.json5' }} }}");
            let mut files = files.clone();
            files.retain(|(name, _)| name != "openclaw.json");
            files.push(("openclaw.json".to_owned(), root));
            let files: Vec<_> = files
                .iter()
                .map(|(a, b)| (a.as_str(), b.as_str()))
                .collect();
            resolved(&files).map_err(|error| error.to_string())
        };
        assert!(named(2).is_ok());
        assert!(named(0).unwrap_err().contains("nested deeper"));
    }
}
