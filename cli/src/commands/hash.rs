//! `flatbao hash`: the format of `b3sum`, both ways.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read},
    path::{Path, PathBuf},
};

use flatbao_core::Hash;

use crate::{
    args::HashFiles,
    error::{CliError, Exit, Result},
    json::json,
    output::{Out, Tally, exact, printable},
    platform::{self, bytes_of, path_of},
};

/// Bytes that are read at once.
const PIECE: usize = 256 * 1024;
/// Bytes of a line that is read from a list: no path is longer.
const MAX_LINE: u64 = 64 * 1024;

pub(crate) fn run(args: &HashFiles, out: &mut Out) -> Result<Exit> {
    let mut tally = Tally::default();
    match &args.check {
        Some(list) => check(list, out, &mut tally)?,
        None => {
            for path in &args.paths {
                match hash(path, out) {
                    Ok((hash, size)) => {
                        tally.done();
                        print(path, hash, size, out)?;
                    }
                    Err(error) => tally.failed(out, &error),
                }
            }
        }
    }
    Ok(tally.exit())
}

fn hash(path: &Path, out: &mut Out) -> Result<(Hash, u64)> {
    let mut source: Box<dyn Read> = if path == Path::new("-") {
        out.meter.start("hashing, bytes", None);
        Box::new(io::stdin().lock())
    } else {
        let open = || {
            let file = File::open(path)?;
            let metadata = file.metadata()?;
            Ok((file, metadata))
        };
        let (file, metadata) = open().map_err(CliError::io("read", path))?;
        if metadata.is_dir() {
            return Err(platform::not_a_file(path, metadata.file_type()));
        }
        out.meter.start("hashing", Some(metadata.len()));
        Box::new(file)
    };
    let mut hasher = blake3::Hasher::new();
    let mut piece = vec![0; PIECE];
    loop {
        match source.read(&mut piece) {
            Ok(0) => break,
            Ok(read) => {
                hasher.update(&piece[..read]);
                out.meter.advance(read as u64);
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(CliError::io("read", path)(e)),
        }
    }
    out.meter.stop();
    Ok((hasher.finalize().into(), hasher.count()))
}

fn print(path: &Path, hash: Hash, size: u64, out: &Out) -> Result<()> {
    if out.is_json() {
        let object = json!({"hash": hash.to_string(), "path": exact(path), "size": size});
        return out.result(|| object, String::new);
    }
    out.bytes(&line_of(hash, bytes_of(path.as_os_str())))
}

/// A path with a backslash or a line break is escaped, and a backslash at the start of the line tells so.
fn line_of(hash: Hash, path: &[u8]) -> Vec<u8> {
    let mut line = Vec::new();
    if path.iter().any(|byte| matches!(byte, b'\\' | b'\n')) {
        line.push(b'\\');
    }
    line.extend(format!("{hash}  ").bytes());
    for byte in path {
        match byte {
            b'\\' => line.extend(b"\\\\"),
            b'\n' => line.extend(b"\\n"),
            other => line.push(*other),
        }
    }
    line.push(b'\n');
    line
}

fn check(list: &Path, out: &mut Out, tally: &mut Tally) -> Result<()> {
    let mut lines: Box<dyn BufRead> = if list == Path::new("-") {
        Box::new(io::stdin().lock())
    } else {
        let file = File::open(list).map_err(CliError::io("read", list))?;
        Box::new(BufReader::new(file))
    };
    for number in 1.. {
        let line = next_line(&mut lines).map_err(CliError::io("read", list))?;
        let Some(line) = line else {
            return Ok(());
        };
        let Some((expected, path)) = parse(&line) else {
            return Err(Box::new(CliError::BadList {
                path: printable(list),
                line: number,
            }));
        };
        check_one(&path, expected, out, tally)?;
    }
    Ok(())
}

/// The paths in a list, up to what is no line of one.
pub(crate) fn listed(mut list: impl BufRead) -> io::Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    while let Some((_, path)) = next_line(&mut list)?.as_deref().and_then(parse) {
        paths.push(path);
    }
    Ok(paths)
}

/// A line without its end.
fn next_line(lines: impl BufRead) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    if lines.take(MAX_LINE).read_until(b'\n', &mut line)? == 0 {
        return Ok(None);
    }
    for end in [b'\n', b'\r'] {
        line.pop_if(|last| *last == end);
    }
    Ok(Some(line))
}

fn check_one(path: &Path, expected: Hash, out: &mut Out, tally: &mut Tally) -> Result<()> {
    let shown = printable(path);
    match hash(path, out) {
        Ok((found, _)) if found == expected => {
            tally.done();
            if out.is_quiet() && !out.is_json() {
                return Ok(());
            }
            out.result(
                || json!({"path": exact(path), "ok": true, "hash": expected.to_string()}),
                || format!("{shown}: ok"),
            )
        }
        Ok((found, _)) => {
            tally.note(Exit::Corrupt);
            out.result(
                || {
                    json!({
                        "path": exact(path),
                        "ok": false,
                        "hash": expected.to_string(),
                        "found": found.to_string(),
                    })
                },
                || format!("{shown}: DIFFERS"),
            )
        }
        Err(error) => {
            out.error(&error);
            tally.note(Exit::Partial);
            Ok(())
        }
    }
}

/// A line of a list; the hash in any of its forms.
fn parse(line: &[u8]) -> Option<(Hash, PathBuf)> {
    let (line, escaped) = match line.strip_prefix(b"\\") {
        Some(line) => (line, true),
        None => (line, false),
    };
    let at = line.windows(2).position(|two| two == b"  ")?;
    let hash = std::str::from_utf8(&line[..at]).ok()?.parse().ok()?;
    let path = &line[at + 2..];
    let path = if escaped {
        unescape(path)?
    } else {
        path.to_vec()
    };
    if path.is_empty() {
        return None;
    }
    Some((hash, path_of(&path)?))
}

fn unescape(path: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut rest = path.iter();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'\\' => match rest.next()? {
                b'n' => b'\n',
                b'\\' => b'\\',
                _ => return None,
            },
            other => *other,
        });
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_reads_back() {
        for path in ["a", "a b  c", " x", "back\\slash", "line\nbreak", "\\n"] {
            let line = line_of(Hash::EMPTY, path.as_bytes());
            let line = line.strip_suffix(b"\n").unwrap();
            assert_eq!(parse(line), Some((Hash::EMPTY, path.into())), "{path:?}");
        }
        assert!(line_of(Hash::EMPTY, b"a\nb").ends_with(b"  a\\nb\n"));
    }

    #[test]
    fn what_is_no_line() {
        let hash = Hash::EMPTY;
        for line in [
            String::new(),
            hash.to_string(),
            format!("{hash} a"),
            format!("{hash}  "),
            format!("\\{hash}  a\\x"),
            format!("\\{hash}  a\\"),
            "abc  a".to_owned(),
        ] {
            assert_eq!(parse(line.as_bytes()), None, "{line:?}");
        }
    }
}
