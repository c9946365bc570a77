//! `[limits]`: what the gateway takes, how much of it, and how fast.

use sealpost_proto::sealed::PADDED_LIMIT;
use serde::Deserialize;

use super::ConfigError;

/// `[limits]`. Rates and quotas of 0 are no limit.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Most stored bytes of a transfer. Default 107374182400 (100 GiB).
    pub transfer_bytes: u64,
    /// Most stored bytes of all transfers, announced ones included. Default 0: no limit but the disk.
    pub stored_bytes: u64,
    /// Most stored bytes of one member's transfers. Default 0: no limit.
    pub stored_bytes_per_member: u64,
    /// Percent of the data folder's file system in use from which on no new transfer is taken. Default 85.
    pub disk_refuse_transfers: u8,
    /// Percent in use from which on no part of an announced transfer is taken either. Default 92.
    pub disk_refuse_parts: u8,
    /// Connections at once. Default 256.
    pub connections: usize,
    /// Connections at once from one address (IPv4 /32, IPv6 /64). Default 64.
    pub connections_per_address: usize,
    /// Whether connections and requests from this machine are not counted by address, but for those of newcomers and redemptions,
    /// which always are. Default true.
    pub exempt_loopback: bool,
    /// Live feeds at once; they take no room of `connections`. Default 8192.
    pub feeds: usize,
    /// Live feeds of one person at once. Default 16.
    pub feeds_per_account: usize,
    /// Requests a second from one address, over time. Default 200.
    pub requests_per_second_per_address: u32,
    /// Requests from one address at once, before that rate counts. Default 20000.
    pub request_burst_per_address: u32,
    /// Requests a second of one person, over time; stored bytes that are read or written are not counted. Default 100.
    pub requests_per_second_per_account: u32,
    /// Requests of one person at once, before that rate counts. Default 10000.
    pub request_burst_per_account: u32,
    /// Requests an hour from one address by those whom no statement names: founding, enrolment, looking at links. Default 300.
    pub newcomers_per_hour_per_address: u32,
    /// Attempts an hour from one address to redeem a link. Default 30.
    pub redemptions_per_hour_per_address: u32,
    /// Seconds for a request, but for the upload of a part, which must keep a least rate instead. Default 30.
    pub request_deadline: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            transfer_bytes: 100 << 30,
            stored_bytes: 0,
            stored_bytes_per_member: 0,
            disk_refuse_transfers: 85,
            disk_refuse_parts: 92,
            connections: 256,
            connections_per_address: 64,
            exempt_loopback: true,
            feeds: 8192,
            feeds_per_account: 16,
            requests_per_second_per_address: 200,
            request_burst_per_address: 20_000,
            requests_per_second_per_account: 100,
            request_burst_per_account: 10_000,
            newcomers_per_hour_per_address: 300,
            redemptions_per_hour_per_address: 30,
            request_deadline: 30,
        }
    }
}

impl Limits {
    /// Refuses limits with which nothing could be served.
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let refuse = |key, why| Err(ConfigError::Value { key, why });
        if self.connections == 0 || self.connections_per_address == 0 || self.request_deadline == 0 {
            return refuse("limits", "nothing could be served with a limit of 0");
        }
        let bursts = [
            (self.requests_per_second_per_address, self.request_burst_per_address),
            (self.requests_per_second_per_account, self.request_burst_per_account),
        ];
        if bursts.iter().any(|(rate, burst)| *rate > 0 && *burst == 0) {
            return refuse("limits", "a rate of requests needs a burst of at least 1");
        }
        if self.transfer_bytes > PADDED_LIMIT {
            return refuse("limits.transfer_bytes", "a transfer is at most 1 TiB long");
        }
        let watermarks = 1..=100;
        if !watermarks.contains(&self.disk_refuse_transfers) || !watermarks.contains(&self.disk_refuse_parts) {
            return refuse("limits", "a share of the disk is from 1 to 100 percent");
        }
        if self.disk_refuse_parts < self.disk_refuse_transfers {
            return refuse(
                "limits.disk_refuse_parts",
                "what was announced must find room: it cannot be below disk_refuse_transfers",
            );
        }
        Ok(())
    }
}
