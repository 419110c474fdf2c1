//! All workloads: a bar for everyone, as long as the floor takes and more.

use super::{Scale, Sheet};
use crate::{
    page::duration,
    results::{Results, Series},
};

const WIDTH: f64 = 960.0;
/// Where bars begin and end.
const BARS: (f64, f64) = (250.0, 800.0);
const BAR: f64 = 13.0;
const HEADING: f64 = 34.0;
const TOP: f64 = 74.0;
/// The longest bar is as many times the floor.
const MOST: f64 = 100.0;
/// Less than the floor is possible: that has one thread.
const LEAST: f64 = 0.25;
const TICKS: [f64; 9] = [0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0];

/// Who is drawn in which colour, by how the name begins.
const COLOURS: [(&str, &str); 6] = [
    ("flatbao", "#1f6fb4"),
    ("bao-tree", "#3a9d6a"),
    ("flat", "#e08a2c"),
    ("iroh-blobs", "#c9463d"),
    ("cacache", "#8a63b0"),
    ("", "#9a9a9a"),
];

/// The plot.
pub(crate) fn bars(results: &Results) -> String {
    #[allow(clippy::cast_precision_loss, reason = "a number of bars")]
    let count = |count: usize| count as f64;
    let bars: usize = results
        .workloads
        .iter()
        .map(|measured| measured.contestants.len())
        .sum();
    let height = TOP + count(results.workloads.len()) * HEADING + count(bars) * BAR + 24.0;
    let mut sheet = Sheet::new(WIDTH, height);
    let scale = Scale {
        numbers: (LEAST, MOST),
        places: BARS,
    };
    sheet.text(
        (20.0, 26.0),
        16,
        "start",
        "font-weight=\"bold\"",
        "Time, as a multiple of the floor (the first of each group); shorter is faster",
    );
    let title = match results.is_quick {
        true => "A quick run: sizes are small, and the numbers say nothing about speed.".to_owned(),
        false => format!(
            "Medians of {} interleaved rounds, results compared; logarithmic.",
            results.rounds
        ),
    };
    sheet.text((20.0, 44.0), 12, "start", "fill=\"#555\"", title);
    for tick in TICKS {
        let x = scale.place(tick);
        let stroke = match tick == 1.0 {
            true => "stroke=\"#444\" stroke-width=\"1.5\"",
            false => "stroke=\"#ddd\"",
        };
        sheet.line((x, TOP), (x, height - 16.0), stroke);
        sheet.text(
            (x, TOP - 6.0),
            11,
            "middle",
            "fill=\"#555\"",
            format_args!("{tick} ×"),
        );
    }
    let mut y = TOP;
    for measured in &results.workloads {
        y += HEADING;
        let bold = "font-weight=\"bold\"";
        // White behind it, so that the lines do not run through the words.
        sheet.add(format_args!(
            "<rect x=\"16\" y=\"{:.1}\" width=\"{:.1}\" height=\"17\" fill=\"#ffffff\"/>",
            y - 20.0,
            WIDTH - 32.0
        ));
        sheet.text((20.0, y - 7.0), 13, "start", bold, &measured.title);
        let Some(floor) = measured.contestants.first() else {
            continue;
        };
        for series in &measured.contestants {
            bar(&mut sheet, scale, y, series, floor);
            y += BAR;
        }
    }
    sheet.finish()
}

fn bar(sheet: &mut Sheet, scale: Scale, y: f64, series: &Series, floor: &Series) {
    let ratio = series.ratio(floor);
    if ratio.is_nan() {
        return;
    }
    let (begin, end) = (scale.place(LEAST), scale.place(ratio));
    let colour = colour(&series.name);
    sheet.text(
        (BARS.0 - 8.0, y + 10.0),
        11,
        "end",
        match series.name.starts_with("flatbao") {
            true => "font-weight=\"bold\" fill=\"#1f6fb4\"",
            false => "fill=\"#333\"",
        },
        &series.name,
    );
    sheet.add(format_args!(
        "<rect x=\"{begin:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{:.1}\" fill=\"{colour}\"/>",
        y + 1.0,
        (end - begin).max(1.0),
        BAR - 2.0
    ));
    let told = format!("{ratio:.2} ×   {}", duration(series.wall()));
    // White around the letters first, for the same reason.
    for more in ["stroke=\"#fff\" stroke-width=\"4\"", "fill=\"#333\""] {
        sheet.text((end + 6.0, y + 10.0), 10, "start", more, &told);
    }
}

fn colour(name: &str) -> &'static str {
    let known = COLOURS.iter().find(|(begin, _)| name.starts_with(begin));
    known.map_or("#9a9a9a", |(_, colour)| colour)
}
