//! `keys export`.

use std::path::Path;

use sealpost_client::Error;
use sealpost_client::receive::write_digits;
use serde_json::json;

use crate::context::Context;
use crate::output::Report;

pub(super) fn export(context: &Context, out: &Path) -> Result<Report, Error> {
    let session = context.session()?;
    let newest = session.account.newest_encryption()?;
    write_digits(out, newest.key.seed())?;
    let text = format!(
        "Your encryption key (epoch {}) is in {}, unsealed, as 64 hex digits.\n\
         Whoever has it can open everything sealed to you for which they also get the gateway's share. Delete the file when it has served.\n\
         Key id: {}",
        newest.epoch,
        out.display(),
        newest.key.kid(),
    );
    let json = json!({"file": out, "kid": newest.key.kid(), "epoch": newest.epoch});
    Ok(Report::done(text, json))
}
