//! Writes what is kept into `docs/PERFORMANCE.md`, between markers; everything else in it is written by hand.

use std::fs;

use clap::ValueEnum as _;

use super::findings::Record;
use super::kept;
use super::plots::{Line, bars, lines};
use super::promises::{self, Figures};
use super::work::Workload;
use crate::run::{Outcome, workspace};

/// Writes tables and plots of everything that is kept.
pub(super) fn write() -> Outcome {
    let path = workspace().join("docs/PERFORMANCE.md");
    let mut text = fs::read_to_string(&path)?;
    let mut figures = Figures::new();
    for workload in Workload::value_variants() {
        let record = Record::read(workload.name())?;
        let part = record.as_ref().map_or_else(|| not_measured(*workload), Record::text);
        text = replaced(&text, workload.name(), &part)?;
        figures.extend(record.map(|record| record.findings.figures).unwrap_or_default());
    }
    text = replaced(&text, "promises", &promises::table(&figures).markdown())?;
    fs::write(&path, text)?;
    fs::create_dir_all(kept())?;
    for (name, svg) in plots(&figures) {
        fs::write(kept().join(name), svg)?;
    }
    println!("==> docs/PERFORMANCE.md is written");
    Ok(())
}

fn not_measured(workload: Workload) -> String {
    format!(
        "Not measured yet: `cargo xtask bench --write --only {}`.\n",
        workload.name()
    )
}

/// The text with another part between the markers of `name`.
fn replaced(text: &str, name: &str, part: &str) -> Outcome<String> {
    let (begin, end) = (format!("<!-- bench: {name} -->\n"), format!("<!-- end: {name} -->"));
    let missing = || format!("docs/PERFORMANCE.md lacks the markers of {name}");
    let (before, rest) = text.split_once(&begin).ok_or_else(missing)?;
    let (_, after) = rest.split_once(&end).ok_or_else(missing)?;
    Ok(format!("{before}{begin}\n{part}\n{end}{after}"))
}

/// The plots, by the names of their files. Without figures they are empty frames, so that the document has no broken links.
fn plots(figures: &Figures) -> Vec<(&'static str, String)> {
    vec![
        ("ratios.svg", ratios(figures)),
        ("memory.svg", memory(figures)),
        ("stored.svg", stored(figures)),
    ]
}

fn ratios(figures: &Figures) -> String {
    let peers = [
        ("curl", "curl"),
        ("age_curl", "age | curl"),
        ("rclone", "rclone crypt"),
        ("sftp", "sftp -f"),
        ("age_ssh", "age | ssh"),
    ];
    let ratio = |key: &str, measure: &str| {
        let of = |key: &str| figures.get(&format!("bulk.{key}.{measure}"));
        of("ours").zip(of(key)).map(|(ours, peer)| ours.median / peer.median)
    };
    let groups: Vec<_> = peers
        .iter()
        .filter_map(|(key, name)| Some(((*name).to_owned(), vec![ratio(key, "put")?, ratio(key, "get")?])))
        .collect();
    bars(
        "Time of sealpost for 1 GiB over that of",
        "1 is as long",
        &["put, durable", "get"],
        &groups,
        Some(1.0),
    )
}

fn memory(figures: &Figures) -> String {
    let named = |what: &str| points(figures, &format!("memory.{what}."));
    let all = [
        ("client, send", "send"),
        ("client, receive", "receive"),
        ("gateway", "gateway"),
    ];
    let all = all.map(|(name, what)| Line {
        name,
        points: named(what),
    });
    let ticks = [20, 24, 28, 30, 32].map(|power| (f64::powi(2.0, power), binary(power)));
    lines(
        "Anonymous memory over the size of a file",
        "MiB",
        &all,
        &ticks,
        Some(40.0),
    )
}

fn binary(power: i32) -> String {
    match power {
        ..30 => format!("{} MiB", 1 << (power - 20)),
        _ => format!("{} GiB", 1 << (power - 30)),
    }
}

fn stored(figures: &Figures) -> String {
    let named = |what: &str| points(figures, &format!("stored.{what}."));
    let all = [("send one more", "send_ms"), ("gateway CPU for it", "cpu_ms")];
    let all = all.map(|(name, what)| Line {
        name,
        points: named(what),
    });
    let ticks = [3, 5, 6, 7].map(|power| (f64::powi(10.0, power), format!("10^{power}")));
    lines("Cost of one more transfer over those stored", "ms", &all, &ticks, None)
}

/// Figures whose name ends in the number they belong to.
fn points(figures: &Figures, prefix: &str) -> Vec<(f64, f64)> {
    let named = figures
        .iter()
        .filter_map(|(name, spread)| Some((name.strip_prefix(prefix)?, spread)));
    named
        .filter_map(|(number, spread)| Some((number.parse().ok()?, spread.median)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_stands_between_markers_is_replaced() {
        let text = "by hand\n<!-- bench: x -->\nold\n<!-- end: x -->\nby hand\n";
        let new = replaced(text, "x", "new\n").expect("markers");
        assert_eq!(new, "by hand\n<!-- bench: x -->\n\nnew\n\n<!-- end: x -->\nby hand\n");
        assert_eq!(replaced(&new, "x", "new\n").expect("markers"), new);
        assert!(replaced(text, "y", "new").is_err());
    }

    #[test]
    fn the_document_has_all_markers() {
        let text = fs::read_to_string(workspace().join("docs/PERFORMANCE.md")).expect("the document");
        let names = Workload::value_variants().iter().map(|workload| workload.name());
        for name in names.chain(["promises"]) {
            replaced(&text, name, "").expect("markers");
        }
    }
}
