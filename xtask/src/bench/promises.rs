//! What is promised of the speed, and whether it holds by the figures that are kept. A row that was not measured says so.

use std::collections::BTreeMap;

use super::findings::{Spread, Table};

/// All kept figures.
pub(super) type Figures = BTreeMap<String, Spread>;

/// One condition of a promise.
enum Goal {
    /// One figure is at most so many times another one.
    Ratio(&'static str, &'static str, f64),
    /// The most that was seen of a figure is at most this.
    Most(&'static str, f64, &'static str),
    /// The median of a figure is at least this.
    Least(&'static str, f64, &'static str),
    /// The largest of the figures with a name that begins so is at most so many times the smallest.
    Flat(&'static str, f64),
    /// Nothing measures it, for this reason.
    Unmeasured(&'static str),
}

use Goal::{Flat, Least, Most, Ratio, Unmeasured};

struct Promise {
    work: &'static str,
    goals: &'static [(&'static str, Goal)],
    command: &'static str,
}

const PROMISES: &[Promise] = &[
    Promise {
        work: "send 1 GiB, acknowledged durable",
        goals: &[
            ("≤ 1.0 × curl to nginx", Ratio("bulk.ours.put", "bulk.curl.put", 1.0)),
            (
                "≤ 0.6 × age piped into curl",
                Ratio("bulk.ours.put", "bulk.age_curl.put", 0.6),
            ),
            ("≤ 0.4 × rclone crypt", Ratio("bulk.ours.put", "bulk.rclone.put", 0.4)),
            ("≤ 0.4 × sftp -f", Ratio("bulk.ours.put", "bulk.sftp.put", 0.4)),
        ],
        command: "--only bulk",
    },
    Promise {
        work: "receive 1 GiB, verified, on disk",
        goals: &[
            (
                "≤ 0.65 × curl from nginx",
                Ratio("bulk.ours.get", "bulk.curl.get", 0.65),
            ),
            (
                "≤ 0.55 × age piped into curl",
                Ratio("bulk.ours.get", "bulk.age_curl.get", 0.55),
            ),
            ("≤ 0.45 × sftp", Ratio("bulk.ours.get", "bulk.sftp.get", 0.45)),
        ],
        command: "--only bulk",
    },
    Promise {
        work: "CPU of both ends, send + receive 1 GiB",
        goals: &[("≤ 1.1 × curl with nginx", Ratio("bulk.ours.cpu", "bulk.curl.cpu", 1.1))],
        command: "--only bulk",
    },
    Promise {
        work: "anonymous memory of the client, at any file size",
        goals: &[("≤ 40 MiB", Most("memory.client", 40.0, "MiB"))],
        command: "--only memory",
    },
    Promise {
        work: "anonymous memory of the gateway, 64 transfers in flight",
        goals: &[("≤ 64 MiB", Most("crowd.gateway_anonymous", 64.0, "MiB"))],
        command: "--only crowd",
    },
    Promise {
        work: "2,000 claim files in one transfer: send",
        goals: &[
            ("≤ 0.35 × sftp -rf", Ratio("claims.ours.put", "claims.sftp.put", 0.35)),
            (
                "≤ 1.2 × tar, age, ssh",
                Ratio("claims.ours.put", "claims.tar_age_ssh.put", 1.2),
            ),
        ],
        command: "--only claims",
    },
    Promise {
        work: "2,000 claim files in one transfer: receive",
        goals: &[
            ("≤ 0.4 × sftp", Ratio("claims.ours.get", "claims.sftp.get", 0.4)),
            (
                "≤ 1.2 × tar, age, ssh",
                Ratio("claims.ours.get", "claims.tar_age_ssh.get", 1.2),
            ),
        ],
        command: "--only claims",
    },
    Promise {
        work: "200 single-file transfers from a script, one process",
        goals: &[("≥ 100 a second", Least("singles.per_second", 100.0, "a second"))],
        command: "--only singles",
    },
    Promise {
        work: "ledger appends, frame hash and leaf included",
        goals: &[
            (
                "≥ 50,000 a second with 64 writers",
                Least("ledger.64.per_second", 50_000.0, "a second"),
            ),
            (
                "≥ 4,000 a second with one",
                Least("ledger.1.per_second", 4_000.0, "a second"),
            ),
            ("p99 ≤ 2 ms with 64", Most("ledger.64.p99_us", 2_000.0, "µs")),
            ("p99 ≤ 2 ms with one", Most("ledger.1.p99_us", 2_000.0, "µs")),
        ],
        command: "--only ledger",
    },
    Promise {
        work: "log proof for one entry among 10 million",
        goals: &[(
            "≤ 1 ms to build, ≤ 50 µs to verify",
            Unmeasured("nothing builds proofs of single entries yet: clients read the whole log"),
        )],
        command: "",
    },
    Promise {
        work: "`sealpost audit verify` of 1 million entries",
        goals: &[("≤ 2 s", Most("stored.audit_again", 2.0, "s"))],
        command: "--only stored",
    },
    Promise {
        work: "inbox of a user with 100,000 transfers, first page",
        goals: &[("p99 ≤ 5 ms", Most("stored.page_p99_us.00100000", 5_000.0, "µs"))],
        command: "--only stored",
    },
    Promise {
        work: "idle watchers of the live feed",
        goals: &[
            ("≤ 32 KiB each", Most("watchers.kib_each", 32.0, "KiB")),
            ("5,000 held", Least("watchers.held", 5_000.0, "held")),
        ],
        command: "--only watchers",
    },
    Promise {
        work: "start of a gateway with 1 million transfers",
        goals: &[
            ("≤ 2 s after a clean stop", Most("stored.start_clean", 2.0, "s")),
            ("≤ 10 s after kill -9", Most("stored.start_killed", 10.0, "s")),
            (
                "views made again: ≥ 200,000 records a second",
                Least("stored.rebuilt_per_second", 200_000.0, "a second"),
            ),
        ],
        command: "--only stored",
    },
    Promise {
        work: "cost of a transfer from 1 thousand to 1 million stored",
        goals: &[
            ("flat (≤ 1.3 ×): time to send one more", Flat("stored.send_ms.", 1.3)),
            ("flat (≤ 1.3 ×): CPU of the gateway for it", Flat("stored.cpu_ms.", 1.3)),
        ],
        command: "--only stored",
    },
    Promise {
        work: "the same with 10 million stored",
        goals: &[(
            "flat (≤ 1.3 ×)",
            Unmeasured("hours, and 90 GB of disk: `--only stored --large`"),
        )],
        command: "--only stored --large",
    },
];

/// The table of all promises.
pub(super) fn table(figures: &Figures) -> Table {
    let mut table = Table::new("", &["work", "goal", "measured", "holds", "`cargo xtask bench`"]);
    for promise in PROMISES {
        for (text, goal) in promise.goals {
            let (measured, holds) = goal.judged(figures);
            let command = if promise.command.is_empty() {
                String::new()
            } else {
                format!("`{}`", promise.command)
            };
            let cells = [promise.work, text, &measured, holds, &command];
            table.rows.push(cells.map(str::to_owned).to_vec());
        }
    }
    table
}

impl Goal {
    /// What was measured, and whether that is enough.
    fn judged(&self, figures: &Figures) -> (String, &'static str) {
        let value = match self {
            Unmeasured(why) => return (format!("not measured: {why}"), ""),
            Ratio(one, other, most) => figures.get(*one).zip(figures.get(*other)).map(|(one, other)| {
                let ratio = one.median / other.median;
                (format!("{ratio:.2} ×"), ratio <= *most)
            }),
            Most(name, most, unit) => figures
                .get(*name)
                .map(|spread| (format!("{} {unit}", rounded(spread.most)), spread.most <= *most)),
            Least(name, least, unit) => figures
                .get(*name)
                .map(|spread| (format!("{} {unit}", rounded(spread.median)), spread.median >= *least)),
            Flat(prefix, most) => flat(figures, prefix).map(|ratio| (format!("{ratio:.2} ×"), ratio <= *most)),
        };
        value.map_or(("not measured".to_owned(), ""), |(text, holds)| {
            (text, if holds { "yes" } else { "**no**" })
        })
    }
}

/// The largest median over the smallest, of the figures with this prefix.
fn flat(figures: &Figures, prefix: &str) -> Option<f64> {
    let named = figures.iter().filter(|(name, _)| name.starts_with(prefix));
    let medians: Vec<f64> = named.map(|(_, spread)| spread.median).collect();
    let most = medians.iter().copied().reduce(f64::max)?;
    let least = medians.iter().copied().reduce(f64::min)?;
    (medians.len() > 1).then(|| most / least)
}

fn rounded(value: f64) -> String {
    if value >= 100.0 {
        format!("{value:.0}")
    } else {
        format!("{value:.2}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(of: &[(&str, f64)]) -> Figures {
        let spread = |value: f64| Spread::of(&[value]).expect("a spread");
        of.iter()
            .map(|(name, value)| ((*name).to_owned(), spread(*value)))
            .collect()
    }

    #[test]
    fn goals_are_judged_by_their_figures() {
        let ratio = Ratio("a", "b", 0.5);
        assert_eq!(
            ratio.judged(&figures(&[("a", 1.0), ("b", 2.0)])),
            ("0.50 ×".to_owned(), "yes")
        );
        assert_eq!(ratio.judged(&figures(&[("a", 1.2), ("b", 2.0)])).1, "**no**");
        assert_eq!(ratio.judged(&figures(&[("a", 1.2)])).0, "not measured");
        assert_eq!(Most("a", 2.0, "s").judged(&figures(&[("a", 2.5)])).1, "**no**");
        assert_eq!(Least("a", 100.0, "/s").judged(&figures(&[("a", 120.0)])).1, "yes");
        let flat = Flat("cost.", 1.3);
        assert_eq!(flat.judged(&figures(&[("cost.1", 1.0), ("cost.2", 1.2)])).1, "yes");
        assert_eq!(flat.judged(&figures(&[("cost.1", 1.0)])).0, "not measured");
    }
}
