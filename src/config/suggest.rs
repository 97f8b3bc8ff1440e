//! "Did you mean": the known word that a mistyped one is nearest to.

/// The word of `known` that `word` most likely stands for, if any is close:
/// the same but for case, `_` and `-`, or at most two typing mistakes away in a
/// word of four letters or more.
pub(super) fn nearest<'k>(word: &str, known: &[&'k str]) -> Option<&'k str> {
    if word.len() > 64 {
        return None;
    }
    let folded = fold(word);
    known
        .iter()
        .map(|candidate| (distance(&folded, &fold(candidate)), *candidate))
        .filter(|(mistakes, candidate)| *mistakes <= allowed(candidate.len().min(folded.len())))
        .min_by_key(|(mistakes, _)| *mistakes)
        .map(|(_, candidate)| candidate)
}

fn allowed(length: usize) -> usize {
    match length {
        0..=2 => 0,
        3..=4 => 1,
        _ => 2,
    }
}

fn fold(word: &str) -> String {
    word.chars()
        .filter(|c| !matches!(c, '_' | '-'))
        .map(|c| c.to_ascii_lowercase())
        .collect()
}

/// Insertions, deletions, replacements and swaps of neighbours between two words
/// (optimal string alignment).
fn distance(from: &str, to: &str) -> usize {
    let from: Vec<char> = from.chars().collect();
    let to: Vec<char> = to.chars().collect();
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=to.len()).collect();
    for (row, left) in from.iter().enumerate() {
        let mut line = vec![row + 1];
        for (column, right) in to.iter().enumerate() {
            let replaced = above[column] + usize::from(left != right);
            let mut best = replaced.min(above[column + 1] + 1).min(line[column] + 1);
            if row > 0 && column > 0 && *left == to[column - 1] && from[row - 1] == *right {
                best = best.min(before[column - 1] + 1);
            }
            line.push(best);
        }
        before = std::mem::replace(&mut above, line);
    }
    above[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_word_that_was_meant() {
        let known = [
            "address",
            "unixPeerUids",
            "redirectHttp",
            "url",
            "key",
            "info",
        ];
        for (word, meant) in [
            ("adress", Some("address")),
            ("unix_peer_uids", Some("unixPeerUids")),
            ("redirectHTTP", Some("redirectHttp")),
            ("rul", Some("url")),
            ("inof", Some("info")),
            ("token", None),
            ("ke", None),
            ("", None),
        ] {
            assert_eq!(nearest(word, &known), meant, "{word}");
        }
    }
}
