//! Opening a link without an account: prove that the words are known, verify, save, and sign a receipt with a key drawn for it.
//!
//! The order of the checks is that of every recipient (security.md 3.8), and so is the code. What differs: nobody vouches for the
//! visitor, and the sender's chain is verified up to the organisation that the link names, if it names one; else it comes from
//! whoever gave the words. Key and opening are kept, sealed under words and secret, until the receipt has gone, so that a second try
//! after a crash continues the same opening and is not counted; what is staged is kept beside them until the files are in place.

mod due;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use sealpost_proto::api::{LinkLookupRequest, LinkRedeemRequest, LinkRedeemResponse, MAX_STATEMENTS};
use sealpost_proto::crypto::{SigningKey, h};
use sealpost_proto::encoding::{Base64, hex};
use sealpost_proto::enrolment::{GatewayAddress, Secret};
use sealpost_proto::id::{Address, GatewayId, OpeningId, OrgId, PublicKey, TransferId};
use sealpost_proto::key::{Directory, SignedStatement};
use sealpost_proto::link::{Link, link_hash};
use sealpost_proto::problem::ProblemKind;
use sealpost_proto::receipt::Assurance;
use sealpost_proto::sealed::{Argon2Params, Envelope, Header, LinkKdf, MAX_BOX_LEN, Reason, Seal};
use sealpost_sealed::{FAST, LinkKey, LinkKeys, Manifest, OpenWith, Opener, unwrap_secret};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

pub use due::remove_expired;

use crate::account::signing_key;
use crate::api::{Api, ApiError, Trust};
use crate::env::Env;
use crate::error::Error;
use crate::home::State;
use crate::progress::Progress;
use crate::receive::{ReceivedFile, Receiver, Visiting, files_at, is_over};
use crate::records::KeptSecret;
use crate::verify::{self, Accepted};
use due::DueFile;

/// The folder of openings of links that were begun.
const VISITS: &str = "visits";

/// A gateway that was asked for a link, before anything is proved to it. Nothing has changed there.
#[derive(Debug)]
pub struct Door {
    link: Link,
    trust: Trust,
    at: GatewayAddress,
    kdf: LinkKdf,
    env: Env,
}

/// Who a transfer is from, and how that is known.
#[derive(Debug, Clone)]
pub struct From {
    /// The sender's address, by the gateway's word.
    pub address: Address,
    /// The organisation's name, as its root signed it.
    pub organisation: String,
    /// Its id.
    pub org: OrgId,
    /// The link names this organisation, which the gateway could not choose.
    pub is_verified: bool,
}

/// A link that was opened: what can be said before the files are fetched.
#[derive(Debug)]
pub struct Visit {
    /// From whom.
    pub from: From,
    /// What the sender wrote.
    pub manifest: Manifest,
    /// When the sender says it was sealed, unix seconds.
    pub sealed_at: u64,
    /// What the gateway signed when it accepted it.
    pub accepted: Accepted,
    /// Until when it can be opened.
    pub expires_at: u64,
    opener: Opener,
    guest: Guest,
}

/// The visitor: a key and an opening, and where both are kept.
#[derive(Debug)]
struct Guest {
    api: Arc<Api>,
    device: SigningKey,
    kept: Kept,
    state: State,
    name: String,
    seal: Option<Seal>,
    transfer: Option<TransferId>,
    env: Env,
}

/// What is kept until the receipt has gone.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Kept {
    device: KeptSecret,
    opening: OpeningId,
    /// The folder in which the files are, once they are there.
    placed: Option<PathBuf>,
}

/// A transfer that a visitor saved.
#[derive(Debug)]
pub struct Saved {
    /// The files.
    pub files: Vec<ReceivedFile>,
    /// The gateway has the receipt; else the same command sends it.
    pub is_receipted: bool,
}

impl Door {
    /// Asks the gateway of a link who it is and how the words become a key. Links that do not exist look like others.
    ///
    /// # Errors
    /// [`Error::Api`]; [`ApiError::Untrusted`] if nobody vouches for the gateway's certificate.
    pub async fn knock(link: Link, pin: Option<[u8; 32]>, env: Env) -> Result<Self, Error> {
        let trust = pin.map_or(Trust::SystemRoots, Trust::Pin);
        let nobody = GatewayAddress {
            url: link.base().to_owned(),
            gateway: unknown_gateway()?,
            pin: pin.unwrap_or_default(),
            log: signing_key(&env).public(),
        };
        let stranger = Api::trusting(trust, nobody.clone(), signing_key(&env), env.clone())?;
        let info = stranger.info().await.map_err(by_link)?;
        let at = GatewayAddress {
            gateway: info.gateway,
            log: info.log,
            ..nobody
        };
        let api = Api::trusting(trust, at.clone(), signing_key(&env), env.clone())?;
        let asked = LinkLookupRequest { link: link.link_id() };
        let answer = api.link_lookup(&asked).await?;
        // Outside of these bounds guessing is cheap or opening is a trap.
        let params = Argon2Params::new(answer.m_kib, answer.t);
        let params = params.map_err(|_| ApiError::Answer("how the words become a key"))?;
        let salt = answer.salt.0.as_slice().try_into();
        let salt = salt.map_err(|_| ApiError::Answer("how the words become a key"))?;
        Ok(Self {
            link,
            trust,
            at,
            kdf: LinkKdf::Argon2id { params, salt },
            env,
        })
    }

    /// Proves that the words are known and opens the link: a new opening, or the one that is kept in `folder`. `words` are whole
    /// words of the list.
    ///
    /// # Errors
    /// [`Error::Api`] with the gateway's reason; [`Error::Rejected`], which the sender then hears of; [`Error::AlreadySaved`] if
    /// only the receipt was missing.
    pub async fn open(&self, words: &str, folder: &Path) -> Result<Visit, Error> {
        let secret = self.link.fragment().map(|fragment| &*fragment.secret);
        let key = LinkKey::new(self.link.link_id(), Some(words), secret).ok_or(Error::Internal("a link"))?;
        let keys = key.keys(&self.kdf).map_err(|_| Error::Internal("a link"))?;
        let state = State::at(folder, Secret::from_bytes(*keys.state));
        let name = state_name(&self.link, &keys);
        let kept = state.get::<Kept>(VISITS, &name)?;
        let (mut guest, answer) = match kept {
            Some(kept) => self.come_again(kept, &keys, state, name).await?,
            None => self.come(&keys, state, name).await?,
        };
        match self.examine(&mut guest, &answer, &key).await {
            Ok((opener, accepted, from)) if guest.kept.placed.is_none() => Ok(Visit {
                from,
                manifest: opener.manifest().clone(),
                sealed_at: opener.envelope().envelope().seal.body.sealed_at,
                accepted,
                expires_at: opener.envelope().envelope().header.expires_at,
                opener,
                guest,
            }),
            Ok(_) => Err(guest.finish_earlier().await?),
            Err(error) => Err(guest.reject(error).await),
        }
    }

    /// With the key and the opening of an earlier try. If that opening has lapsed, with new ones.
    async fn come_again(
        &self,
        kept: Kept,
        keys: &LinkKeys,
        state: State,
        name: String,
    ) -> Result<(Guest, LinkRedeemResponse), Error> {
        let mut guest = self.guest(kept, state.clone(), name.clone())?;
        match guest.redeem(&self.link, keys).await {
            Ok(answer) => Ok((guest, answer)),
            // An opening ends by its receipt, which may have used up the link as well, or it lapses.
            Err(error) if guest.is_ended(&error) => {
                guest.forget()?;
                match guest.kept.placed.take() {
                    Some(folder) => {
                        guest.staged().discard()?;
                        Err(Error::AlreadySaved(folder))
                    }
                    None => self.come(keys, state, name).await,
                }
            }
            Err(error) => {
                if is_over(&error) {
                    guest.staged().discard()?;
                }
                Err(error.into())
            }
        }
    }

    async fn come(&self, keys: &LinkKeys, state: State, name: String) -> Result<(Guest, LinkRedeemResponse), Error> {
        let kept = Kept {
            device: KeptSecret::new(&Zeroizing::new(self.env.draw())),
            opening: OpeningId::from_bytes(self.env.draw()),
            placed: None,
        };
        let guest = self.guest(kept, state, name)?;
        guest.due().begin(self.env.now())?;
        // Before it is asked for, so that it can be repeated.
        guest.keep()?;
        match guest.redeem(&self.link, keys).await {
            Ok(answer) => Ok((guest, answer)),
            Err(error) => {
                if is_over(&error) {
                    guest.staged().discard()?;
                }
                if error.is_definite_refusal() && error.kind() != Some(ProblemKind::InFlight) {
                    guest.forget()?;
                }
                Err(error.into())
            }
        }
    }

    fn guest(&self, kept: Kept, state: State, name: String) -> Result<Guest, Error> {
        let device = SigningKey::from_seed(kept.device.as_bytes());
        let api = Api::trusting(self.trust, self.at.clone(), device.clone(), self.env.clone())?;
        Ok(Guest {
            api: Arc::new(api),
            device,
            kept,
            state,
            name,
            seal: None,
            transfer: None,
            env: self.env.clone(),
        })
    }

    /// Audience, time, seal, sender, stanzas; own stanza, share, commitment, manifest.
    async fn examine(
        &self,
        guest: &mut Guest,
        answer: &LinkRedeemResponse,
        key: &LinkKey,
    ) -> Result<(Opener, Accepted, From), Error> {
        let summary = &answer.transfer;
        let (header, seal) = verify::pieces(summary)?;
        guest.transfer = Some(summary.transfer);
        guest.seal = Some(seal);
        guest.due().note(header.expires_at, header.transfer_id, None)?;
        let manifest_box = guest.api.manifest_box(&summary.transfer, MAX_BOX_LEN).await?;
        let block = &answer.opened.block.0;
        let envelope = Envelope::parse(&summary.header.0, block, &manifest_box, &summary.seal.0)?;
        let pinned = self.link.fragment().map(|fragment| fragment.org);
        let directory = chain(&answer.statements, pinned)?;
        let verified = envelope.verify(&self.at.gateway.audience(), self.env.now(), |device| {
            sender(&directory, &header, device, &seal)
        })?;
        let accepted = Accepted::read(&summary.receipt, &self.at, &seal)?;
        if header.sender_identity.is_none() {
            return Err(Error::Anonymous);
        }
        let secret = unwrap_secret(FAST, &verified, OpenWith::Link(key), None)?;
        let share = answer
            .opened
            .share
            .as_ref()
            .map(|Base64(share)| Zeroizing::new(share.clone()));
        let opener = Opener::new(FAST, verified, secret, share.as_ref().map(|share| share.as_slice()))?;
        let from = From {
            address: answer.sender.clone(),
            organisation: directory.org_name().to_owned(),
            org: directory.org(),
            is_verified: pinned.is_some(),
        };
        Ok((opener, accepted, from))
    }
}

/// Stands where no gateway is known yet.
fn unknown_gateway() -> Result<GatewayId, Error> {
    "unknown".parse().map_err(|_| Error::Internal("a gateway's name"))
}

/// Who has a link and a wrong pin has no enrolment.
fn by_link(error: ApiError) -> Error {
    match error {
        ApiError::WrongKey => Error::WrongPin("self-made".to_owned()),
        ApiError::Intercepted(issuer) => Error::WrongPin(format!("issued by {issuer}")),
        other => other.into(),
    }
}

/// Other words have another name, so a wrong try cannot take the place of what belongs to the right ones.
fn state_name(link: &Link, keys: &LinkKeys) -> String {
    let hash = link_hash(&link.link_id());
    hex(&h("link-visit", &[hash.as_bytes(), &keys.state[..]]))
}

/// The sender's chain as the gateway serves it, with what revokes keys of it, under its own rules and below the organisation of the
/// link. There is no mirror of the directory here, so a statement that the gateway leaves out is not missed.
fn chain(statements: &[String], pinned: Option<[u8; 16]>) -> Result<Directory, Reason> {
    if statements.len() > MAX_STATEMENTS {
        return Err(Reason::Sender);
    }
    let statements: Result<Vec<SignedStatement>, _> = statements.iter().map(|text| text.parse()).collect();
    let statements = statements.map_err(|_| Reason::Sender)?;
    let org = statements.first().ok_or(Reason::Sender)?.statement().org;
    if pinned.is_some_and(|pinned| org.as_bytes().first_chunk() != Some(&pinned)) {
        return Err(Reason::Sender);
    }
    let mut directory = Directory::new(org);
    for statement in &statements {
        directory.apply(statement).map_err(|_| Reason::Sender)?;
    }
    Ok(directory)
}

/// Any revocation that is served counts: a gateway serves those that come before the transfer was accepted.
fn sender(directory: &Directory, header: &Header, device: &PublicKey, seal: &Seal) -> Option<PublicKey> {
    let identity = verify::sender(directory, device, seal, directory.size())?;
    (Some(identity) == header.sender_identity).then_some(identity)
}

impl Guest {
    fn keep(&self) -> Result<(), Error> {
        self.state.put(VISITS, &self.name, &self.kept, &self.env)
    }

    fn forget(&self) -> Result<(), Error> {
        self.state.remove(VISITS, &self.name)?;
        due::forget(&self.state, &self.name)
    }

    /// What says until when all this is kept.
    fn due(&self) -> DueFile {
        DueFile::of(&self.state, &self.name)
    }

    /// Whether a refusal means that the opening of an earlier try has ended.
    fn is_ended(&self, error: &ApiError) -> bool {
        match error.kind() {
            Some(ProblemKind::Conflict) => true,
            Some(ProblemKind::LimitReached) => self.kept.placed.is_some(),
            _ => false,
        }
    }

    /// Where the state of saving is.
    fn staged(&self) -> Visiting<'_> {
        Visiting {
            state: &self.state,
            name: &self.name,
            env: &self.env,
        }
    }

    async fn redeem(&self, link: &Link, keys: &LinkKeys) -> Result<LinkRedeemResponse, ApiError> {
        let request = LinkRedeemRequest {
            link: link.link_id(),
            auth: Base64(keys.auth.to_vec()),
            opening: self.kept.opening,
        };
        self.api.link_redeem(&request).await
    }

    async fn post_receipt(&self, rejected: Option<Reason>) -> Result<String, Error> {
        let (Some(seal), Some(transfer)) = (&self.seal, &self.transfer) else {
            return Err(Error::Internal("a receipt"));
        };
        let by = Receiver {
            identity: self.device.public(),
            device: &self.device,
            assurance: Assurance::Link,
            opening: self.kept.opening,
            now: self.env.now(),
        };
        by.post_receipt(&self.api, transfer, seal, rejected).await
    }

    /// The person is told in any case; the sender only if the gateway takes the receipt.
    async fn reject(&self, error: Error) -> Error {
        if let Error::Rejected(reason) = &error {
            let _ = self.staged().discard();
            let _ = self.post_receipt(Some(*reason)).await;
        }
        error
    }

    /// The files were put in place by an earlier run; what is missing is the receipt.
    async fn finish_earlier(mut self) -> Result<Error, Error> {
        self.post_receipt(None).await?;
        self.staged().discard()?;
        self.forget()?;
        let folder = self.kept.placed.take().unwrap_or_default();
        Ok(Error::AlreadySaved(folder))
    }
}

impl Visit {
    /// Which transfer it is.
    #[must_use]
    pub fn transfer(&self) -> TransferId {
        self.opener.envelope().envelope().header.transfer_id
    }

    /// Fetches and verifies everything, gives the files their names in `target`, and posts the receipt.
    ///
    /// # Errors
    /// [`Error`]; what is staged in `target` then is gone on with by the next try, except of a transfer that failed a check.
    pub async fn save(self, target: &Path, progress: Arc<dyn Progress>) -> Result<Saved, Error> {
        let Self {
            opener,
            manifest,
            mut guest,
            ..
        } = self;
        let opening = guest.kept.opening;
        let header = &opener.envelope().envelope().header;
        guest.due().note(header.expires_at, header.transfer_id, Some(target))?;
        let visiting = guest.staged();
        let (paths, staged) = match visiting.save(&guest.api, opener, opening, target, progress).await {
            Ok(placed) => placed,
            Err(error) => return Err(guest.reject(error).await),
        };
        guest.kept.placed = Some(target.to_owned());
        guest.keep()?;
        // In this order a crash costs neither: without both, the next try would save everything again.
        staged.remove()?;
        let is_receipted = guest.post_receipt(None).await.is_ok();
        if is_receipted {
            guest.forget()?;
        }
        Ok(Saved {
            files: files_at(&manifest, paths),
            is_receipted,
        })
    }
}

#[cfg(test)]
mod tests;
