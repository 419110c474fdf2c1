//! `flatbao verify`

use std::{
    ffi::OsString,
    fs,
    io::{self, Write},
    ops::ControlFlow,
    path::Path,
    time::Instant,
};

use flatbao_core::{
    BlobFormat, HashAndFormat, Progress,
    store::{Checked, Depth, Position, Severity, Verified, VerifyOptions},
};

use crate::{
    args::{Global, Verify},
    collection,
    error::{CliError, Exit, Result},
    findings::{self, Remedies},
    json::{Value, json},
    output::{Out, count, printable, size},
    platform, reference,
    store::{self, Store},
};

/// A position is one line of about eighty bytes.
const MAX_CURSOR: u64 = 1024;

pub(crate) fn run(global: &Global, args: &Verify, out: &mut Out) -> Result<Exit> {
    let from = args.cursor.as_deref().map_or(Ok(None), read_cursor)?;
    let store = store::to_read(global, out)?;
    let depth = if args.quick {
        Depth::Quick
    } else {
        Depth::Deep
    };
    let options = VerifyOptions::default()
        .depth(depth)
        .only(targets(&store, &args.references)?)
        .from(from);
    out.meter.start("verifying", None);
    let (mut remedies, mut failed) = (Remedies::default(), None);
    let mut each = |checked| match tell(&checked, &mut remedies, out) {
        Ok(()) => ControlFlow::Continue(()),
        Err(error) => {
            failed = Some(error);
            ControlFlow::Break(())
        }
    };
    let mut show = out.meter.watch();
    // A time beyond all time is no limit.
    let end = args
        .budget
        .and_then(|budget| Instant::now().checked_add(budget.0));
    let mut watch = |step| {
        let flow = show(step);
        // A blob that has to be hashed as a whole is hashed as a whole, or it never would be.
        let may_stop = matches!(step, Progress::Checked { .. });
        match end {
            Some(end) if may_stop && Instant::now() >= end => ControlFlow::Break(()),
            _ => flow,
        }
    };
    let verified = store.verify(&options, &mut each, &mut watch)?;
    if let Some(error) = failed {
        return Err(error);
    }
    out.meter.stop();
    if let Some(path) = &args.cursor {
        write_cursor(path, verified.next)?;
    }
    summary(&verified, depth, args, &remedies, out)?;
    Ok(findings::exit(verified.problems, verified.damage))
}

/// The blobs that are meant, each with what it lists where it is a collection.
pub(crate) fn targets(store: &Store, references: &[OsString]) -> Result<Vec<HashAndFormat>> {
    let mut targets = Vec::new();
    for text in references {
        let found = reference::resolve(store, text)?;
        // One that is damaged is looked at as what it is called.
        let format = collection::format(store, &found).unwrap_or(BlobFormat::Raw);
        let hash = found.hash;
        targets.push(HashAndFormat { hash, format });
    }
    Ok(targets)
}

fn tell(checked: &Checked, remedies: &mut Remedies, out: &Out) -> Result<()> {
    match checked {
        Checked::Finding(finding) => {
            remedies.add(finding);
            let is_note = finding.severity() == Severity::Note;
            if out.is_quiet() && is_note {
                return Ok(());
            }
            out.result(|| findings::object(finding), || findings::line(finding))
        }
        Checked::Blob {
            hash,
            size: bytes,
            ok: true,
        } => {
            if out.is_quiet() && !out.is_json() {
                return Ok(());
            }
            out.result(
                || json!({"hash": hash.to_string(), "ok": true, "size": *bytes}),
                || {
                    let what = bytes.map_or_else(|| "partial".to_owned(), size);
                    format!("{:<8} {hash}  {what}", "ok")
                },
            )
        }
        // What was found has been told.
        _ => Ok(()),
    }
}

fn summary(
    verified: &Verified,
    depth: Depth,
    args: &Verify,
    remedies: &Remedies,
    out: &Out,
) -> Result<()> {
    if out.is_json() {
        return out.result(|| object(verified, depth), String::new);
    }
    if !out.is_quiet() {
        out.result(|| Value::Null, || line(verified, depth))?;
    }
    for text in remedies.lines() {
        out.hint(&text);
    }
    if let Some(next) = verified.next {
        let how = match &args.cursor {
            Some(path) => format!("run it again with --cursor {}", printable(path)),
            None => "run it with --cursor FILE, and again, to go on from there".to_owned(),
        };
        out.hint(&format!("stopped at {next}: {how}"));
    }
    Ok(())
}

fn object(verified: &Verified, depth: Depth) -> Value {
    json!({
        "summary": "verify",
        "depth": match depth { Depth::Quick => "quick", Depth::Deep => "deep" },
        "blobs": verified.blobs,
        "bytes": verified.bytes,
        "notes": verified.notes,
        "problems": verified.problems,
        "damage": verified.damage,
        "next": verified.next.map(|next| next.to_string()),
    })
}

fn line(verified: &Verified, depth: Depth) -> String {
    let Verified {
        blobs,
        bytes,
        notes,
        problems,
        damage,
        ..
    } = *verified;
    let how = match depth {
        Depth::Quick => "looked over",
        Depth::Deep => "read",
    };
    let found = match (damage, problems, notes) {
        (0, 0, 0) => "nothing is wrong".to_owned(),
        (0, 0, notes) => format!("nothing is wrong; notes: {notes}"),
        _ => format!("damage: {damage}, problems: {problems}, notes: {notes}"),
    };
    format!(
        "{how} {}, {} of data: {found}",
        count(blobs, "blob"),
        size(bytes)
    )
}

fn read_cursor(path: &Path) -> Result<Option<Position>> {
    let bytes = match platform::read_capped(path, MAX_CURSOR) {
        Err(error) if error.is_missing_file() => return Ok(None),
        other => other?,
    };
    let text = String::from_utf8_lossy(&bytes);
    let position = text.trim().parse().map_err(|error| {
        CliError::usage(
            format!("{} is no cursor: {error}", printable(path)),
            "name a file that `flatbao verify --cursor` has written, or one that is not there yet",
        )
    })?;
    Ok(Some(position))
}

/// Replaces the file as a whole, so that a full disk leaves the old one.
fn write_cursor(path: &Path, next: Option<Position>) -> Result<()> {
    let Some(next) = next else {
        return match fs::remove_file(path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(CliError::io("remove", path)(e)),
            _ => Ok(()),
        };
    };
    let new = path.with_file_name(platform::temporary_name()?);
    let mut options = fs::File::options();
    options.write(true).create_new(true);
    let written = options
        .open(&new)
        .and_then(|mut file| writeln!(file, "{next}"))
        .and_then(|()| fs::rename(&new, path));
    if written.is_err() {
        let _ = fs::remove_file(&new);
    }
    written.map_err(CliError::io("write", path))
}
