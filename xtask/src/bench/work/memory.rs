//! Memory of both ends for files from 1 MiB to 4 GiB: it must not grow with them.

use std::path::Path;

use super::super::contest::mib;
use super::super::findings::{Findings, Table};
use super::super::gateway::World;
use super::super::timed::timed;
use super::super::{Bench, samples};
use super::size;
use crate::run::Outcome;

const SIZES: [u64; 5] = [1 << 20, 16 << 20, 256 << 20, 1 << 30, 4 << 30];
const QUICK: [u64; 3] = [1 << 20, 16 << 20, 64 << 20];

pub(super) fn run(bench: &Bench, folder: &Path) -> Outcome<Findings> {
    let world = World::new(folder)?;
    let log = folder.join("log");
    let mut findings = Findings::default();
    let head = [
        "file",
        "client MiB, anonymous: send",
        "receive",
        "at the start, for the passphrase",
        "gateway MiB, anonymous",
        "client MiB, resident",
    ];
    let mut table = Table::new("", &head);
    let (mut sending, mut receiving, mut serving) = (Vec::new(), Vec::new(), Vec::new());
    for &bytes in bench.size(&SIZES[..], &QUICK[..]) {
        if bench.place.room()? < 4 * bytes {
            findings.note(format!("There was no room on the disk for {}.", size(bytes)));
            continue;
        }
        let (source, out) = (folder.join("file.bin"), folder.join("out"));
        let answer = folder.join("answer.json");
        samples::random_file(&source, bytes, bytes)?;
        std::fs::create_dir_all(&out)?;
        let pid = Some(world.gateway.pid());
        let put = timed(&world.send(&source, &answer), pid, &log)?;
        let get = timed(&world.receive(&answer, &out)?, pid, &log)?;
        samples::compare(&source, &out.join("file.bin"))?;
        std::fs::remove_dir_all(&out)?;
        let server = mib(put.server.most(get.server).anonymous);
        sending.push(mib(put.client_moving.anonymous));
        receiving.push(mib(get.client_moving.anonymous));
        serving.push(server);
        let anonymous = [
            put.client_moving.anonymous,
            get.client_moving.anonymous,
            put.client.anonymous,
        ];
        let mut row = vec![size(bytes)];
        row.extend(anonymous.map(|kib| format!("{:.1}", mib(kib))));
        row.push(format!("{server:.1}"));
        row.push(format!("{:.1}", mib(put.client.most(get.client).resident)));
        table.rows.push(row);
        for (what, value) in [
            ("send", sending.last()),
            ("receive", receiving.last()),
            ("gateway", serving.last()),
        ] {
            findings.once(
                &format!("memory.{what}.{bytes:012}"),
                value.copied().unwrap_or_default(),
            );
        }
        println!("    {} done", size(bytes));
    }
    findings.spread("memory.client".to_owned(), &[sending, receiving].concat());
    findings.tables.push(table);
    findings.note(
        "Anonymous memory (RssAnon), most of looks every 10 ms, once 2 MiB were moved; small files may be gone between two looks. \
         Opening the key file takes 64 MiB of Argon2id for a tenth of a second before, which is given back.",
    );
    Ok(findings)
}
