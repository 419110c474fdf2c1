//! How things grow: time and memory over the size, both logarithmic, so that a straight line of the slope of the
//! diagonals is linear growth.

use super::{Scale, Sheet};
use crate::growth::{Axis, Curve, Growth, Point};

const WIDTH: f64 = 1000.0;
const PANEL: f64 = 320.0;
const TOP: f64 = 70.0;
const COLOURS: [&str; 4] = ["#1f6fb4", "#c9463d", "#3a9d6a", "#8a63b0"];

/// One panel: what it shows, where it is from left to right, and how its numbers are told.
struct Panel {
    title: &'static str,
    places: (f64, f64),
    value: fn(&Point) -> Option<f64>,
    show: fn(f64) -> String,
    /// Less than this is drawn as this.
    least: f64,
}

const PANELS: [Panel; 2] = [
    Panel {
        title: "time",
        places: (70.0, 470.0),
        value: |point| Some(point.wall()),
        show: seconds,
        least: 1e-5,
    },
    Panel {
        title: "memory on top",
        places: (550.0, 950.0),
        value: Point::memory,
        show: bytes,
        least: 4096.0,
    },
];

/// The plot of all curves over one axis.
pub(crate) fn curves(growth: &Growth, axis: Axis) -> String {
    let curves = growth.curves.iter().filter(|curve| curve.axis == axis);
    let curves: Vec<&Curve> = curves.collect();
    let mut sheet = Sheet::new(WIDTH, TOP + PANEL + 90.0);
    let title = match axis {
        Axis::Entries => "Growth with the number of entries",
        Axis::Bytes => "Growth with the size of a blob",
    };
    let bold = "font-weight=\"bold\"";
    sheet.text((20.0, 26.0), 16, "start", bold, title);
    sheet.text(
        (20.0, 44.0),
        12,
        "start",
        "fill=\"#555\"",
        "Both axes logarithmic; the grey diagonals are linear growth.",
    );
    for panel in &PANELS {
        draw(&mut sheet, panel, &curves, axis);
    }
    for (at, curve) in curves.iter().enumerate() {
        #[allow(clippy::cast_precision_loss, reason = "a handful of curves")]
        let x = 40.0 + at as f64 * 240.0;
        let y = TOP + PANEL + 66.0;
        let colour = COLOURS[at % COLOURS.len()];
        let stroke = format!("stroke=\"{colour}\" stroke-width=\"3\"");
        sheet.line((x, y - 4.0), (x + 22.0, y - 4.0), &stroke);
        sheet.text((x + 28.0, y), 12, "start", "fill=\"#333\"", &curve.title);
    }
    sheet.finish()
}

fn draw(sheet: &mut Sheet, panel: &Panel, curves: &[&Curve], axis: Axis) {
    let points = || curves.iter().flat_map(|curve| &curve.points);
    let sizes = points().map(at);
    let values = points().filter_map(|point| (panel.value)(point));
    let values = values.map(|value| value.max(panel.least));
    let (Some(sizes), Some(values)) = (bounds(sizes), bounds(values)) else {
        return;
    };
    let x = Scale {
        numbers: sizes,
        places: panel.places,
    };
    let y = Scale {
        numbers: decades(values),
        places: (TOP + PANEL, TOP),
    };
    let (left, right) = panel.places;
    sheet.text(
        (left, TOP - 8.0),
        13,
        "start",
        "font-weight=\"bold\"",
        panel.title,
    );
    // Linear growth from the lower left of each decade on; what leaves the panel is cut off at its top.
    let mut begin = y.numbers.0 / (x.numbers.1 / x.numbers.0);
    while begin < y.numbers.1 {
        let from = (begin.max(y.numbers.0) / begin) * x.numbers.0;
        let to = (y.numbers.1 / begin * x.numbers.0).min(x.numbers.1);
        let height = |size: f64| begin * size / x.numbers.0;
        sheet.line(
            (x.place(from), y.place(height(from))),
            (x.place(to), y.place(height(to))),
            "stroke=\"#e4e4e4\" stroke-dasharray=\"5 4\"",
        );
        begin *= 10.0;
    }
    let mut tick = y.numbers.0;
    while tick <= y.numbers.1 * 1.01 {
        let height = y.place(tick);
        sheet.line((left, height), (right, height), "stroke=\"#ddd\"");
        let told = (panel.show)(tick);
        sheet.text((left - 6.0, height + 4.0), 11, "end", "fill=\"#555\"", told);
        tick *= 10.0;
    }
    let mut drawn: Vec<u64> = points().map(|point| point.at).collect();
    drawn.sort_unstable();
    drawn.dedup();
    for size in drawn {
        #[allow(clippy::cast_precision_loss, reason = "a size that is drawn")]
        let place = x.place(size as f64);
        sheet.line((place, TOP), (place, TOP + PANEL), "stroke=\"#ddd\"");
        let below = (place, TOP + PANEL + 18.0);
        sheet.text(below, 11, "middle", "fill=\"#555\"", axis.show(size));
    }
    for (number, curve) in curves.iter().enumerate() {
        let colour = COLOURS[number % COLOURS.len()];
        let places = curve.points.iter().filter_map(|point| {
            let value = (panel.value)(point)?.max(panel.least);
            Some((x.place(at(point)), y.place(value)))
        });
        let places: Vec<(f64, f64)> = places.collect();
        for pair in places.windows(2) {
            let stroke = format!("stroke=\"{colour}\" stroke-width=\"2.5\"");
            sheet.line(pair[0], pair[1], &stroke);
        }
        for (x, y) in places {
            sheet.add(format_args!(
                "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4\" fill=\"{colour}\"/>"
            ));
        }
    }
}

#[allow(clippy::cast_precision_loss, reason = "a size that is drawn")]
fn at(point: &Point) -> f64 {
    point.at as f64
}

fn bounds(numbers: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    let sorted = |(least, most): (f64, f64), number: f64| (least.min(number), most.max(number));
    numbers
        .map(|number| (number, number))
        .reduce(|all, (number, _)| sorted(all, number))
}

/// The powers of ten around these.
fn decades((least, most): (f64, f64)) -> (f64, f64) {
    let begin = 10_f64.powf(least.log10().floor());
    let end = 10_f64.powf(most.log10().ceil());
    (begin, if end > begin { end } else { begin * 10.0 })
}

fn seconds(seconds: f64) -> String {
    match seconds {
        ..0.000_9 => format!("{:.0} µs", seconds * 1e6),
        ..0.9 => format!("{:.0} ms", seconds * 1e3),
        _ => format!("{seconds:.0} s"),
    }
}

fn bytes(bytes: f64) -> String {
    match bytes {
        ..0.9e6 => format!("{:.0} kB", bytes / 1e3),
        ..0.9e9 => format!("{:.0} MB", bytes / 1e6),
        _ => format!("{:.0} GB", bytes / 1e9),
    }
}
