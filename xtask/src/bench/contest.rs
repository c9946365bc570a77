//! A comparison in turns: every contestant puts and gets the same bytes, one after the other, round after round, so that what
//! disturbs the machine disturbs all of them.

use std::fs;
use std::path::PathBuf;

use super::findings::{Findings, Table};
use super::timed::{Timed, timed, untimed};
use super::{interrupt, samples, shell};
use crate::run::Outcome;

/// Makes the line that gets, once the put has ended.
pub(super) type Getting<'a> = Box<dyn Fn() -> Outcome<String> + 'a>;

/// One of those compared.
pub(super) struct Contestant<'a> {
    /// Name of its figures.
    pub(super) key: &'static str,
    /// Name for people.
    pub(super) name: &'static str,
    /// The server's process.
    pub(super) server: u32,
    /// The line that puts, until it is durable.
    pub(super) put: String,
    pub(super) get: Getting<'a>,
    /// What is removed after each round, but for our own gateway's.
    pub(super) stored: Vec<PathBuf>,
}

/// Puts and gets of one contestant.
struct Score {
    key: &'static str,
    name: &'static str,
    puts: Vec<Timed>,
    gets: Vec<Timed>,
    /// Seconds of an fsync of what was got.
    syncs: Vec<f64>,
    failure: Option<String>,
}

/// What is compared, and how.
pub(super) struct Contest<'a> {
    /// Names the figures.
    pub(super) name: &'a str,
    /// What stands above the table.
    pub(super) title: &'a str,
    /// What is sent: a file, or a folder of files.
    pub(super) source: PathBuf,
    /// The folder to receive into. A file arrives in it under its own name.
    pub(super) out: PathBuf,
    pub(super) log: PathBuf,
    pub(super) runs: usize,
    pub(super) contestants: Vec<Contestant<'a>>,
    /// What is done before each step, untimed.
    pub(super) before: Box<dyn Fn() -> Outcome + 'a>,
}

impl Contest<'_> {
    /// Runs all rounds. The first contestant is ours, and the only one whose failure ends everything.
    pub(super) fn run(&self) -> Outcome<Findings> {
        let mut scores: Vec<Score> = self.contestants.iter().map(Score::new).collect();
        for round in 0..self.runs {
            for (contestant, score) in self.contestants.iter().zip(&mut scores) {
                if score.failure.is_some() {
                    continue;
                }
                let turn = self.turn(contestant, score);
                for path in &contestant.stored {
                    clear(path)?;
                }
                clear(&self.out)?;
                interrupt::check()?;
                match turn {
                    Err(error) if contestant.key == "ours" => return Err(error),
                    Err(error) => {
                        println!("    {}: {error}", contestant.name);
                        score.failure = Some(error.to_string());
                    }
                    Ok(()) => println!("    {} {} {}", round + 1, contestant.name, score.last()),
                }
            }
        }
        Ok(self.findings(&scores))
    }

    fn turn(&self, contestant: &Contestant<'_>, score: &mut Score) -> Outcome {
        let target = if self.source.is_file() {
            self.out.join(self.source.file_name().unwrap_or_default())
        } else {
            self.out.clone()
        };
        fs::create_dir_all(&self.out)?;
        for path in &contestant.stored {
            fs::create_dir_all(path)?;
        }
        // Nothing of before is left to be written while this one is timed.
        untimed(&format!("sync -f {}", shell::quoted(&self.out)), &self.log)?;
        (self.before)()?;
        let put = timed(&contestant.put, Some(contestant.server), &self.log)?;
        (self.before)()?;
        let get = timed(&(contestant.get)()?, Some(contestant.server), &self.log)?;
        let sync = timed(&format!("sync -f {}", shell::quoted(&target)), None, &self.log)?;
        samples::compare(&self.source, &target)?;
        score.puts.push(put);
        score.gets.push(get);
        score.syncs.push(sync.wall);
        Ok(())
    }

    fn findings(&self, scores: &[Score]) -> Findings {
        let mut findings = Findings::default();
        for score in scores {
            for (measure, values) in score.measures() {
                findings.spread(format!("{}.{}.{measure}", self.name, score.key), &values);
            }
            if let Some(failure) = &score.failure {
                findings.note(format!("{} failed and is left out: {failure}", score.name));
            }
        }
        let others: Vec<f64> = scores
            .iter()
            .flat_map(|score| score.puts.iter().chain(&score.gets))
            .map(|timed| timed.others)
            .collect();
        findings.spread(format!("{}.others", self.name), &others);
        if let Some(others) = findings.figures.get(&format!("{}.others", self.name)) {
            let what = if others.median > 0.2 {
                ": too many to trust the times"
            } else {
                ""
            };
            findings.note(format!(
                "{} rounds in turns; while the steps ran, others used {} cores{what}.",
                self.runs,
                others.text(2)
            ));
        }
        findings.tables.push(self.table(scores, &findings));
        findings
    }

    fn table(&self, scores: &[Score], findings: &Findings) -> Table {
        let head = [
            "",
            "put, durable, s",
            "get, s",
            "and an fsync, s",
            "ours ÷ it: put",
            "get",
            "CPU s client + server: put",
            "get",
            "client MiB, anonymous: put",
            "get",
            "server MiB, anonymous",
        ];
        let mut table = Table::new(self.title, &head);
        let figure = |key: &str, measure: &str| findings.figures.get(&format!("{}.{key}.{measure}", self.name));
        for score in scores.iter().filter(|score| score.failure.is_none()) {
            let text = |measure: &str, digits| figure(score.key, measure).map_or_else(String::new, |s| s.text(digits));
            let middle = |measure: &str| figure(score.key, measure).map_or(0.0, |spread| spread.median);
            let ratio = |measure: &str| {
                let ours = figure("ours", measure).map_or(0.0, |spread| spread.median);
                format!("{:.2}", ours / middle(measure))
            };
            table.rows.push(vec![
                score.name.to_owned(),
                text("put", 2),
                text("get", 2),
                text("get_durable", 2),
                ratio("put"),
                ratio("get"),
                format!("{:.2} + {:.2}", middle("put_cpu_client"), middle("put_cpu_server")),
                format!("{:.2} + {:.2}", middle("get_cpu_client"), middle("get_cpu_server")),
                format!("{:.0}", middle("put_anonymous")),
                format!("{:.0}", middle("get_anonymous")),
                format!("{:.0}", middle("server_anonymous")),
            ]);
        }
        table
    }
}

impl Score {
    fn new(contestant: &Contestant<'_>) -> Self {
        Self {
            key: contestant.key,
            name: contestant.name,
            puts: Vec::new(),
            gets: Vec::new(),
            syncs: Vec::new(),
            failure: None,
        }
    }

    fn last(&self) -> String {
        let wall = |all: &[Timed]| all.last().map_or(0.0, |timed| timed.wall);
        format!("put {:.2} s, get {:.2} s", wall(&self.puts), wall(&self.gets))
    }

    fn measures(&self) -> Vec<(&'static str, Vec<f64>)> {
        let puts = |of: fn(&Timed) -> f64| self.puts.iter().map(of).collect::<Vec<_>>();
        let gets = |of: fn(&Timed) -> f64| self.gets.iter().map(of).collect::<Vec<_>>();
        let both = |of: fn(&Timed) -> f64, join: fn(f64, f64) -> f64| {
            let pairs = self.puts.iter().zip(&self.gets);
            pairs.map(|(put, get)| join(of(put), of(get))).collect::<Vec<_>>()
        };
        let durable = self.gets.iter().zip(&self.syncs).map(|(get, sync)| get.wall + sync);
        vec![
            ("put", puts(|timed| timed.wall)),
            ("get", gets(|timed| timed.wall)),
            ("get_durable", durable.collect()),
            (
                "cpu",
                both(|timed| timed.client_cpu + timed.server_cpu, |put, get| put + get),
            ),
            ("put_cpu_client", puts(|timed| timed.client_cpu)),
            ("put_cpu_server", puts(|timed| timed.server_cpu)),
            ("get_cpu_client", gets(|timed| timed.client_cpu)),
            ("get_cpu_server", gets(|timed| timed.server_cpu)),
            ("put_anonymous", puts(|timed| mib(timed.client_moving.anonymous))),
            ("get_anonymous", gets(|timed| mib(timed.client_moving.anonymous))),
            ("client_resident", both(|timed| mib(timed.client.resident), f64::max)),
            ("server_anonymous", both(|timed| mib(timed.server.anonymous), f64::max)),
        ]
    }
}

/// KiB as MiB.
#[expect(clippy::cast_precision_loss, reason = "memory is far below 2^53 KiB")]
pub(super) fn mib(kib: u64) -> f64 {
    kib as f64 / 1024.0
}

/// Removes what lies in a folder, and the folder.
fn clear(path: &PathBuf) -> Outcome {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}
