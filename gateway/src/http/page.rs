//! `GET /l`, `/l/{id}` and `/l%23{id}`: what somebody sees who opens a link in a browser.
//!
//! One page for all links, real or not, written when the program was built: it looks nothing up and runs no script, so whoever
//! fetches it, a person or a mail gateway's scanner, changes nothing and learns nothing. It asks for no words: a page that does can
//! be made to keep them.

use std::sync::LazyLock;

use axum::response::{Html, IntoResponse, Response};
use http::{HeaderValue, header};
use sealpost_proto::crypto::sha256;
use sealpost_proto::encoding::base64;

const STYLE: &str = include_str!("page.css");
const BODY: &str = include_str!("page.html");

/// Nothing but the page's own style, recognised by its hash.
static POLICY: LazyLock<Option<HeaderValue>> = LazyLock::new(|| {
    let style = base64(&sha256(&[STYLE.as_bytes()]));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{style}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    HeaderValue::try_from(policy).ok()
});

static PAGE: LazyLock<String> = LazyLock::new(|| BODY.replace("{style}", STYLE));

pub(super) async fn link() -> Response {
    let mut page = Html(PAGE.as_str()).into_response();
    let policy = POLICY.clone().map(|policy| (header::CONTENT_SECURITY_POLICY, policy));
    page.headers_mut().extend(policy);
    page
}
