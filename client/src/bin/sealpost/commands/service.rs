//! `admin service`, and what `admin invite --service` says first.

use sealpost_client::admin::services::{self, Change};
use sealpost_client::{Error, Session};
use sealpost_proto::id::Address;
use sealpost_proto::key::ServiceLimits;
use sealpost_proto::key::service::{Networks, Scopes};
use serde_json::json;

use crate::cli::values::Reach;
use crate::cli::{Limits, Service};
use crate::limits;
use crate::output::Report;

/// What the arguments change.
fn change(args: Limits) -> Result<Change, Error> {
    let networks = match args.network.as_slice() {
        [] => None,
        [Reach::Anywhere] => Some(Networks::Any),
        several => Some(only(several)?),
    };
    Ok(Change {
        // None is none, and a set of at least one scope is always in form.
        scopes: Scopes::new(args.scope).ok(),
        networks,
        valid: args.valid,
    })
}

fn only(reach: &[Reach]) -> Result<Networks, Error> {
    let each = reach.iter().map(|reach| match reach {
        Reach::From(network) => Ok(*network),
        Reach::Anywhere => Err(Error::Input(
            "`--network any` allows every address, so no other network goes with it; leave one out.".to_owned(),
        )),
    });
    Networks::only(each.collect::<Result<_, _>>()?)
        .map_err(|_| Error::Input("A network is there twice, or there are more than 64; leave some out.".to_owned()))
}

/// Gives a new account its limits; returns them.
pub(super) async fn announce(session: &mut Session, address: &Address, args: Limits) -> Result<ServiceLimits, Error> {
    let valid = args.valid.or(Some(services::MAX_VALID));
    let new = change(Limits { valid, ..args })?.into_limits(session.env.now())?;
    services::announce(session, address, new.clone()).await?;
    Ok(new)
}

/// Shows the limits of an account, and replaces them if something is to change.
pub(super) async fn run(session: &mut Session, args: Service) -> Result<Report, Error> {
    let (now, address) = (session.env.now(), args.address);
    let before = services::limits(session, &address)?.clone();
    let change = change(args.limits)?;
    if change.is_empty() {
        let text = format!("{address} is a service account: {}", limits::text(&before, now));
        let json = json!({"address": address, "service": limits::json(Some(&before)), "before": null});
        return Ok(Report::done(text, json));
    }
    let after = change.applied_to(&before, now)?;
    services::set(session, &address, after.clone()).await?;
    let text = format!(
        "{address} has new limits, from now on.\n  before: {}\n  now:    {}",
        limits::text(&before, now),
        limits::text(&after, now)
    );
    let json = json!({
        "address": address,
        "service": limits::json(Some(&after)),
        "before": limits::json(Some(&before)),
    });
    Ok(Report::done(text, json))
}
