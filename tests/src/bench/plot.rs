//! Drawings of distributions: how many of the runs had a value of at most so much, on a logarithmic axis. Every run is in
//! it, and the tail, which is what matters, is as wide as the rest.

mod axis;

use anyhow::{Result, anyhow};
use axis::Axis;
use plotters::{
    coord::Shift,
    prelude::{
        ChartBuilder, Circle, DrawingArea, IntoDrawingArea, LineSeries, PathElement, RGBColor, SVGBackend, Text,
    },
    style::{
        Color as _, FontStyle, IntoFont as _, ShapeStyle, TextStyle,
        text_anchor::{HPos, Pos, VPos},
    },
};

/// A drawing.
#[derive(Clone, Debug, PartialEq)]
pub struct Drawing {
    /// What it shows.
    pub title: String,
    /// What its values are, in milliseconds.
    pub axis: String,
    /// A panel for each condition, all with the same axes.
    pub panels: Vec<Panel>,
    /// How it came about: a line each.
    pub caption: Vec<String>,
}

/// A panel.
#[derive(Clone, Debug, PartialEq)]
pub struct Panel {
    /// The condition.
    pub title: String,
    /// A curve for each who was measured.
    pub curves: Vec<Curve>,
}

/// A curve.
#[derive(Clone, Debug, PartialEq)]
pub struct Curve {
    /// Who, with which timers: the same name has the same colour everywhere, and one line in the legend.
    pub name: String,
    /// The values of all runs, in milliseconds, in any order.
    pub millis: Vec<f64>,
}

/// The points of a distribution's steps: at each value the share of the runs, in percent, that had at most that.
#[must_use]
pub fn steps(values: &[f64]) -> Vec<(f64, f64)> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let share = |count: usize| 100.0 * as_f64(count) / as_f64(sorted.len());
    let each = sorted.iter().enumerate();
    each.flat_map(|(before, value)| [(*value, share(before)), (*value, share(before + 1))])
        .collect()
}

#[expect(clippy::cast_precision_loss, reason = "nobody repeats a benchmark 2^52 times")]
fn as_f64(count: usize) -> f64 {
    count as f64
}

const WIDTH: u32 = 960;
const HEADER: u32 = 68;
const LEGEND_LINE: u32 = 22;
const PANEL: u32 = 250;
const CAPTION_LINE: u32 = 17;
const MARGIN: u32 = 12;
const COLUMNS: usize = 3;
/// Names that fit a line of the legend.
const NAMES: usize = 4;

/// Text, paper and lines in the light, and what stands for each in the dark. Each colour is used for nothing else, so that
/// a style sheet can tell them apart.
const INK: RGBColor = RGBColor(0x1F, 0x23, 0x28);
const FAINT_INK: RGBColor = RGBColor(0x59, 0x63, 0x6E);
const PAPER: RGBColor = RGBColor(0xFF, 0xFF, 0xFF);
const GRID: RGBColor = RGBColor(0xE4, 0xE7, 0xEB);
const FRAME: RGBColor = RGBColor(0xAF, 0xB8, 0xC1);
/// The colours of Okabe and Ito, which people tell apart who see no red or no green.
const CURVES: [RGBColor; 7] = [
    RGBColor(0x00, 0x72, 0xB2),
    RGBColor(0xD5, 0x5E, 0x00),
    RGBColor(0x00, 0x9E, 0x73),
    RGBColor(0xCC, 0x79, 0xA7),
    RGBColor(0xB8, 0x86, 0x0B),
    RGBColor(0x4C, 0x8E, 0xC9),
    RGBColor(0x6E, 0x5A, 0x9E),
];
const DARK: [(RGBColor, &str); 12] = [
    (INK, "#E6EDF3"),
    (FAINT_INK, "#9DA7B1"),
    (PAPER, "#0D1117"),
    (GRID, "#252B33"),
    (FRAME, "#4B545E"),
    (CURVES[0], "#56B4E9"),
    (CURVES[1], "#FF8A3D"),
    (CURVES[2], "#2CCB9A"),
    (CURVES[3], "#E79AC4"),
    (CURVES[4], "#E3B341"),
    (CURVES[5], "#9CC9F0"),
    (CURVES[6], "#B6A2E8"),
];

/// Who always has the same colour, in every drawing.
const WELL_KNOWN: [&str; 4] = ["hb", "heartbeat", "keepalived", "bfdd"];

/// The drawing as SVG, readable on light and on dark pages.
pub fn svg(drawing: &Drawing) -> Result<String> {
    let mut text = String::new();
    draw(drawing, &mut text).map_err(|error| anyhow!("cannot draw {}: {error}", drawing.title))?;
    let (head, body) = text.split_once(">\n").unwrap_or(("", &text));
    // The document scales with the page that shows it.
    let head = head.replacen(&format!("width=\"{WIDTH}\" "), "", 1);
    let head = match (head.find("height=\""), head.find("viewBox")) {
        (Some(height), Some(view)) if height < view => format!("{}{}", &head[..height], &head[view..]),
        _ => head,
    };
    Ok(format!("{head} role=\"img\">\n{}{body}", style_sheet()))
}

fn style_sheet() -> String {
    let hex = |colour: RGBColor| format!("#{:02X}{:02X}{:02X}", colour.0, colour.1, colour.2);
    let dark = DARK.iter().map(|(light, dark)| {
        let light = hex(*light);
        format!("    [fill=\"{light}\"] {{ fill: {dark} }}\n    [stroke=\"{light}\"] {{ stroke: {dark} }}\n")
    });
    format!(
        "<style>\n  text {{ font-family: system-ui, sans-serif }}\n  @media (prefers-color-scheme: dark) {{\n{}  }}\n</style>\n",
        dark.collect::<String>()
    )
}

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Drawn = Result<(), Box<dyn std::error::Error>>;

fn draw(drawing: &Drawing, text: &mut String) -> Drawn {
    let names = names(drawing);
    let columns = drawing.panels.len().clamp(1, COLUMNS);
    let rows = u32::try_from(drawing.panels.len().div_ceil(columns))?;
    let legend = LEGEND_LINE * u32::try_from(names.len().div_ceil(NAMES))?;
    let caption = CAPTION_LINE * u32::try_from(drawing.caption.len())? + MARGIN;
    let panels = PANEL * rows;
    let root = SVGBackend::with_string(text, (WIDTH, HEADER + legend + panels + caption)).into_drawing_area();
    root.fill(&PAPER)?;

    let (head, rest) = root.split_vertically(HEADER);
    write(&head, (16, 14), &drawing.title, 24.0, INK, FontStyle::Bold)?;
    write(
        &head,
        (16, 42),
        &format!("Share of the runs with at most so many {}", drawing.axis),
        16.0,
        FAINT_INK,
        FontStyle::Normal,
    )?;
    let (line, rest) = rest.split_vertically(legend);
    draw_legend(&line, &names)?;
    let (grid, foot) = rest.split_vertically(panels);
    let all = drawing.panels.iter().flat_map(|panel| &panel.curves);
    let times = Axis::over(all.flat_map(|curve| curve.millis.iter().copied()));
    let cells = grid.split_evenly((usize::try_from(rows)?, columns));
    for (cell, panel) in cells.iter().zip(&drawing.panels) {
        draw_panel(cell, panel, (&times, &drawing.axis), &names)?;
    }
    for (index, line) in drawing.caption.iter().enumerate() {
        let y = i32::try_from(CAPTION_LINE)? * i32::try_from(index)?;
        write(&foot, (16, y), line, 14.0, FAINT_INK, FontStyle::Normal)?;
    }
    root.present()?;
    Ok(())
}

/// The names of all curves, each once: the well-known ones in their order, then the others in theirs.
fn names(drawing: &Drawing) -> Vec<&str> {
    let mut names: Vec<&str> = Vec::new();
    for curve in drawing.panels.iter().flat_map(|panel| &panel.curves) {
        if !names.contains(&curve.name.as_str()) {
            names.push(&curve.name);
        }
    }
    names.sort_by_key(|name| well_known(name).unwrap_or(WELL_KNOWN.len()));
    names
}

fn well_known(name: &str) -> Option<usize> {
    let who = name.split(' ').next()?;
    WELL_KNOWN.iter().position(|known| *known == who)
}

/// The well-known have their own colours, unless somebody is there twice, with other timers: then each name has one.
fn colour(name: &str, names: &[&str]) -> RGBColor {
    let mut known: Vec<_> = names.iter().map(|name| well_known(name)).collect();
    known.sort_unstable();
    let is_once = known.iter().all(Option::is_some) && known.windows(2).all(|pair| pair[0] != pair[1]);
    let index = match well_known(name) {
        Some(index) if is_once => index,
        Some(_) | None => names.iter().position(|other| *other == name).unwrap_or(0),
    };
    CURVES[index % CURVES.len()]
}

fn draw_legend(area: &Area<'_>, names: &[&str]) -> Drawn {
    let step = (WIDTH - 32) / u32::try_from(NAMES)?;
    for (index, name) in names.iter().enumerate() {
        let (column, line) = (u32::try_from(index % NAMES)?, u32::try_from(index / NAMES)?);
        let (x, y) = (
            i32::try_from(16 + column * step)?,
            i32::try_from(line * LEGEND_LINE + 8)?,
        );
        let style = ShapeStyle::from(colour(name, names)).stroke_width(3);
        area.draw(&PathElement::new(vec![(x, y), (x + 22, y)], style))?;
        write(area, (x + 30, y - 7), name, 17.0, INK, FontStyle::Normal)?;
    }
    Ok(())
}

fn draw_panel(area: &Area<'_>, panel: &Panel, (times, title): (&Axis, &str), names: &[&str]) -> Drawn {
    let small = TextStyle::from(("sans-serif", 14.0).into_font()).color(&FAINT_INK);
    let mut chart = ChartBuilder::on(area)
        .margin(MARGIN)
        .caption(
            &panel.title,
            TextStyle::from(("sans-serif", 17.0).into_font()).color(&INK),
        )
        .x_label_area_size(38)
        .y_label_area_size(46)
        .build_cartesian_2d(times.clone(), Axis::Shares)?;
    chart
        .configure_mesh()
        .light_line_style(PAPER.mix(0.0))
        .bold_line_style(GRID)
        .axis_style(FRAME)
        .label_style(small.clone())
        .axis_desc_style(small)
        .x_desc(title)
        .draw()?;
    for curve in &panel.curves {
        let colour = colour(&curve.name, names);
        let points = steps(&curve.millis);
        let end = points.last().copied();
        chart.draw_series(LineSeries::new(points, colour.stroke_width(2)))?;
        // The worst of all, which the curve's end would hide in the frame.
        if let Some(end) = end {
            chart.draw_series([Circle::new(end, 4, colour.filled())])?;
        }
    }
    if panel.curves.is_empty() {
        let (width, height) = area.dim_in_pixel();
        let middle = (i32::try_from(width)? / 2 - 40, i32::try_from(height)? / 2);
        write(area, middle, "not measured", 15.0, FAINT_INK, FontStyle::Italic)?;
    }
    Ok(())
}

fn write(area: &Area<'_>, at: (i32, i32), text: &str, size: f64, colour: RGBColor, style: FontStyle) -> Drawn {
    let font = ("sans-serif", size, style).into_font();
    let style = TextStyle::from(font)
        .color(&colour)
        .pos(Pos::new(HPos::Left, VPos::Top));
    area.draw(&Text::new(text.to_owned(), at, style))?;
    Ok(())
}

#[cfg(test)]
mod tests;
