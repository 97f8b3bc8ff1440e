//! What crosses between a process and its helper: frames, each a length, a number
//! that joins an answer to its question, and content.

use crate::secrets::buffer::SecretBuffer;
use serde::{Deserialize, Serialize};
use std::io::{self, Read, Write};
use zeroize::Zeroizing;

/// The largest question, in bytes: more than the ids that a request may hold.
pub(super) const MAX_QUESTION: usize = 1 << 20;
/// The largest answer, in bytes: more than a command may be allowed to print.
pub(super) const MAX_ANSWER: usize = 32 << 20;
const HEAD: usize = 12;
/// Of the empty answer that comes first, to no question: the helper is ready.
const READY: u64 = 0;

/// A command printed something: that is the content after this byte.
const PRINTED: u8 = 0;
/// It didn't, or wasn't run: a [`Refusal`] follows.
const REFUSED: u8 = 1;

/// What the helper is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Question {
    /// The provider's name.
    pub(super) provider: String,
    /// What the asking process takes the provider to be.
    pub(super) fingerprint: String,
    /// The ids.
    pub(super) ids: Vec<String>,
}

/// Why there is no output.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Refusal {
    /// What is wrong.
    pub(super) message: String,
    /// What to do about it.
    pub(super) remedy: String,
}

/// What the helper answers: a command's output, or why there is none.
pub(super) type Answer = Result<SecretBuffer, Refusal>;

/// Says that questions may come.
pub(super) fn greet(stream: &mut impl Write) -> io::Result<()> {
    answer(stream, READY, &Ok(SecretBuffer::new()))
}

/// Waits until it is said.
pub(super) fn greeted(stream: &mut impl Read) -> io::Result<()> {
    match answered(stream)? {
        Some((READY, Ok(_))) => Ok(()),
        Some(_) => Err(io::ErrorKind::InvalidData.into()),
        None => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

/// Writes a question.
pub(super) fn ask(stream: &mut impl Write, number: u64, question: &Question) -> io::Result<()> {
    let content = serde_json::to_vec(question)?;
    write(stream, number, &[&content])
}

/// Reads a question; none where the stream has ended.
pub(super) fn asked(stream: &mut impl Read) -> io::Result<Option<(u64, Question)>> {
    let Some((number, content)) = read(stream, MAX_QUESTION)? else {
        return Ok(None);
    };
    Ok(Some((number, serde_json::from_slice(&content)?)))
}

/// Writes an answer.
pub(super) fn answer(stream: &mut impl Write, number: u64, answer: &Answer) -> io::Result<()> {
    match answer {
        Ok(output) => write(stream, number, &[&[PRINTED], output.as_slice()]),
        Err(refusal) => {
            let content = serde_json::to_vec(refusal)?;
            write(stream, number, &[&[REFUSED], &content])
        }
    }
}

/// Reads an answer; none where the stream has ended.
pub(super) fn answered(stream: &mut impl Read) -> io::Result<Option<(u64, Answer)>> {
    let Some((number, content)) = read(stream, MAX_ANSWER)? else {
        return Ok(None);
    };
    let answer = match content.split_first() {
        Some((&PRINTED, printed)) => {
            let mut output = SecretBuffer::new();
            output.extend(printed);
            Ok(output)
        }
        Some((&REFUSED, refusal)) => Err(serde_json::from_slice(refusal)?),
        _ => return Err(io::ErrorKind::InvalidData.into()),
    };
    Ok(Some((number, answer)))
}

fn write(stream: &mut impl Write, number: u64, parts: &[&[u8]]) -> io::Result<()> {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let length = u32::try_from(length).map_err(|_| io::ErrorKind::InvalidInput)?;
    let mut head = [0; HEAD];
    head[..4].copy_from_slice(&length.to_le_bytes());
    head[4..].copy_from_slice(&number.to_le_bytes());
    stream.write_all(&head)?;
    for part in parts {
        stream.write_all(part)?;
    }
    Ok(())
}

fn read(stream: &mut impl Read, most: usize) -> io::Result<Option<(u64, Zeroizing<Vec<u8>>)>> {
    let mut head = [0; HEAD];
    // An end between two frames is the end; one inside a frame is none.
    loop {
        match stream.read(&mut head[..1]) {
            Ok(0) => return Ok(None),
            Ok(_) => break,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    stream.read_exact(&mut head[1..])?;
    let (length, number) = head.split_at(4);
    let length = u32::from_le_bytes(length.try_into().expect("four bytes"));
    let number = u64::from_le_bytes(number.try_into().expect("eight bytes"));
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    if length > most {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut content = Zeroizing::new(vec![0; length]);
    stream.read_exact(&mut content)?;
    Ok(Some((number, content)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question() -> Question {
        Question {
            provider: "vault".to_owned(),
            fingerprint: "f".to_owned(),
            ids: vec!["a/b".to_owned()],
        }
    }

    #[test]
    fn what_is_written_is_what_is_read() {
        let mut bytes = Vec::new();
        ask(&mut bytes, 7, &question()).unwrap();
        ask(&mut bytes, u64::MAX, &question()).unwrap();
        let mut stream = &bytes[..];
        assert_eq!(asked(&mut stream).unwrap(), Some((7, question())));
        assert_eq!(asked(&mut stream).unwrap().unwrap().0, u64::MAX);
        assert!(asked(&mut stream).unwrap().is_none());

        let mut bytes = Vec::new();
        greet(&mut bytes).unwrap();
        greeted(&mut &bytes[..]).unwrap();
        assert!(greeted(&mut &[][..]).is_err());

        let mut bytes = Vec::new();
        let mut output = SecretBuffer::new();
        output.extend(b"\0s3cret");
        answer(&mut bytes, 1, &Ok(output)).unwrap();
        let refusal = || Refusal {
            message: "no".to_owned(),
            remedy: "yes".to_owned(),
        };
        answer(&mut bytes, 2, &Err(refusal())).unwrap();
        let mut stream = &bytes[..];
        let (number, printed) = answered(&mut stream).unwrap().unwrap();
        assert_eq!(number, 1);
        assert_eq!(printed.ok().unwrap().as_slice(), b"\0s3cret");
        let (number, refused) = answered(&mut stream).unwrap().unwrap();
        assert_eq!((number, refused.err()), (2, Some(refusal())));
    }

    #[test]
    fn what_is_cut_off_or_too_long_is_an_error() {
        let mut whole = Vec::new();
        ask(&mut whole, 7, &question()).unwrap();
        for end in 1..whole.len() {
            assert!(asked(&mut &whole[..end]).is_err(), "{end}");
        }
        let mut long = Vec::new();
        write(&mut long, 1, &[&vec![0; MAX_QUESTION + 1]]).unwrap();
        assert!(asked(&mut &long[..]).is_err());
        for odd in [&[][..], &[2, 0], &[REFUSED, b'{']] {
            let mut bytes = Vec::new();
            write(&mut bytes, 1, &[odd]).unwrap();
            assert!(answered(&mut &bytes[..]).is_err(), "{odd:?}");
        }
    }
}
