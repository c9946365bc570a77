//! `enrol`.

use sealpost_client::{Error, enrolment};
use sealpost_proto::enrolment::EnrolmentString;
use serde_json::json;

use crate::cli::Enrol;
use crate::context::Context;
use crate::output::{Report, note};
use crate::secrets;

pub(super) async fn run(context: &Context, args: &Enrol) -> Result<Report, Error> {
    let string: EnrolmentString = secrets::secret_string(args.string.as_deref(), "Enrolment string", "sealpost enrol")?;
    context.home.prepare()?;
    let passphrase = context.new_passphrase("your key file")?;
    let enrolled = enrolment::enrol(&string, &context.home, &passphrase, &context.env).await;
    let account = enrolled.inspect_err(|error| {
        if matches!(error, Error::Api(api) if !api.is_definite_refusal()) {
            note("sealpost: If `sealpost whoami` answers \"waits for confirmation\", you are enrolled in spite of this; if not, delete the new key file and start again.");
        }
    })?;
    let text = format!(
        "Keys for {} are made and announced to {}.\n\
         Your keys: {} (there is no second way to them yet: back up the file and its passphrase)\n\
         Your check number: {}\n\
         Next: your administrator runs `sealpost admin confirm` and sees the same number: compare it by phone. `{}` shows it again.",
        account.address,
        account.at.gateway,
        context.home.key_file().display(),
        account.check_number(),
        context.command("whoami"),
    );
    let json = json!({
        "address": account.address,
        "gateway": account.at.gateway,
        "organisation": {"fingerprint": account.org},
        "identity": account.identity.public(),
        "device": account.device.public(),
        "check_number": account.check_number(),
        "key_file": context.home.key_file(),
        "state": "unconfirmed",
    });
    Ok(Report::done(text, json))
}
