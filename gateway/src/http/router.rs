//! All routes, then all layers, outermost last.

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{get, patch, post, put};

use super::limits::limit_rate;
use super::middleware::{deadline, frame, limit_head, security_headers};
use super::{Api, audit, directory, enrolment, feed, links, openings, org, page, problem, seal, transfers, uploads};

/// The router of the API.
pub fn router(api: Api) -> Router {
    // Parts have no deadline but must keep a least rate; a seal that arrived is not cut off while it is recorded.
    let uploads = Router::new()
        .route("/v1/transfers/{id}/parts/{number}", put(uploads::put_part))
        .route("/v1/transfers/{id}/seal", post(seal::seal));
    let timed = Router::new()
        .route("/v1/info", get(org::info))
        .route("/v1/org", post(org::found))
        .route("/v1/me", get(org::me))
        .route("/v1/invites", post(enrolment::invite).get(enrolment::invites))
        .route("/v1/enrol/redeem", post(enrolment::redeem))
        .route("/v1/statements", post(directory::append).get(directory::statements))
        .route("/v1/statements/{hash}", get(directory::statement))
        .route("/v1/directory/checkpoint", get(directory::checkpoint))
        .route("/v1/directory/leaves", get(directory::leaves))
        .route("/v1/directory/addresses", get(directory::addresses))
        .route("/v1/transfers", post(uploads::announce).get(transfers::sent))
        .route("/v1/transfers/{id}", get(transfers::transfer).delete(transfers::revoke))
        .route("/v1/transfers/{id}/rearm", post(transfers::rearm))
        .route("/v1/transfers/{id}/parts", get(uploads::parts))
        .route("/v1/inbox", get(transfers::inbox))
        // The deadline is for the head of its answer alone.
        .route("/v1/feed", get(feed::feed))
        .route("/v1/transfers/{id}/open", post(openings::open))
        .route("/v1/transfers/{id}/receipts", post(openings::receipts))
        .route("/v1/transfers/{id}/leaves", get(openings::leaves))
        .route("/v1/transfers/{id}/manifest", get(openings::manifest))
        .route("/v1/transfers/{id}/payload", get(openings::payload))
        .route("/v1/links/lookup", post(links::lookup))
        .route("/v1/links/redeem", post(links::redeem))
        .route("/v1/links/{hash}", patch(links::patch).delete(links::burn))
        .route("/l", get(page::link))
        .route("/l/{id}", get(page::link))
        // As some mail gateways write the `#` of a link.
        .route("/l%23{id}", get(page::link))
        .route("/v1/audit/checkpoint", get(audit::checkpoint))
        .route("/v1/audit/leaves", get(audit::leaves))
        .layer(from_fn_with_state(api.clone(), deadline));
    uploads
        .merge(timed)
        .fallback(problem::not_found)
        .method_not_allowed_fallback(problem::method_not_allowed)
        .layer(DefaultBodyLimit::disable()) // every route that has a body reads it with a limit and a rate of its own
        .layer(from_fn(limit_head))
        .layer(from_fn_with_state(api.clone(), limit_rate))
        .layer(from_fn(security_headers))
        .layer(from_fn_with_state(api.clone(), frame))
        .with_state(api)
}
