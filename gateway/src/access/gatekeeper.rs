//! From a signed request to a grant: form, freshness, signature, device, limits, rate, nonce, what the caller has seen, policy, body.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sealpost_proto::crypto::sha256;
use sealpost_proto::http_signature::{MAX_SKEW, Params, Seen, content_digest_matches};
use sealpost_proto::id::{GatewayId, Hash, Label, PublicKey, TransferId};
use sealpost_proto::key::TrustedDevice;
use sealpost_proto::log::{Actor, ActorKind};
use sealpost_proto::problem::ProblemKind;
use sealpost_proto::tree::tree_head;

use super::grant::Keyed;
use super::in_flight::InFlight;
use super::nonces::Nonces;
use super::policy::permits;
use super::rates::{Buckets, Cost, Rate};
use super::standing::{Standing, check_limits};
use super::{AccessError, Action, Grant, Head, Peer, Role, head};
use crate::clock::Clock;
use crate::domain::{Change, Effects, Key, KeyedRequest, Opener, Organisation, Requester, Stamp, object};
use crate::store::ledger::{Ledger, transact};
use crate::store::views::Views;

/// What a gatekeeper knows of its gateway.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Host and port under which clients reach the gateway, as in `public_url`.
    pub authority: String,
    /// The gateway's id.
    pub gateway: GatewayId,
    /// When the process started, unix seconds: what was signed until then may have been used before.
    pub started_at: u64,
    /// Devices whose clock was ahead before that, and until when they may have signed, unix seconds.
    pub ahead: BTreeMap<PublicKey, u64>,
    /// How often one person may ask; none for no limit.
    pub account_rate: Option<Rate>,
}

/// How far ahead a note about a device whose clock is ahead reaches, in seconds: for so long it needs no other, and for so
/// long, at most, that device is refused after a restart. Shorter than clients try again.
const AHEAD: u64 = 5;

/// Leaves an hour, and at once, about what one device is refused from one network.
pub(super) const REFUSALS_PER_HOUR: u32 = 60;

/// Recognises callers.
#[expect(missing_debug_implementations, reason = "the ports it holds have none")]
pub struct Gatekeeper {
    settings: Settings,
    views: Arc<dyn Views>,
    ledger: Arc<dyn Ledger>,
    clock: Arc<dyn Clock>,
    nonces: Mutex<Nonces>,
    accounts: Option<Buckets<Label>>,
    refusals: Option<Buckets<(PublicKey, Option<IpAddr>)>>,
    in_flight: Arc<InFlight>,
}

/// A request whose signature, caller and policy were checked, and whose body was not read yet.
#[derive(Debug)]
#[must_use = "the body has to be checked before there is a grant"]
pub struct Admitted {
    grant: Grant,
    content_length: Option<u64>,
    content_digest: Option<String>,
}

impl Admitted {
    /// Stated length of the body.
    #[must_use]
    pub fn content_length(&self) -> Option<u64> {
        self.content_length
    }

    /// The grant, if `body` is the one that was signed.
    ///
    /// # Errors
    /// `digest_mismatch`.
    pub fn with_body(self, body: &[u8]) -> Result<Grant, AccessError> {
        let is_length = self.content_length == Some(body.len() as u64);
        let is_digest = self
            .content_digest
            .is_some_and(|digest| content_digest_matches(&digest, body));
        if is_length && is_digest {
            Ok(self.grant)
        } else {
            Err(ProblemKind::DigestMismatch.into())
        }
    }

    /// The grant of a request whose signature covers no digest: one without a body, or a part, whose root is covered instead.
    ///
    /// # Errors
    /// `digest_mismatch` if there is a body to be checked.
    pub fn without_digest(self) -> Result<Grant, AccessError> {
        match self.content_digest {
            None => Ok(self.grant),
            Some(_) => Err(ProblemKind::DigestMismatch.into()),
        }
    }
}

/// A signature that was verified.
struct Verified {
    params: Params,
    base: String,
    seen: Seen,
}

/// Where a request came from, as leaves say it.
#[derive(Clone, Copy)]
struct Caller<'a> {
    peer: Option<Peer>,
    req_id: &'a str,
}

impl Gatekeeper {
    /// A gatekeeper that has seen no nonce yet.
    #[must_use]
    pub fn new(settings: Settings, views: Arc<dyn Views>, ledger: Arc<dyn Ledger>, clock: Arc<dyn Clock>) -> Self {
        Self {
            accounts: settings.account_rate.map(Buckets::new),
            refusals: Rate::per_hour(REFUSALS_PER_HOUR).map(Buckets::new),
            settings,
            views,
            ledger,
            clock,
            nonces: Mutex::new(Nonces::default()),
            in_flight: Arc::default(),
        }
    }

    /// Admits a device of the directory to an action.
    ///
    /// # Errors
    /// [`AccessError`], by the first check that fails. What the policy refuses is written down as a leaf.
    pub async fn admit(
        &self,
        head: &Head<'_>,
        action: Action,
        peer: Option<Peer>,
        req_id: &str,
    ) -> Result<Admitted, AccessError> {
        let now = self.now();
        let verified = self.verify(head, now)?;
        let organisation = self.views.organisation().await.map_err(AccessError::Store)?;
        let device = recognise(&organisation, &verified.params.key, now)?;
        let from = Caller { peer, req_id };
        let grant = self
            .member(head, verified, (&organisation, device), action, from)
            .await?;
        self.admitted(grant, head)
    }

    /// Admits to what an opening of `transfer` gives: a device of the directory, or the key that a visitor drew and that made an
    /// opening of just this transfer by a link. Whether the opening is still good, the rules decide.
    ///
    /// # Errors
    /// [`AccessError`], by the first check that fails.
    pub async fn admit_opener(
        &self,
        head: &Head<'_>,
        transfer: &TransferId,
        peer: Option<Peer>,
        req_id: &str,
    ) -> Result<Admitted, AccessError> {
        let now = self.now();
        let verified = self.verify(head, now)?;
        let organisation = self.views.organisation().await.map_err(AccessError::Store)?;
        let from = Caller { peer, req_id };
        let grant = match recognise(&organisation, &verified.params.key, now) {
            Ok(device) => {
                self.member(head, verified, (&organisation, device), Action::Open, from)
                    .await?
            }
            Err(ProblemKind::Unauthenticated) => self.guest(verified, transfer, from).await?,
            Err(refused) => return Err(refused.into()),
        };
        self.admitted(grant, head)
    }

    /// Whether a grant that was given to a device of the directory would be given again now, for an answer that goes on for long:
    /// whoever was revoked or narrowed meanwhile hears no more.
    ///
    /// # Errors
    /// As [`Gatekeeper::admit`], by what the directory and the policy say now.
    pub async fn renew(&self, grant: &Grant) -> Result<(), AccessError> {
        let now = self.now();
        let organisation = self.views.organisation().await.map_err(AccessError::Store)?;
        let device = recognise(&organisation, &grant.device, now)?;
        check_limits(&organisation, &device.label, grant.peer, now)?;
        let is_same = grant.member.is_some_and(|member| member.label == device.label);
        let standing = Standing::of(&organisation, &device.label, now);
        if is_same && standing.may(grant.action) {
            Ok(())
        } else {
            Err(ProblemKind::Forbidden.into())
        }
    }

    async fn member(
        &self,
        head: &Head<'_>,
        verified: Verified,
        (organisation, device): (&Organisation, TrustedDevice),
        action: Action,
        from: Caller<'_>,
    ) -> Result<Grant, AccessError> {
        let now = self.now();
        let (params, seen) = (verified.params, verified.seen.clone());
        let actor = (ActorKind::Member, device.label.to_string());
        let grant = Grant {
            member: Some(device),
            standing: Standing::of(organisation, &device.label, now),
            ..Self::stranger(verified, action, actor, from)
        };
        // First: a key that was carried elsewhere must not use up what its account may ask.
        if let Err(reason) = check_limits(organisation, &device.label, from.peer, now) {
            return Err(self.refused(&grant, &device, reason).await);
        }
        // Before anything is written for the caller, refusals included.
        self.check_rate(head, action, device.label)?;
        self.take_nonce(&params, now)?;
        self.check_seen(organisation, &seen)?;
        self.note_ahead(organisation, &params, now).await?;
        if grant.standing.may(action) {
            return Ok(grant);
        }
        Err(self.refused(&grant, &device, ProblemKind::Forbidden).await)
    }

    /// A visitor whose key has an opening of this transfer.
    async fn guest(&self, verified: Verified, transfer: &TransferId, from: Caller<'_>) -> Result<Grant, AccessError> {
        let known = self.views.transfer(transfer).await.map_err(AccessError::Store)?;
        let opener = known.and_then(|t| t.opener_of(&verified.params.key));
        let Some(Opener::Link(link)) = opener.filter(|_| permits(Role::Guest, Action::Open)) else {
            return Err(ProblemKind::Unauthenticated.into());
        };
        self.take_nonce(&verified.params, self.now())?;
        self.check_unseen(&verified.seen)?;
        let actor = (ActorKind::Visitor, link.to_string());
        Ok(Grant {
            link: Some(link),
            ..Self::stranger(verified, Action::Open, actor, from)
        })
    }

    /// Admits somebody whom nobody knows: a device that announces itself, to the founding of the organisation or to an invitation,
    /// or a visitor with a link. What they know, the rules check, and what they may be called in leaves as well. Their nonces are not
    /// kept: the same request again has the same answer.
    ///
    /// # Errors
    /// [`AccessError`], by the first check that fails.
    pub fn welcome(
        &self,
        head: &Head<'_>,
        action: Action,
        peer: Option<Peer>,
        req_id: &str,
    ) -> Result<Admitted, AccessError> {
        let kind = match action {
            _ if permits(Role::Newcomer, action) => ActorKind::Invitee,
            _ if permits(Role::Visitor, action) => ActorKind::Visitor,
            _ => return Err(ProblemKind::Forbidden.into()),
        };
        let verified = self.verify(head, self.now())?;
        if kind == ActorKind::Visitor {
            self.check_unseen(&verified.seen)?;
        }
        let actor = (kind, verified.params.key.to_string());
        let grant = Self::stranger(verified, action, actor, Caller { peer, req_id });
        self.admitted(grant, head)
    }

    /// The grant of a caller of whom nothing is known but the key.
    fn stranger(verified: Verified, action: Action, actor: (ActorKind, String), from: Caller<'_>) -> Grant {
        let device = verified.params.key;
        let (kind, id) = actor;
        Grant {
            action,
            device,
            member: None,
            link: None,
            standing: Standing::default(),
            peer: from.peer,
            requester: Requester {
                actor: Actor {
                    kind,
                    id,
                    dk: Some(device),
                },
                peer: from.peer.map(|peer| peer.truncated()),
                req_id: Some(from.req_id.to_owned()),
            },
            signature_base: verified.base,
            keyed: None,
        }
    }

    fn take_nonce(&self, params: &Params, now: u64) -> Result<(), ProblemKind> {
        let mut nonces = self.nonces.lock().unwrap_or_else(PoisonError::into_inner);
        nonces.take(&params.key, params.nonce, now)
    }

    /// Counts a request of a person; stored bytes that come or go are bulk, which connections and buffers bound.
    fn check_rate(&self, head: &Head<'_>, action: Action, label: Label) -> Result<(), AccessError> {
        let is_bulk = head.method == "PUT" || (head.method == "GET" && action == Action::Open);
        let Some(accounts) = self.accounts.as_ref().filter(|_| !is_bulk) else {
            return Ok(());
        };
        let now = Duration::from_millis(self.clock.boot_millis());
        accounts
            .take(label, Cost::Whole, now)
            .map_err(|wait| AccessError::TooManyRequests { wait })
    }

    /// What is left to be checked with the body. A request under an idempotency key takes its place here.
    fn admitted(&self, mut grant: Grant, head: &Head<'_>) -> Result<Admitted, AccessError> {
        let text = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok());
        let content_length = text("content-length").map(str::parse).transpose();
        let covers_digest = matches!(head.method, "POST" | "PATCH");
        let content_digest = covers_digest.then(|| text("content-digest").unwrap_or_default().to_owned());
        // Whoever has a digest has a key as well: the signature covers both or it is refused.
        let key = text("idempotency-key").and_then(|key| uuid::Uuid::try_parse(key).ok());
        if let (Some(key), Some(digest)) = (key, &content_digest) {
            let of_request = sha256(&[
                head.method.as_bytes(),
                b"\n",
                head.path.as_bytes(),
                b"\n",
                digest.as_bytes(),
            ]);
            let request = KeyedRequest::new(&grant.device, key.as_bytes(), Hash::from_bytes(of_request));
            let place = self.in_flight.enter(&request)?;
            grant.keyed = Some(Keyed { request, _place: place });
        }
        Ok(Admitted {
            grant,
            content_length: content_length.map_err(|_| ProblemKind::BadRequest)?,
            content_digest,
        })
    }

    fn now(&self) -> u64 {
        self.clock.now_millis() / 1000
    }

    /// Form, freshness and signature: everything that needs no state.
    fn verify(&self, head: &Head<'_>, now: u64) -> Result<Verified, AccessError> {
        let signature = head.signature()?;
        let covered = head.covered(&self.settings.authority)?;
        let params = *signature.params();
        if params.created.abs_diff(now) > MAX_SKEW || now > params.expires.saturating_add(MAX_SKEW) {
            return Err(AccessError::ClockSkew { now });
        }
        let before = self.settings.ahead.get(&params.key).copied().unwrap_or_default();
        if params.created <= self.settings.started_at.max(before) {
            return Err(ProblemKind::Replayed.into());
        }
        let base = signature.verify(&covered).map_err(head::refused)?;
        let seen = covered.seen.and_then(|text| text.parse::<Seen>().ok());
        Ok(Verified {
            params,
            base,
            seen: seen.ok_or(ProblemKind::BadRequest)?,
        })
    }

    /// Writes down that a device signs with a time that is still to come, before it is answered: nonces are forgotten at the end
    /// of the process, and this signature would be fresh again after the next start.
    async fn note_ahead(&self, organisation: &Organisation, params: &Params, now: u64) -> Result<(), AccessError> {
        let noted = organisation.ahead.get(&params.key).copied().unwrap_or_default();
        if params.created <= now.max(noted) {
            return Ok(());
        }
        let (device, until) = (params.key, params.created + AHEAD);
        let decide = move |_: &_, at: Stamp| {
            let at = at.seconds();
            (
                (),
                Effects {
                    changes: vec![Change::DeviceAhead { device, until, at }],
                    leaves: Vec::new(),
                },
            )
        };
        let written = transact(self.ledger.as_ref(), vec![Key::Organisation], decide).await;
        written.map(|_| ()).map_err(AccessError::Audit)
    }

    /// Refuses to answer a caller who has seen more of the directory than there is, or something else: this gateway was
    /// restored from an old copy, or somebody showed the caller another directory.
    fn check_seen(&self, organisation: &Organisation, seen: &Seen) -> Result<(), AccessError> {
        if seen.origin != self.settings.gateway.directory_origin() {
            return Err(ProblemKind::BadRequest.into());
        }
        if organisation.head_at(seen.size) == Some(seen.root) {
            return Ok(());
        }
        tracing::error!(
            seen = seen.size,
            own = organisation.size(),
            "a caller has seen a directory that is not a beginning of this one: was the gateway restored from an old copy?"
        );
        Err(ProblemKind::DirectoryBehind.into())
    }

    /// Visitors are shown no directory, so they have seen none.
    fn check_unseen(&self, seen: &Seen) -> Result<(), ProblemKind> {
        let is_here = seen.origin == self.settings.gateway.directory_origin();
        if is_here && seen.size == 0 && *seen.root.as_bytes() == tree_head(&[]) {
            Ok(())
        } else {
            Err(ProblemKind::BadRequest)
        }
    }

    /// The refusal of a caller who was recognised, written down if it has an event. Of very many of one device from one network not
    /// all are written, or whoever is refused could fill the log: each is refused all the same.
    async fn refused(&self, grant: &Grant, device: &TrustedDevice, reason: ProblemKind) -> AccessError {
        let Some(event) = grant.action.event().filter(|_| self.is_room_for_leaf(grant)) else {
            return reason.into();
        };
        let object = object::person(&device.label);
        let leaf = grant.requester.was_refused(event, object, reason.into());
        let decide = move |_: &_, _| {
            let leaves = vec![leaf.clone()];
            (
                (),
                Effects {
                    changes: Vec::new(),
                    leaves,
                },
            )
        };
        let written = transact(self.ledger.as_ref(), Vec::new(), decide).await;
        written.map_or_else(AccessError::Audit, |_| reason.into())
    }

    fn is_room_for_leaf(&self, grant: &Grant) -> bool {
        let key = (grant.device, grant.peer.as_ref().map(Peer::network));
        let now = Duration::from_millis(self.clock.boot_millis());
        let rate = self.refusals.as_ref();
        rate.is_none_or(|refusals| refusals.take(key, Cost::Whole, now).is_ok())
    }
}

/// Whose device this is, or why it is nobody's.
pub(super) fn recognise(organisation: &Organisation, key: &PublicKey, now: u64) -> Result<TrustedDevice, ProblemKind> {
    if organisation.waiting.contains_key(key) {
        return Err(ProblemKind::Unconfirmed);
    }
    let directory = organisation.directory.as_ref().ok_or(ProblemKind::Unauthenticated)?;
    directory.device(key, now).ok_or_else(|| {
        // Below size 0 no revocation counts, so what is found there was revoked since.
        let was_known = directory.device_below(key, now, 0).is_some();
        if was_known {
            ProblemKind::Disabled
        } else {
            ProblemKind::Unauthenticated
        }
    })
}
