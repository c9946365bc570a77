//! `org init`.

use std::path::Path;

use sealpost_client::account::RootKey;
use sealpost_client::founding::{FoundingFiles, found};
use sealpost_client::{Error, platform};
use sealpost_proto::enrolment::SetupString;
use serde_json::json;

use crate::cli::OrgInit;
use crate::context::Context;
use crate::output::Report;
use crate::secrets;

pub(super) async fn init(context: &Context, args: OrgInit) -> Result<Report, Error> {
    let setup = secrets::secret_string(args.setup.as_deref(), "Setup string", "sealpost org init");
    let setup: SetupString = setup.map_err(without_setup)?;
    context.home.prepare()?;
    let absolute = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    if absolute(&args.root_key).starts_with(absolute(context.home.path())) {
        return Err(Error::Input(
            "The root key must not lie in the client's own folder; name a path on a medium that you can lock away."
                .to_owned(),
        ));
    }
    if args.root_key.exists() {
        return Err(Error::Taken(args.root_key));
    }
    if let Some(folder) = args.root_key.parent() {
        platform::create_private_dir(folder).map_err(|error| Error::file("make the folder", folder, error))?;
    }
    let passphrase = context.new_passphrase("your key file")?;
    let root_source = args
        .root_passphrase_file
        .as_deref()
        .or(context.passphrase_file.as_deref());
    let root_passphrase = secrets::new_passphrase(root_source, "the organisation's root key")?;
    let root = RootKey::generate(&args.name, &context.env);
    let files = FoundingFiles {
        home: &context.home,
        passphrase: &passphrase,
        root_key: &args.root_key,
        root_passphrase: &root_passphrase,
    };
    let account = found(&setup, &root, &files, args.address, &context.env)
        .await
        .map_err(with_advice)?;
    let text = format!(
        "The organisation \"{}\" exists, and {} is its administrator.\n\
         Fingerprint: {}\n\
         Your keys:   {}\n\
         Root key:    {} (move it offline now; without it no new administrator can ever be made)\n\
         There is no second way to these keys yet: back up both files and their passphrases.\n\
         Next: {}",
        sealpost_client::text::line(&args.name),
        account.address,
        account.org,
        context.home.key_file().display(),
        args.root_key.display(),
        context.command("admin invite ADDRESS"),
    );
    let json = json!({
        "organisation": {"name": args.name, "fingerprint": account.org},
        "address": account.address,
        "gateway": account.at.gateway,
        "key_file": context.home.key_file(),
        "root_key_file": args.root_key,
    });
    Ok(Report::done(text, json))
}

/// The gateway deletes the file of the setup string once it has its organisation.
fn without_setup(error: Error) -> Error {
    match error {
        Error::File { path, source, .. } if source.kind() == std::io::ErrorKind::NotFound => Error::NoSetupFile(path),
        other => other,
    }
}

/// After an answer that did not arrive, both files stay; says how to find out.
fn with_advice(error: Error) -> Error {
    match &error {
        Error::Api(api) if !api.is_definite_refusal() => {
            crate::output::note(
                "sealpost: If `sealpost whoami` answers, the organisation exists in spite of this; if not, delete both new key files and start again.",
            );
            error
        }
        _ => error,
    }
}
