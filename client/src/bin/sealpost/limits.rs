//! The limits of a service account, for people and as JSON.

use sealpost_client::time;
use sealpost_proto::key::ServiceLimits;
use sealpost_proto::key::service::{Networks, Scope};
use serde_json::{Value, json};

/// In a few words; whether its time is over or to come is told at `now` (unix seconds).
pub(crate) fn text(limits: &ServiceLimits, now: u64) -> String {
    let scopes: Vec<&str> = limits.scopes.iter().map(Scope::name).collect();
    let networks = match &limits.networks {
        Networks::Any => "from anywhere".to_owned(),
        networks @ Networks::Only(_) => format!("from {}", networks.names().join(", ")),
    };
    let (from, to) = (limits.valid.not_before, limits.valid.not_after);
    let when = match () {
        () if now > to => format!("over since {}", time::local(to)),
        () if now < from => format!("from {} until {}", time::local(from), time::local(to)),
        () => format!("until {}", time::local(to)),
    };
    format!("{}; {networks}; {when}", scopes.join(", "))
}

/// As a member of documents; null for a person.
pub(crate) fn json(limits: Option<&ServiceLimits>) -> Value {
    limits.map_or(Value::Null, |limits| {
        json!({
            "scopes": limits.scopes.iter().map(Scope::name).collect::<Vec<_>>(),
            "networks": limits.networks.names(),
            "not_before": limits.valid.not_before,
            "not_after": limits.valid.not_after,
        })
    })
}

#[cfg(test)]
mod tests {
    use sealpost_proto::key::Validity;

    use super::*;

    #[test]
    fn limits_are_told_with_where_they_stand_in_time() {
        let limits = ServiceLimits {
            scopes: "receive send".parse().unwrap(),
            networks: "10.0.0.0/8 192.0.2.7/32".parse().unwrap(),
            valid: Validity {
                not_before: 1_767_225_600,
                not_after: 1_767_312_000,
            },
        };
        let told = |now| text(&limits, now);
        assert!(told(1_767_225_600).starts_with("receive, send; from 10.0.0.0/8, 192.0.2.7/32; until "));
        assert!(told(1_767_312_001).contains("; over since "));
        assert!(told(0).contains("/32; from ") && told(0).contains(" until "));
        assert_eq!(json(Some(&limits))["networks"], json!(["10.0.0.0/8", "192.0.2.7/32"]));
        assert_eq!(json(None), Value::Null);
    }
}
