//! What the configuration's limits mean to each room.

use std::time::Duration;

use crate::access::rates::Rate;
use crate::config::{self, Config};
use crate::http::{AddressRates, ServerLimits, TrustedProxies};
use crate::service::{self, Watermarks};
use crate::store::views::MostWatches;

/// Time after which a connection without a request in flight is closed (security.md 8).
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);

pub(super) fn server_limits(config: &Config) -> ServerLimits {
    ServerLimits {
        connections: config.limits.connections,
        connections_per_address: config.limits.connections_per_address,
        exempt_loopback: config.limits.exempt_loopback,
        idle_timeout: IDLE_TIMEOUT,
        shutdown_deadline: Duration::from_secs(config.shutdown_deadline),
    }
}

pub(super) fn service_limits(limits: &config::Limits) -> service::Limits {
    service::Limits {
        transfer_bytes: limits.transfer_bytes,
        stored_bytes: limits.stored_bytes,
        stored_bytes_per_member: limits.stored_bytes_per_member,
        feeds: MostWatches {
            of_one: limits.feeds_per_account,
            of_all: limits.feeds,
        },
        watermarks: watermarks(limits),
    }
}

pub(super) fn watermarks(limits: &config::Limits) -> Watermarks {
    Watermarks {
        transfers: limits.disk_refuse_transfers,
        parts: limits.disk_refuse_parts,
    }
}

pub(super) fn account_rate(limits: &config::Limits) -> Option<Rate> {
    Rate::per_second(limits.requests_per_second_per_account, limits.request_burst_per_account)
}

pub(super) fn address_rates(limits: &config::Limits) -> AddressRates {
    AddressRates {
        all: Rate::per_second(limits.requests_per_second_per_address, limits.request_burst_per_address),
        newcomers: Rate::per_hour(limits.newcomers_per_hour_per_address),
        redemptions: Rate::per_hour(limits.redemptions_per_hour_per_address),
        exempt_loopback: limits.exempt_loopback,
    }
}

pub(super) fn trusted_proxies(config: &Config) -> TrustedProxies {
    let networks = config.trusted_proxies.clone();
    TrustedProxies::new(move |address| networks.contain(address))
}
