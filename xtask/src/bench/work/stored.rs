//! A gateway with many transfers stored: what one more costs, the first page of an inbox, the start, the audit log.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::super::findings::{Findings, Table};
use super::super::gateway::World;
use super::super::timed::{timed, timed_within};
use super::super::{Bench, interrupt, samples, shell};
use super::{asked, count, number, real, small};
use crate::run::Outcome;

/// Bytes of disk for a transfer in journal, snapshots and views, with room to spare.
const BYTES_EACH: u64 = 9 << 10;
const LARGE: u64 = 10_000_000;
/// Longest time to fetch and verify the audit log.
const AUDIT: Duration = Duration::from_secs(600);

struct Filling<'a> {
    bench: &'a Bench,
    folder: &'a Path,
    world: World,
    claims: PathBuf,
    sent: u64,
    stored: u64,
}

pub(super) fn run(bench: &Bench, folder: &Path) -> Outcome<Findings> {
    let claims = folder.join("claims");
    let sent = bench.size(100, 10);
    samples::claims(&claims, sent)?;
    let mut filling = Filling {
        bench,
        folder,
        world: World::new(folder)?,
        claims,
        sent,
        stored: 0,
    };
    let mut steps = bench.size(vec![1_000, 100_000, 1_000_000], vec![1_000, 3_000]);
    if bench.large {
        steps.push(LARGE);
    }
    let mut findings = Findings::default();
    let head = [
        "transfers stored",
        "send one more, ms",
        "gateway CPU for it, ms",
        "inbox, first page of 50: p50, µs",
        "p99, µs",
        "start, s",
        "gateway MiB, anonymous",
    ];
    let mut table = Table::new("", &head);
    for &transfers in &steps {
        let room = bench.place.room()?;
        if (transfers - filling.stored) * BYTES_EACH > room {
            findings.note(format!(
                "{} were left out: the disk has no room for them.",
                count(transfers)
            ));
            break;
        }
        table.rows.push(filling.step(transfers, &mut findings)?);
    }
    findings.tables.push(table);
    findings.join(filling.at_the_end()?);
    findings.note(
        "The stored transfers were made through the rules of the domain and the ledger, without HTTP and without ciphertext; those \
         sent on top are real, from one process with `send --batch`, start of the process included.",
    );
    Ok(findings)
}

impl Filling<'_> {
    /// Fills up to so many, and measures.
    fn step(&mut self, transfers: u64, findings: &mut Findings) -> Outcome<Vec<String>> {
        self.fill(transfers)?;
        let start = self.world.gateway.start;
        let log = self.folder.join("log");
        let pid = Some(self.world.gateway.pid());
        let line = small::batch(&self.world, &self.claims, self.folder)?;
        let (mut each, mut cpu, mut anonymous) = (Vec::new(), Vec::new(), 0);
        for _ in 0..self.bench.runs.min(5) {
            let took = timed(&line, pid, &log)?;
            self.stored += self.sent;
            each.push(took.wall * 1000.0 / real(self.sent));
            cpu.push(took.server_cpu * 1000.0 / real(self.sent));
            anonymous = took.server.anonymous;
        }
        let page = self.page()?;
        let named = |what: &str| format!("stored.{what}.{transfers:08}");
        findings.spread(named("send_ms"), &each);
        findings.spread(named("cpu_ms"), &cpu);
        findings.once(&named("page_p50_us"), number(&page, "p50_us")?);
        findings.once(&named("page_p99_us"), number(&page, "p99_us")?);
        findings.once(&named("start"), start);
        println!("    {} stored", count(transfers));
        let text = |what, digits| {
            let figure = findings.figures.get(&named(what));
            figure.map_or_else(String::new, |spread| spread.text(digits))
        };
        Ok(vec![
            count(transfers),
            text("send_ms", 1),
            text("cpu_ms", 1),
            text("page_p50_us", 0),
            text("page_p99_us", 0),
            text("start", 2),
            format!("{:.0}", super::super::contest::mib(anonymous)),
        ])
    }

    fn fill(&mut self, transfers: u64) -> Outcome {
        interrupt::check()?;
        self.world.gateway.stop()?;
        let line = format!(
            "{} --data {} {} --transfers {}",
            shell::quoted(self.bench.program("fill")),
            shell::quoted(self.world.gateway.data()),
            home(&self.world.desk),
            transfers.saturating_sub(self.stored)
        );
        let limit = Duration::from_secs(if self.bench.large { 6 * 3600 } else { 900 });
        timed_within(&line, None, &self.folder.join("log"), limit)?;
        self.stored = transfers;
        self.world.gateway.again()
    }

    /// The first page of the recipient, who has them all.
    fn page(&self) -> Outcome<serde_json::Value> {
        let line = format!(
            "{} {} --times {}",
            shell::quoted(self.bench.program("pages")),
            home(&self.world.provider),
            self.bench.size(2_000, 200)
        );
        asked(&line, self.folder)
    }

    /// Starts of all kinds, and the audit log.
    fn at_the_end(mut self) -> Outcome<Findings> {
        let mut findings = Findings::default();
        let mut table = Table::new(&format!("With {} stored", count(self.stored)), &["", "s"]);
        let mut add = |findings: &mut Findings, name: &str, what: &str, seconds: f64| {
            findings.once(&format!("stored.{name}"), seconds);
            table.rows.push(vec![what.to_owned(), format!("{seconds:.2}")]);
        };
        let gateway = &mut self.world.gateway;
        gateway.stop()?;
        gateway.again()?;
        add(&mut findings, "start_clean", "start after a stop", gateway.start);
        gateway.kill();
        gateway.again()?;
        add(&mut findings, "start_killed", "start after a kill", gateway.start);
        gateway.stop()?;
        std::fs::remove_dir_all(gateway.data().join("views"))?;
        gateway.again()?;
        let rebuilt = gateway.start;
        add(
            &mut findings,
            "start_rebuilt",
            "start without views: all are made again",
            rebuilt,
        );
        findings.once("stored.rebuilt_per_second", real(self.stored) / rebuilt);
        let log = self.folder.join("log");
        let verify = self.world.line(&self.world.desk, &[&"audit", &"verify"]);
        let first = timed_within(&verify, None, &log, AUDIT)?;
        add(
            &mut findings,
            "audit_first",
            "`sealpost audit verify`, which fetches the whole log",
            first.wall,
        );
        let again = timed_within(&verify, None, &log, AUDIT)?;
        add(
            &mut findings,
            "audit_again",
            "the same again, with the log at hand",
            again.wall,
        );
        findings.tables.push(table);
        Ok(findings)
    }
}

fn home(person: &sealpost_tests::person::Person) -> String {
    format!(
        "--home {} --passphrase-file {}",
        shell::quoted(person.home()),
        shell::quoted(person.passphrase_file())
    )
}
