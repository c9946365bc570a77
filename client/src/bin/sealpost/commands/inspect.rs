//! `inspect`: an offline container.

use sealpost_client::directory::DirectoryMirror;
use sealpost_client::inspect::{ContainerFile, SenderCheck, read_share};
use sealpost_client::{Error, text, time};
use sealpost_proto::encoding::hex;
use sealpost_proto::sealed::Stanza;
use sealpost_sealed::Manifest;
use serde_json::{Value, json};

use crate::cli::Inspect;
use crate::context::Context;
use crate::output::{Report, bytes, count};
use crate::{purpose, secrets};

pub(super) fn run(context: &Context, args: &Inspect) -> Result<Report, Error> {
    look(context, args).map_err(|error| match error {
        Error::Rejected(reason) => Error::Container(reason),
        other => other,
    })
}

fn look(context: &Context, args: &Inspect) -> Result<Report, Error> {
    let mut container = ContainerFile::open(&args.file)?;
    container.check_seal(&args.file)?;
    let wants_keys = args.open || args.share.is_some();
    let mut sender = container.check_sender(None);
    let mut manifest = None;
    let needs_share = container.envelope().header.share_commit.is_some();
    if args.open && args.share.is_none() && needs_share {
        return Err(Error::Input(
            "This container opens with the gateway's share alone; name its file with `--share FILE` (`receive --with-share` writes it)."
                .to_owned(),
        ));
    }
    if wants_keys {
        let share = args.share.as_deref().map(read_share).transpose()?;
        let passphrase = secrets::passphrase(context.passphrase_file.as_deref())?;
        let account = context.home.open_key_file(&passphrase)?;
        let mirror = DirectoryMirror::load(&context.home, &account)?;
        sender = container.check_sender(Some(&mirror));
        manifest = Some(container.open_all(&args.file, &account, &mirror, share.as_deref())?);
    }
    Ok(report(&container, sender, manifest.as_ref()))
}

fn report(container: &ContainerFile, sender: SenderCheck, manifest: Option<&Manifest>) -> Report {
    let envelope = container.envelope();
    let (header, seal) = (&envelope.header, &envelope.seal.body);
    let elided = envelope
        .block
        .stanzas()
        .iter()
        .filter(|stanza| stanza.is_elided())
        .count();
    let sender_word = match sender {
        SenderCheck::Confirmed(_) => "confirmed by the directory",
        SenderCheck::Anonymous => "anonymous",
        SenderCheck::Unknown if manifest.is_none() => "not checked (open it with your key to check)",
        SenderCheck::Unknown => "NOT confirmed by the directory",
    };
    let mut text = format!(
        "The seal is valid over header, recipients, manifest and {} of payload.\n\
         \x20 transfer  {}\n  created   {}\n  sealed    {}\n  expires   {}\n  sender    {}, {sender_word}\n  device    {}\n  recipients {} ({elided} of them hidden)\n  opens     {}",
        bytes(seal.payload_len),
        header.transfer_id,
        time::local(header.created_at),
        time::local(seal.sealed_at),
        time::local(header.expires_at),
        header
            .sender_identity
            .map_or_else(|| "none".to_owned(), |key| key.to_string()),
        header.sender_device,
        envelope.block.stanzas().len(),
        if header.share_commit.is_some() {
            "with a recipient's key and the gateway's share"
        } else {
            "with a recipient's key alone"
        },
    );
    match manifest {
        Some(manifest) => text.push_str(&contents(manifest)),
        None if header.share_commit.is_some() => {
            text.push_str("\nNext: add `--share FILE` to open it with your key and see what is in it");
        }
        None => text.push_str("\nNext: add `--open` to open it with your key and see what is in it"),
    }
    let kids: Vec<Value> = envelope
        .block
        .stanzas()
        .iter()
        .filter_map(Stanza::kid)
        .map(|kid| json!(kid))
        .collect();
    let json = json!({
        "seal_valid": true,
        "transfer": header.transfer_id,
        "hh": hex(&header.hash()),
        "created_at": header.created_at,
        "sealed_at": seal.sealed_at,
        "expires_at": header.expires_at,
        "sender_identity": header.sender_identity,
        "sender_device": header.sender_device,
        "sender": match sender {
            SenderCheck::Confirmed(label) => json!({"check": "confirmed", "label": label}),
            SenderCheck::Anonymous => json!({"check": "anonymous"}),
            SenderCheck::Unknown => json!({"check": "unknown"}),
        },
        "needs_share": header.share_commit.is_some(),
        "no_forward": header.no_forward,
        "segments": seal.segments,
        "payload_bytes": seal.payload_len,
        "payload_root": hex(&seal.payload_root),
        "stanzas": envelope.block.stanzas().len(),
        "elided": elided,
        "kids": kids,
        "verified": manifest.is_some(),
        "manifest": manifest,
    });
    Report::done(text, json)
}

fn contents(manifest: &Manifest) -> String {
    let mut text = format!("\nOpened and verified whole: {}", count(manifest.files.len(), "file"));
    let mut fact = |name: &str, value: &str| text.push_str(&format!("\n  {name:<9} {value}"));
    if let Some(subject) = &manifest.subject {
        fact("subject", &text::line(subject));
    }
    if let Some(note) = &manifest.note {
        fact("note", &text::paragraph(note, 12));
    }
    for patient in &manifest.patients {
        let reference = format!("{} {}", patient.system, patient.value);
        fact("patient", &text::line(reference.trim_start()));
    }
    fact("purpose", &purpose::shown(&manifest.purpose));
    for file in &manifest.files {
        text.push_str(&format!("\n  {:>10}  {}", bytes(file.len), text::line(&file.name)));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whatever a sender writes, it stands in one line of its own, or behind the indent of a note.
    #[test]
    fn no_text_of_the_sender_passes_for_a_line_of_ours() {
        let forged = "x\n  sender    confirmed\r\u{85}\u{2028}\u{1b}[1A\u{202e}";
        let manifest: Manifest = serde_json::from_value(json!({
            "v": 1, "subject": forged, "note": forged, "purpose": forged,
            "patients": [{"system": forged, "value": forged}],
            "disclosure": {"category": "", "basis": ""},
            "files": [], "created": 1, "expires": 2,
        }))
        .unwrap();
        let shown = contents(&manifest);
        assert!(!shown.chars().any(|c| c != '\n' && text::is_deceptive(c)), "{shown:?}");
        let lines: Vec<&str> = shown.lines().collect();
        assert_eq!(lines.len(), 7, "{shown}");
        assert!(!lines.iter().any(|line| line.starts_with("  sender")), "{shown}");
    }
}
