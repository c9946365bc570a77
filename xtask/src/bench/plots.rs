//! Plots as small SVG files: lines over a logarithmic axis, and bars. Our own, because what is needed of a library for plots is a
//! page of code and its dependencies are many.

use std::fmt::Write as _;

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 300.0;
const LEFT: f64 = 60.0;
const RIGHT: f64 = 20.0;
const TOP: f64 = 40.0;
const BOTTOM: f64 = 50.0;
const COLOURS: [&str; 5] = ["#1b6ca8", "#c8553d", "#588b4c", "#8a5a9e", "#7a7a7a"];

/// A line: its name, and points whose first number stands on the logarithmic axis.
pub(super) struct Line<'a> {
    pub(super) name: &'a str,
    pub(super) points: Vec<(f64, f64)>,
}

/// Lines over a logarithmic axis. `ticks` are its places with their names, `goal` a value that none should be above.
pub(super) fn lines(title: &str, unit: &str, lines: &[Line<'_>], ticks: &[(f64, String)], goal: Option<f64>) -> String {
    let values = lines.iter().flat_map(|line| line.points.iter().map(|point| point.1));
    let top = nice(values.chain(goal).fold(0.0, f64::max));
    let places = ticks.iter().map(|tick| tick.0.log10());
    let (first, last) = places.fold((f64::MAX, f64::MIN), |(low, high), x| (low.min(x), high.max(x)));
    let x = |value: f64| {
        let share = (value.log10() - first) / (last - first).max(f64::EPSILON);
        LEFT + 20.0 + share * (WIDTH - LEFT - RIGHT - 40.0)
    };
    let mut svg = frame(title, unit, top);
    for (place, name) in ticks {
        text(&mut svg, x(*place), HEIGHT - BOTTOM + 18.0, "middle", name);
    }
    if let Some(goal) = goal {
        goal_line(&mut svg, y(goal, top));
    }
    for (n, (line, colour)) in lines.iter().zip(COLOURS.iter().cycle()).enumerate() {
        let points: Vec<String> = line
            .points
            .iter()
            .map(|(place, value)| format!("{:.1},{:.1}", x(*place), y(*value, top)))
            .collect();
        let _ = writeln!(
            svg,
            r#"<polyline points="{}" fill="none" stroke="{colour}" stroke-width="2"/>"#,
            points.join(" ")
        );
        for point in &points {
            let (cx, cy) = point.split_once(',').unwrap_or_default();
            let _ = writeln!(svg, r#"<circle cx="{cx}" cy="{cy}" r="3" fill="{colour}"/>"#);
        }
        legend(&mut svg, n, line.name, colour);
    }
    svg + "</svg>\n"
}

/// Groups of bars: the name of each group, with as many values as `names` has.
pub(super) fn bars(
    title: &str,
    unit: &str,
    names: &[&str],
    groups: &[(String, Vec<f64>)],
    goal: Option<f64>,
) -> String {
    let top = nice(
        groups
            .iter()
            .flat_map(|group| group.1.iter().copied())
            .chain(goal)
            .fold(0.0, f64::max),
    );
    let mut svg = frame(title, unit, top);
    let step = (WIDTH - LEFT - RIGHT) / real(groups.len().max(1));
    let bar = step * 0.7 / real(names.len().max(1));
    for (n, (name, values)) in groups.iter().enumerate() {
        let left = LEFT + step * (real(n) + 0.15);
        text(&mut svg, left + step * 0.35, HEIGHT - BOTTOM + 18.0, "middle", name);
        for (m, (value, colour)) in values.iter().zip(COLOURS.iter().cycle()).enumerate() {
            let (x, top) = (left + bar * real(m), y(*value, top));
            let _ = writeln!(
                svg,
                r#"<rect x="{x:.1}" y="{top:.1}" width="{:.1}" height="{:.1}" fill="{colour}"/>"#,
                bar * 0.92,
                HEIGHT - BOTTOM - top
            );
            text(&mut svg, x + bar / 2.0, top - 4.0, "middle", &format!("{value:.2}"));
        }
    }
    if let Some(goal) = goal {
        goal_line(&mut svg, y(goal, top));
    }
    for (n, (name, colour)) in names.iter().zip(COLOURS.iter().cycle()).enumerate() {
        legend(&mut svg, n, name, colour);
    }
    svg + "</svg>\n"
}

/// Title, axes and their numbers, from 0 to `top`.
fn frame(title: &str, unit: &str, top: f64) -> String {
    let mut svg = format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="11">"#
    );
    let _ = writeln!(svg, "\n<rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"#ffffff\"/>");
    text(&mut svg, LEFT, 16.0, "start", &format!("{title} ({unit})"));
    for n in 0..=4 {
        let value = top * f64::from(n) / 4.0;
        let at = y(value, top);
        let _ = writeln!(
            svg,
            r##"<line x1="{LEFT}" y1="{at:.1}" x2="{:.1}" y2="{at:.1}" stroke="#dddddd"/>"##,
            WIDTH - RIGHT
        );
        let digits = usize::from(top < 10.0) + usize::from(top < 2.0);
        text(&mut svg, LEFT - 6.0, at + 4.0, "end", &format!("{value:.digits$}"));
    }
    svg
}

fn goal_line(svg: &mut String, at: f64) {
    let _ = writeln!(
        svg,
        r##"<line x1="{LEFT}" y1="{at:.1}" x2="{:.1}" y2="{at:.1}" stroke="#333333" stroke-dasharray="5 4"/>"##,
        WIDTH - RIGHT
    );
}

fn legend(svg: &mut String, n: usize, name: &str, colour: &str) {
    let x = LEFT + real(n) * 130.0;
    let _ = writeln!(
        svg,
        r#"<rect x="{x}" y="{}" width="10" height="10" fill="{colour}"/>"#,
        HEIGHT - 18.0
    );
    text(svg, x + 14.0, HEIGHT - 9.0, "start", name);
}

fn text(svg: &mut String, x: f64, y: f64, anchor: &str, what: &str) {
    let what = what.replace('&', "&amp;").replace('<', "&lt;");
    let _ = writeln!(
        svg,
        r##"<text x="{x:.1}" y="{y:.1}" text-anchor="{anchor}" fill="#222222">{what}</text>"##
    );
}

fn y(value: f64, top: f64) -> f64 {
    HEIGHT - BOTTOM - value / top * (HEIGHT - TOP - BOTTOM)
}

/// The next of 1, 2, 4 or 8 times a power of ten; the end of an axis.
fn nice(value: f64) -> f64 {
    let value = value.max(1e-6);
    let power = 10_f64.powf(value.log10().floor());
    let steps = [1.0, 2.0, 4.0, 8.0, 10.0];
    let step = steps.iter().find(|step| **step * power >= value);
    step.map_or(value, |step| step * power)
}

#[expect(clippy::cast_precision_loss, reason = "there are a handful of bars")]
fn real(number: usize) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_end_at_round_numbers() {
        for (value, end) in [(0.9, 1.0), (1.1, 2.0), (37.0, 40.0), (41.0, 80.0), (900.0, 1000.0)] {
            assert!((nice(value) - end).abs() < 1e-9, "{value}");
        }
    }

    #[test]
    fn every_point_and_bar_is_drawn() {
        let line = Line {
            name: "a < b",
            points: vec![(1.0, 1.0), (10.0, 2.0), (100.0, 3.0)],
        };
        let ticks = [(1.0, "1".to_owned()), (100.0, "100".to_owned())];
        let svg = lines("title", "s", &[line], &ticks, Some(4.0));
        assert_eq!(svg.matches("<circle").count(), 3);
        assert!(svg.contains("a &lt; b") && svg.contains("stroke-dasharray") && svg.ends_with("</svg>\n"));
        let svg = bars(
            "title",
            "x",
            &["put", "get"],
            &[("curl".to_owned(), vec![0.5, 0.7])],
            None,
        );
        assert_eq!(svg.matches("<rect").count(), 1 + 2 + 2);
    }
}
