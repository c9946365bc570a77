//! How often one network address may ask, before anything of a request is looked at (security.md 8).
//!
//! Stored bytes that come or go count a tenth: they are bounded by connections and buffers, but whoever has no business there
//! shall not try for ever. Those who are in no directory have a bucket of their own, much smaller, and so has the redeeming of
//! links, where secrets could be guessed; of those two the /64 networks of one IPv6 /48 have a bucket together as well, because
//! one site has 65,536 of them. How often one person may ask is counted where the person is known, in `access`.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::Method;

use super::Api;
use super::middleware::Peer;
use super::problem::ApiError;
use crate::access::AccessError;
use crate::access::rates::{Buckets, Cost, Rate, RetryAfter};
use crate::clock::Clock;

/// What all /64 networks of an IPv6 /48 may do together: so many times what one of them may.
const SITE: u32 = 8;

/// Rates by network address; none for no limit.
#[derive(Debug, Clone, Copy, Default)]
pub struct AddressRates {
    /// All requests.
    pub all: Option<Rate>,
    /// Requests of those whom no statement names.
    pub newcomers: Option<Rate>,
    /// Attempts to redeem a link.
    pub redemptions: Option<Rate>,
    /// Whether this machine itself is not counted, but for newcomers and redemptions: it may be a proxy that says nothing of whom
    /// it speaks for.
    pub exempt_loopback: bool,
}

/// Counts requests by network address.
#[derive(Debug)]
pub struct AddressLimits {
    all: Option<Buckets<IpAddr>>,
    newcomers: Option<Strangers>,
    redemptions: Option<Strangers>,
    exempt_loopback: bool,
    clock: Arc<dyn Clock>,
}

/// Buckets for requests of those whom nobody knows.
#[derive(Debug)]
struct Strangers {
    networks: Buckets<IpAddr>,
    sites: Buckets<Ipv6Addr>,
}

impl Strangers {
    fn new(rate: Rate) -> Self {
        Self {
            networks: Buckets::new(rate),
            sites: Buckets::new(rate.times(SITE)),
        }
    }

    /// A network that is refused takes nothing from its site.
    fn take(&self, network: IpAddr, now: Duration) -> Result<(), RetryAfter> {
        self.networks.take(network, Cost::Whole, now)?;
        match site_of(network) {
            Some(site) => self.sites.take(site, Cost::Whole, now),
            None => Ok(()),
        }
    }
}

/// What a request counts as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    Member,
    Bulk,
    Newcomer,
    Redemption,
}

impl AddressLimits {
    /// Nobody was counted yet.
    #[must_use]
    pub fn new(rates: AddressRates, clock: Arc<dyn Clock>) -> Self {
        Self {
            all: rates.all.map(Buckets::new),
            newcomers: rates.newcomers.map(Strangers::new),
            redemptions: rates.redemptions.map(Strangers::new),
            exempt_loopback: rates.exempt_loopback,
            clock,
        }
    }

    fn take(&self, peer: IpAddr, class: Class) -> Result<(), RetryAfter> {
        let (network, now) = (network_of(peer), Duration::from_millis(self.clock.boot_millis()));
        let strangers = match class {
            Class::Member | Class::Bulk => &None,
            Class::Newcomer => &self.newcomers,
            Class::Redemption => &self.redemptions,
        };
        if let Some(buckets) = strangers {
            buckets.take(network, now)?;
        }
        let is_exempt = self.exempt_loopback && peer.to_canonical().is_loopback();
        let cost = match class {
            Class::Bulk => Cost::Tenth,
            Class::Member | Class::Newcomer | Class::Redemption => Cost::Whole,
        };
        match self.all.as_ref().filter(|_| !is_exempt) {
            Some(all) => all.take(network, cost, now),
            None => Ok(()),
        }
    }
}

/// Refuses a request of an address that asks too often.
pub(super) async fn limit_rate(State(api): State<Api>, request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>();
    let class = class_of(request.method(), route.map_or("", MatchedPath::as_str));
    let peer = request.extensions().get::<Peer>();
    match peer.map_or(Ok(()), |peer| api.limits.addresses.take(peer.0, class)) {
        Ok(()) => next.run(request).await,
        Err(wait) => ApiError::from(AccessError::TooManyRequests { wait }).into_response(),
    }
}

fn class_of(method: &Method, route: &str) -> Class {
    match (method, route) {
        (&Method::PUT, "/v1/transfers/{id}/parts/{number}") => Class::Bulk,
        (&Method::GET, "/v1/transfers/{id}/payload" | "/v1/transfers/{id}/leaves" | "/v1/transfers/{id}/manifest") => {
            Class::Bulk
        }
        (_, "/v1/links/redeem") => Class::Redemption,
        (_, "/v1/org" | "/v1/enrol/redeem" | "/v1/links/lookup") => Class::Newcomer,
        _ => Class::Member,
    }
}

/// What one subscriber has: an IPv4 address, or the /64 of an IPv6 address.
pub(super) fn network_of(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        address @ IpAddr::V4(_) => address,
    }
}

/// The /48 of an IPv6 address: what one site has.
fn site_of(network: IpAddr) -> Option<Ipv6Addr> {
    match network {
        IpAddr::V6(address) => {
            let [a, b, c, ..] = address.segments();
            Some(Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0))
        }
        IpAddr::V4(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::fixture::TestClock;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn limits(exempt_loopback: bool) -> AddressLimits {
        let rates = AddressRates {
            all: Rate::per_second(1, 20),
            newcomers: Rate::per_hour(5),
            redemptions: Rate::per_hour(3),
            exempt_loopback,
        };
        AddressLimits::new(rates, Arc::new(TestClock::new(1_000_000)))
    }

    fn passed(limits: &AddressLimits, peer: &str, class: Class) -> usize {
        (0..1_000).filter(|_| limits.take(ip(peer), class).is_ok()).count()
    }

    #[test]
    fn an_address_has_a_bucket_for_each_class() {
        let limits = limits(true);
        assert_eq!(passed(&limits, "192.0.2.1", Class::Redemption), 3);
        assert_eq!(passed(&limits, "192.0.2.1", Class::Newcomer), 5);
        assert_eq!(
            passed(&limits, "192.0.2.1", Class::Member),
            12,
            "all count against the whole"
        );
        assert_eq!(
            passed(&limits, "192.0.2.2", Class::Bulk),
            200,
            "a neighbour, and bulk counts a tenth"
        );
        assert_eq!(passed(&limits, "2001:db8::1", Class::Member), 20);
        assert_eq!(passed(&limits, "2001:db8::ffff:2", Class::Member), 0, "the same /64");
    }

    /// Behind a proxy on the same machine that does not say for whom it speaks, everybody comes from there.
    #[test]
    fn loopback_is_exempt_but_for_newcomers_and_redemptions() {
        for text in ["127.0.0.1", "::1"] {
            for (is_exempt, members) in [(true, 1_000), (false, 12)] {
                let limits = limits(is_exempt);
                assert_eq!(passed(&limits, text, Class::Redemption), 3, "{text}");
                assert_eq!(passed(&limits, text, Class::Newcomer), 5, "{text}");
                assert_eq!(passed(&limits, text, Class::Member), members, "{text}");
            }
        }
    }

    #[test]
    fn the_networks_of_a_site_have_a_bucket_together() {
        let limits = limits(true);
        let tried = (0..1_000_u16).map(|n| format!("2001:db8:0:{n:x}::1"));
        let count = |class| {
            tried
                .clone()
                .filter(|peer| limits.take(ip(peer), class).is_ok())
                .count()
        };
        assert_eq!(count(Class::Redemption), 3 * 8);
        assert_eq!(count(Class::Newcomer), 5 * 8);
        assert_eq!(passed(&limits, "2001:db8:1::1", Class::Redemption), 3, "another site");
        assert_eq!(passed(&limits, "192.0.2.1", Class::Redemption), 3);
    }

    #[test]
    fn no_rate_is_no_limit() {
        let limits = AddressLimits::new(AddressRates::default(), Arc::new(TestClock::new(1_000_000)));
        assert_eq!(passed(&limits, "192.0.2.1", Class::Redemption), 1_000);
    }

    #[test]
    fn routes_have_their_class() {
        for (method, route, class) in [
            (Method::PUT, "/v1/transfers/{id}/parts/{number}", Class::Bulk),
            (Method::GET, "/v1/transfers/{id}/payload", Class::Bulk),
            (Method::POST, "/v1/transfers/{id}/open", Class::Member),
            (Method::POST, "/v1/enrol/redeem", Class::Newcomer),
            (Method::POST, "/v1/links/lookup", Class::Newcomer),
            (Method::POST, "/v1/links/redeem", Class::Redemption),
            (Method::GET, "", Class::Member),
        ] {
            assert_eq!(class_of(&method, route), class, "{method} {route}");
        }
    }
}
