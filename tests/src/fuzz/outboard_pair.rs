use flatbao_core::{FileName, HashAndFormat};

use super::{
    edit::{edited, forged},
    input::Input,
    scene::{Good, looks, machine, right, sends_nothing_wrong},
};
use crate::{
    care::repair,
    files::tags_file,
    truth::{assert_reads, groups_that_read},
};

/// Whatever is in the two files of a blob, complete or partial: no wrong byte and no wrong length comes out, by
/// whichever way; repair loses nothing, and an import makes it whole.
///
/// # Panics
/// When that is not so.
pub fn outboard_pair(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let known = input.known();
    let (form, hash) = (input.byte(), known.hash);
    let board = match form % 4 {
        0 => input.piece().to_vec(),
        1 => forged(&mut input, known),
        _ => edited(&mut input, &known.board()),
    };
    let data = match form & 0x40 {
        0 => &known.data,
        _ => &input.known().data,
    };
    let data = edited(&mut input, data);
    let uuid = input.uuid();
    let machine = machine();
    let tags = tags_file(&[(b"it", HashAndFormat::raw(hash))]);
    machine.plant(&FileName::Tags, &tags);
    let (data_name, board_name) = match form & 0x80 {
        0 => (FileName::Data(hash), FileName::Outboard(hash)),
        _ => (
            FileName::PartialData(hash, uuid),
            FileName::PartialOutboard(hash, uuid),
        ),
    };
    machine.plant(&data_name, &data);
    machine.plant(&board_name, &board);

    let good = Good::of(&machine, known);
    let reader = machine.open_read_only();
    looks(&machine, &reader);
    sends_nothing_wrong(&reader, known);
    drop(reader);
    let store = machine.open();
    looks(&machine, &store);
    right(&machine, &store, known);
    sends_nothing_wrong(&store, known);
    good.assert_kept(&machine, "reading");
    repair(&store);
    good.assert_kept(&machine, "repair");
    assert_eq!(repair(&store).0, []);
    assert_eq!(machine.file(&FileName::Tags), Some(tags));

    store.import_bytes(&known.data).unwrap();
    assert_reads(&store, hash, &known.data);
    drop(store);
    let machine = machine.crash();
    let good = groups_that_read(&machine.open(), hash, &known.data);
    assert!(good.iter().all(|good| *good));
}
