//! Links for people without an account: looking one up, redeeming it, and what its sender may change.
//!
//! Whoever does not prove to know a link's words learns nothing. Every answer to a lookup, and every refusal to redeem, leaves at
//! the same time after the request came, whether or not there is such a link and something was written down.

use std::sync::Arc;
use std::time::Duration;

use sealpost_proto::api::{
    LinkLookupRequest, LinkLookupResponse, LinkPatch, LinkRedeemRequest, LinkRedeemResponse, OpenResponse,
    StateResponse, TransferSummary,
};
use sealpost_proto::crypto::kdf;
use sealpost_proto::encoding::Base64;
use sealpost_proto::id::{Hash, LinkId, OpeningId, TransferId};
use sealpost_proto::link::link_hash;
use sealpost_proto::log::{Actor, ActorKind, EventType};
use sealpost_proto::problem::ProblemKind;
use sealpost_proto::sealed::{Argon2Params, Stanza};
use tokio::time::{Instant, sleep_until};
use zeroize::Zeroizing;

use super::guesses::Guesses;
use super::record::Refused;
use super::{Error, Service};
use crate::access::{Action, Grant};
use crate::domain::redeeming::{self, Denied, LinkRelease, RedeemCommand};
use crate::domain::{Decision, Effects, Key, Loaded, Requester, Stamp, object};
use crate::failpoint;
use crate::store::ledger::Committed;

/// Time after a request at which an answer leaves that must not tell what the gateway had to do for it. A record is durable long
/// before.
const FLOOR: Duration = Duration::from_millis(300);

impl Service {
    /// What is needed to prove that one knows a link's words. For a link that does not exist it looks as good, and is the same
    /// each time.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn look_up_link(&self, grant: &Grant, request: LinkLookupRequest) -> Result<LinkLookupResponse, Error> {
        grant.for_action(Action::LookUpLink)?;
        let floor = Instant::now() + FLOOR;
        let made_up = self.made_up(&request.link);
        let known = self.known_parameters(&link_hash(&request.link)).await;
        sleep_until(floor).await;
        Ok(known?.unwrap_or(made_up))
    }

    async fn known_parameters(&self, hash: &Hash) -> Result<Option<LinkLookupResponse>, Error> {
        let Some(id) = self.ports.views.link(hash).await? else {
            return Ok(None);
        };
        let transfer = self.ports.views.transfer(&id).await?;
        let link = transfer.as_ref().and_then(|t| t.links.get(hash));
        Ok(link.map(|link| LinkLookupResponse {
            m_kib: link.terms.m_kib,
            t: link.terms.t,
            salt: Base64(link.terms.salt.to_vec()),
        }))
    }

    /// Parameters of a link that does not exist: those of most links, and a salt that follows from the id and a secret.
    fn made_up(&self, link: &LinkId) -> LinkLookupResponse {
        let secret = self.ports.identity.log_key.seed();
        let salt = kdf::<16>(&*secret, link.as_bytes(), &[b"sealpost/v1/made-up-salt\0"]);
        LinkLookupResponse {
            m_kib: Argon2Params::DEFAULT.m_kib(),
            t: Argon2Params::DEFAULT.t(),
            salt: Base64(salt.to_vec()),
        }
    }

    /// Makes or repeats an opening by a link and releases stanza and share.
    ///
    /// # Errors
    /// `link_refused` for wrong words and links that do not exist, then `link_delayed` and `link_locked`; with the right words
    /// `expired`, `revoked`, `held`, `limit_reached`, `conflict`.
    pub async fn redeem_link(&self, grant: &Grant, request: LinkRedeemRequest) -> Result<LinkRedeemResponse, Error> {
        grant.for_action(Action::RedeemLink)?;
        let floor = Instant::now() + FLOOR;
        // A try goes on when its visitor has gone: one that was written down is also counted.
        let (service, grant) = (self.clone(), grant.clone());
        let tried = tokio::spawn(async move { service.try_redeem(&grant, request).await });
        let redeemed = tried.await.unwrap_or_else(|_| Err(ProblemKind::Internal.into()));
        if redeemed.is_err() {
            sleep_until(floor).await;
        }
        redeemed
    }

    async fn try_redeem(&self, grant: &Grant, request: LinkRedeemRequest) -> Result<LinkRedeemResponse, Error> {
        let link = link_hash(&request.link);
        let by = Requester {
            actor: Actor {
                kind: ActorKind::Visitor,
                id: link.to_string(),
                dk: Some(grant.device()),
            },
            ..grant.requester().clone()
        };
        let turn = self.guesses.turn(&link).await;
        let Some(transfer) = self.ports.views.link(&link).await? else {
            return Err(self.try_unknown(link, by).await);
        };
        let command = RedeemCommand {
            transfer,
            link,
            auth: Zeroizing::new(request.auth.0),
            opening: request.opening,
            device: grant.device(),
            kept: format!("{}\n{}", grant.signature_base(), request.opening),
        };
        let guesses = Arc::clone(&self.guesses);
        let decide = move |loaded: &Loaded, at: Stamp| {
            let (outcome, effects) = redeeming::redeem(loaded, at, &command, &by)?;
            let effects = match &outcome {
                Err(denied) => once_an_hour(&guesses, (&link, at), denied, effects),
                Ok(_) => effects,
            };
            Ok((outcome, effects))
        };
        // No note of the idempotency key: it would tell a link that exists from one that does not, and the opening's id does the
        // same.
        let (outcome, witness) = self.record(None, vec![Key::Transfer(transfer)], None, decide).await?;
        failpoint::reach("redeem-recorded");
        if let Err(denied) = &outcome {
            self.noted(&link, denied, &witness);
        }
        drop(turn);
        let release = outcome.map_err(|denied| self.denied(denied))?;
        let opening = self
            .release(&transfer, (&request.link, request.opening), &release, &witness)
            .await?;
        self.with_chain(&transfer, &release, opening).await
    }

    /// A try on a link that does not exist. It is written down as one on a real link is, and fails when that would.
    async fn try_unknown(&self, link: Hash, by: Requester) -> Error {
        let guesses = Arc::clone(&self.guesses);
        let decide = move |_: &Loaded, at: Stamp| {
            let mut tries = guesses.tries(&link);
            let denied = redeeming::deny_unknown(&mut tries, at.seconds());
            let effects = redeeming::refused(&link, &by, denied.refusal);
            Ok(((denied, tries), once_an_hour(&guesses, (&link, at), &denied, effects)))
        };
        match self.record(None, Vec::new(), None, decide).await {
            Ok(((denied, tries), witness)) => {
                self.guesses.keep(&link, tries);
                self.noted(&link, &denied, &witness);
                self.denied(denied)
            }
            Err(error) => error,
        }
    }

    /// Remembers that a refusal was written down that counts for nothing.
    fn noted(&self, link: &Hash, denied: &Denied, witness: &Committed) {
        if denied.is_idle() && !witness.leaves().is_empty() {
            self.guesses.note(link, witness.at().seconds());
        }
    }

    /// Counts a try without proof. For the person it is what the rules say.
    fn denied(&self, denied: Denied) -> Error {
        if denied.is_unproven() {
            self.guesses.count(self.now());
        }
        match denied.refusal.kind {
            ProblemKind::LinkDelayed => Error::Delayed { wait: denied.wait },
            _ => denied.refusal.into(),
        }
    }

    async fn release(
        &self,
        id: &TransferId,
        (link, opening): (&LinkId, OpeningId),
        release: &LinkRelease,
        witness: &Committed,
    ) -> Result<OpenResponse, Error> {
        let is_links = |stanza: &Stanza| stanza.link_id() == Some(link);
        Ok(OpenResponse {
            opening,
            expires_at: release.expires_at,
            block: self.block_of(id, &release.sealed, is_links).await?,
            share: self.released_share(id, &release.sealed, witness).await?,
        })
    }

    /// The answer: what was opened, without whom else it is for, and by whose keys it was sealed.
    async fn with_chain(
        &self,
        id: &TransferId,
        release: &LinkRelease,
        opened: OpenResponse,
    ) -> Result<LinkRedeemResponse, Error> {
        let organisation = self.ports.views.organisation().await?;
        let transfer = self.ports.views.transfer(id).await?;
        let summary = transfer.and_then(|t| self.summary(&t, None));
        let transfer: TransferSummary = summary.ok_or(ProblemKind::NotFound)?;
        let size = release.sealed.directory_size().ok_or(ProblemKind::Internal)?;
        let sender = organisation.addresses.get(&release.sender).cloned();
        Ok(LinkRedeemResponse {
            transfer,
            opened,
            sender: sender.ok_or(ProblemKind::Internal)?,
            statements: redeeming::chain_of(&organisation, &release.sender, size),
        })
    }

    /// Unlocks a link of the caller's after wrong tries.
    ///
    /// # Errors
    /// `not_found` for links that are not the caller's; `revoked`, `expired`, `limit_reached`, `held`; `bad_request` for a patch
    /// that would lock it.
    pub async fn patch_link(&self, grant: &Grant, hash: Hash, patch: LinkPatch) -> Result<StateResponse, Error> {
        grant.for_action(Action::ChangeLink)?;
        if patch.locked {
            return Err(ProblemKind::BadRequest.into());
        }
        let (sender, by) = (grant.member()?.label, grant.requester().clone());
        self.change_link(grant, hash, EventType::LinkRearmed, move |loaded, at, id| {
            redeeming::rearm(loaded, at, id, &hash, &sender, &by)
        })
        .await
    }

    /// Ends a link of the caller's, and with it the transfer if nobody else can open it, whose share is then destroyed.
    ///
    /// # Errors
    /// `not_found` for links that are not the caller's.
    pub async fn burn_link(&self, grant: &Grant, hash: Hash) -> Result<StateResponse, Error> {
        grant.for_action(Action::ChangeLink)?;
        let (sender, by) = (grant.member()?.label, grant.requester().clone());
        self.change_link(grant, hash, EventType::LinkBurned, move |loaded, at, id| {
            redeeming::burn(loaded, at, id, &hash, &sender, &by)
        })
        .await
    }

    async fn change_link<F>(
        &self,
        grant: &Grant,
        hash: Hash,
        event: EventType,
        decide: F,
    ) -> Result<StateResponse, Error>
    where
        F: Fn(&Loaded, Stamp, &TransferId) -> Decision<()> + Send + 'static,
    {
        let refused = Refused {
            event,
            object: object::link(&hash),
            by: grant.requester().clone(),
        };
        let Some(id) = self.ports.views.link(&hash).await? else {
            return Err(self.refuse(grant.keyed(), refused, ProblemKind::NotFound.into()).await);
        };
        let decide = move |loaded: &Loaded, at: Stamp| decide(loaded, at, &id);
        self.record(grant.keyed(), vec![Key::Transfer(id)], Some(refused), decide)
            .await?;
        failpoint::reach("link-change-recorded");
        // It may have been the last that was left, so that the transfer ends when its openings have.
        self.ports.sweep.notify_one();
        self.settle(&id).await
    }
}

/// The effects of a refused try on a link; none if it counts for nothing and the like of it was written down within the hour, so
/// that nobody fills the journal with them.
fn once_an_hour(guesses: &Guesses, (link, at): (&Hash, Stamp), denied: &Denied, effects: Effects) -> Effects {
    match denied.is_idle() && guesses.is_noted(link, at.seconds()) {
        true => Effects::none(),
        false => effects,
    }
}
