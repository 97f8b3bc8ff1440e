//! Just enough of Rust's grammar to find the paths in a file: comments and
//! literals left out, `use` trees spread out, `super` followed to the root.

/// One path that a file refers to.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Reference {
    /// The path's parts; a macro's name ends in `!`.
    pub(crate) path: Vec<String>,
    /// The top-level module it leads to, where it is one of this crate.
    pub(crate) room: Option<String>,
    /// A module that is declared here in place of a path.
    pub(crate) declared: Option<String>,
    /// Whether it stands in a module for tests.
    pub(crate) in_test: bool,
    /// The line, from 1.
    pub(crate) line: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Token {
    text: String,
    line: usize,
}

/// Every path in a file that lies `depth` modules below the crate's root.
pub(crate) fn references(text: &str, depth: usize) -> Vec<Reference> {
    let tokens = tokens(text);
    let text_at = |at: usize| tokens.get(at).map_or("", |token| token.text.as_str());
    let (mut found, mut modules, mut braces) = (Vec::new(), Vec::<(usize, bool)>::new(), 0);
    let (mut at, mut test_next) = (0, false);
    while at < tokens.len() {
        let line = tokens[at].line;
        let in_test = modules.iter().any(|(_, test)| *test);
        let context = Context {
            depth: depth + modules.len(),
            in_test,
            line,
        };
        match text_at(at) {
            "#" if (0..7)
                .map(|n| text_at(at + n))
                .eq(["#", "[", "cfg", "(", "test", ")", "]"]) =>
            {
                test_next = true;
                at += 7;
            }
            "mod" if is_word(text_at(at + 1)) => {
                let name = text_at(at + 1).to_owned();
                if text_at(at + 2) == "{" {
                    modules.push((braces, test_next));
                    braces += 1;
                } else {
                    found.push(Reference {
                        declared: Some(name),
                        line,
                        ..Reference::default()
                    });
                }
                test_next = false;
                at += 3;
            }
            "use" => {
                at += 1;
                let mut paths = Vec::new();
                at = use_tree(&tokens, at, &mut Vec::new(), &mut paths);
                found.extend(paths.into_iter().map(|path| context.reference(path)));
                test_next = false;
            }
            "{" => {
                braces += 1;
                test_next = false;
                at += 1;
            }
            "}" => {
                braces -= 1;
                modules.pop_if(|(opened, _)| *opened == braces);
                at += 1;
            }
            word if is_word(word) => {
                let mut path = vec![word.to_owned()];
                at += 1;
                while text_at(at) == "::" && is_word(text_at(at + 1)) {
                    path.push(text_at(at + 1).to_owned());
                    at += 2;
                }
                if text_at(at) == "!" && text_at(at + 1) != "=" {
                    path.last_mut().expect("begun with a word").push('!');
                }
                found.push(context.reference(path));
            }
            _ => at += 1,
        }
    }
    found
}

struct Context {
    depth: usize,
    in_test: bool,
    line: usize,
}

impl Context {
    fn reference(&self, path: Vec<String>) -> Reference {
        let room = self.room(&path);
        Reference {
            path,
            room,
            declared: None,
            in_test: self.in_test,
            line: self.line,
        }
    }

    /// The room that a path leads to from here: behind `crate`, the crate's
    /// name, or as many `super` as there are modules above.
    fn room(&self, path: &[String]) -> Option<String> {
        let supers = path.iter().take_while(|part| *part == "super").count();
        let behind = match path[0].as_str() {
            // A bare `crate` is visibility: `pub(crate)`.
            "crate" | "portcullis" => 1,
            "super" if supers == self.depth => supers,
            _ => return None,
        };
        path.get(behind).cloned()
    }
}

/// Spreads the use tree at `at` out into paths; gives the place behind it.
fn use_tree(
    tokens: &[Token],
    mut at: usize,
    prefix: &mut Vec<String>,
    paths: &mut Vec<Vec<String>>,
) -> usize {
    let text_at = |at: usize| tokens.get(at).map_or(";", |token| token.text.as_str());
    let outer = prefix.len();
    loop {
        match text_at(at) {
            "{" => {
                at += 1;
                while !matches!(text_at(at), "}" | ";") {
                    at = use_tree(tokens, at, prefix, paths);
                    if text_at(at) == "," {
                        at += 1;
                    }
                }
                prefix.truncate(outer);
                return at + 1;
            }
            "::" => at += 1,
            "," | "}" | ";" => break,
            "as" => {
                // `use crate as x` would hide every path behind `x`.
                if prefix.len() == 1 {
                    prefix.push("as".into());
                }
                at += 2;
            }
            part => {
                prefix.push(part.to_owned());
                at += 1;
            }
        }
    }
    paths.push(prefix.clone());
    prefix.truncate(outer);
    at
}

fn is_word(text: &str) -> bool {
    text.starts_with(|first: char| first.is_alphabetic() || first == '_')
}

/// Words, `::` and single marks; no comments, no literals, no lifetimes.
fn tokens(text: &str) -> Vec<Token> {
    let chars: Vec<char> = text.chars().collect();
    let char_at = |at: usize| chars.get(at).copied().unwrap_or('\0');
    let is_word_char = |char: char| char.is_alphanumeric() || char == '_';
    let (mut tokens, mut at, mut line) = (Vec::new(), 0, 1);
    while at < chars.len() {
        let start = at;
        match (char_at(at), char_at(at + 1)) {
            ('/', '/') => at = find(&chars, at, '\n'),
            ('/', '*') => at = block_comment_end(&chars, at),
            ('"', _) => at = string_end(&chars, at),
            ('\'', '\\') => at = find(&chars, at + 3, '\'') + 1,
            ('\'', _) if char_at(at + 2) == '\'' => at += 3,
            ('\'', _) => {
                at += 1 + chars[at + 1..]
                    .iter()
                    .take_while(|char| is_word_char(**char))
                    .count()
            }
            (':', ':') => {
                tokens.push(Token {
                    text: "::".into(),
                    line,
                });
                at += 2;
            }
            (char, _) if is_word_char(char) => {
                let word: String = chars[at..]
                    .iter()
                    .take_while(|char| is_word_char(**char))
                    .collect();
                at += word.chars().count();
                let hashes = chars[at..].iter().take_while(|char| **char == '#').count();
                if matches!(word.as_str(), "r" | "br" | "cr") && char_at(at + hashes) == '"' {
                    at = raw_string_end(&chars, at + hashes + 1, hashes);
                } else if !(matches!(word.as_str(), "b" | "c") && matches!(char_at(at), '"' | '\''))
                {
                    tokens.push(Token { text: word, line });
                }
            }
            (char, _) => {
                if !char.is_whitespace() {
                    tokens.push(Token {
                        text: char.into(),
                        line,
                    });
                }
                at += 1;
            }
        }
        at = at.min(chars.len());
        line += chars[start..at]
            .iter()
            .filter(|char| **char == '\n')
            .count();
    }
    tokens
}

fn find(chars: &[char], from: usize, wanted: char) -> usize {
    (from..chars.len())
        .find(|&at| chars[at] == wanted)
        .unwrap_or(chars.len())
}

fn block_comment_end(chars: &[char], from: usize) -> usize {
    let (mut at, mut open) = (from, 0);
    while at < chars.len() {
        match chars[at..] {
            ['/', '*', ..] => (open, at) = (open + 1, at + 2),
            ['*', '/', ..] => (open, at) = (open - 1, at + 2),
            _ => at += 1,
        }
        if open == 0 {
            break;
        }
    }
    at
}

fn string_end(chars: &[char], quote: usize) -> usize {
    let mut at = quote + 1;
    while at < chars.len() && chars[at] != '"' {
        at += if chars[at] == '\\' { 2 } else { 1 };
    }
    at + 1
}

fn raw_string_end(chars: &[char], from: usize, hashes: usize) -> usize {
    let ends = |at: &usize| {
        chars[*at] == '"'
            && chars[at + 1..]
                .iter()
                .take(hashes)
                .filter(|char| **char == '#')
                .count()
                == hashes
    };
    (from..chars.len())
        .find(ends)
        .map_or(chars.len(), |at| at + 1 + hashes)
}
