//! One file for each command: from arguments to a report.

mod admin;
mod audit;
mod batch;
mod directory;
mod enrol;
mod get;
mod inbox;
mod inspect;
mod keys;
mod link;
mod org;
mod pull;
mod rearm;
mod receive;
mod resume;
mod revoke;
mod send;
mod service;
mod status;
mod whoami;

use sealpost_client::Error;

use crate::cli::{Audit, Command, Directory, Keys, Org};
use crate::context::Context;
use crate::output::Report;

/// Runs a command.
pub(crate) async fn run(command: Command, context: &Context) -> Result<Report, Error> {
    match command {
        Command::Org(Org::Init(args)) => org::init(context, args).await,
        Command::Admin(args) => admin::run(context, args).await,
        Command::Enrol(args) => enrol::run(context, &args).await,
        Command::Whoami => whoami::run(context).await,
        Command::Send(args) => send::run(context, *args).await,
        Command::Inbox(args) => inbox::run(context, &args).await,
        Command::Receive(args) => receive::run(context, args).await,
        Command::Pull(args) => pull::run(context, *args).await,
        Command::Get(args) => get::run(context, &args).await,
        Command::Link(args) => link::run(context, &args).await,
        Command::Revoke(args) => revoke::run(context, &args).await,
        Command::Rearm(args) => rearm::run(context, &args).await,
        Command::Resume(args) => resume::run(context, &args).await,
        Command::Status(args) => status::run(context, &args).await,
        Command::Audit(Audit::List(args)) => audit::list(context, &args).await,
        Command::Audit(Audit::Verify) => audit::verify(context).await,
        Command::Inspect(args) => inspect::run(context, &args),
        Command::Keys(Keys::Export { out }) => keys::export(context, &out),
        Command::Directory(Directory::List) => directory::list(context).await,
    }
}
