//! A transfer sealed and handed over step by step, so that a test can repeat any of its requests exactly.

use bytes::Bytes;
use sealpost_client::Session;
use sealpost_client::api::{Api, ApiError};
use sealpost_proto::api::{
    AnnounceRequest, LinkRedeemRequest, LinkRedeemResponse, NewLink, RearmRequest, SealOptions, TransferState,
};
use sealpost_proto::crypto::sha256;
use sealpost_proto::encoding::Base64;
use sealpost_proto::id::{Hash, LinkId, OpeningId, TransferId};
use sealpost_proto::link::link_hash;
use sealpost_proto::seal_request::SealRequest;
use sealpost_proto::sealed::{Role, Stanza};
use sealpost_proto::tree::tree_head;
use sealpost_sealed::{
    Disclosure, FAST, FileDraft, FileHasher, LinkKey, ManifestDraft, Recipient, Sealer, TransferDraft, TransferSecrets,
    plaintext_mut,
};

/// Words of its link.
const WORDS: &str = "abacus abdomen abide ablaze able";
/// Seconds until it expires.
const LIFETIME: u64 = 7 * 86_400;

/// One file in one part, sealed to one person and to whoever has its link.
pub(crate) struct ByHand {
    pub(crate) id: TransferId,
    part: Bytes,
    root: Hash,
    seal: Bytes,
    key: String,
    share: [u8; 32],
    link: LinkId,
    proof: Vec<u8>,
}

impl ByHand {
    /// Seals a file of more than 64 KiB, so that its part is announced, and fewer than 8 MiB.
    pub(crate) fn new(from: &Session, to: &Session, name: &str, file: &[u8], openings: Option<u32>) -> Self {
        Self::with_id(from, to, TransferId::from_bytes(from.env.draw()), name, file, openings)
    }

    /// The same files sealed once more for the same transfer: every byte is another.
    pub(crate) fn again(&self, from: &Session, to: &Session, name: &str, file: &[u8]) -> Self {
        Self::with_id(from, to, self.id, name, file, None)
    }

    fn with_id(from: &Session, to: &Session, id: TransferId, name: &str, file: &[u8], openings: Option<u32>) -> Self {
        let env = &from.env;
        let secrets = TransferSecrets::generate(true, &mut env.rng());
        let link_id = LinkId::from_bytes(env.draw());
        let link = || LinkKey::new(link_id, Some(WORDS), None).expect("a link");
        let to = [
            Recipient::Key {
                key: to.account.newest_encryption().expect("a key").key.public().clone(),
                role: Role::Recipient,
            },
            Recipient::Link { key: link() },
        ];
        let sealer = Sealer::new(
            FAST,
            &terms(from, id),
            &to,
            manifest(name, file),
            secrets,
            &mut env.rng(),
        )
        .expect("a sealer");
        let (part, leaves) = payload(&sealer, from, file);
        let mut hasher = FileHasher::new(false);
        hasher.update(file);
        let manifest_box = sealer.seal_manifest(&[hasher.finish()], &mut env.rng()).expect("a box");
        let seal = sealer.seal(&from.account.device, &manifest_box, &leaves, env.now());
        let Some(Stanza::Link(stanza)) = sealer.block().for_link(&link_id) else {
            panic!("the link has a stanza");
        };
        let proof = link().auth(&stanza.kdf).expect("a proof").to_vec();
        let registered = NewLink {
            link: link_id,
            auth_sha256: Hash::from_bytes(sha256(&[&proof])),
            openings: 1,
        };
        let request = SealRequest {
            options: SealOptions {
                openings,
                links: vec![registered],
                ..SealOptions::default()
            },
            header: &sealer.header().to_bytes(),
            block: &sealer.block().to_bytes(),
            manifest_box: &manifest_box,
            seal: &seal.expect("a seal").to_bytes(),
            share: sealer.secrets().share().expect("a share"),
            part: &[],
        };
        Self {
            id,
            root: Hash::from_bytes(tree_head(&leaves)),
            part: part.into(),
            seal: request.to_bytes().expect("a request").into(),
            key: from.api.idempotency_key(),
            share: *sealer.secrets().share().expect("a share"),
            link: link_id,
            proof,
        }
    }

    /// Announces it.
    pub(crate) async fn announce(&self, from: &Session) {
        let bytes = self.part.len() as u64;
        let request = AnnounceRequest {
            transfer: self.id,
            bytes,
        };
        from.api.announce(&request).await.expect("an announcement");
    }

    /// Uploads its part: the same bytes every time.
    pub(crate) async fn put_part(&self, from: &Session) -> Result<(), ApiError> {
        from.api.put_part(&self.id, 0, self.root, self.part.clone()).await
    }

    /// Roots of the parts that the gateway lists.
    pub(crate) async fn listed(&self, from: &Session) -> Vec<Hash> {
        let parts = from.api.parts(&self.id).await.expect("a list");
        parts.iter().map(|part| part.root).collect()
    }

    /// Subtree root of its part.
    pub(crate) fn root(&self) -> Hash {
        self.root
    }

    /// Gives the gateway its share again.
    pub(crate) async fn rearm(&self, from: &Session) -> Result<TransferState, ApiError> {
        let share = Base64(self.share.to_vec());
        let answer = from.api.rearm(&self.id, &RearmRequest { share }).await;
        answer.map(|answer| answer.state)
    }

    /// Ends its only link.
    pub(crate) async fn burn(&self, from: &Session) -> Result<(), ApiError> {
        from.api.burn_link(&link_hash(&self.link)).await.map(drop)
    }

    /// Opens its only link, which may be opened once, as somebody who knows the words.
    pub(crate) async fn redeem(&self, visitor: &Api, opening: OpeningId) -> Result<LinkRedeemResponse, ApiError> {
        let request = LinkRedeemRequest {
            link: self.link,
            auth: Base64(self.proof.clone()),
            opening,
        };
        visitor.link_redeem(&request).await
    }

    /// Hands over its seal: the same bytes under the same idempotency key every time. Returns the receipt.
    pub(crate) async fn seal(&self, from: &Session) -> Result<String, ApiError> {
        let answer = from.api.seal_bytes(&self.id, self.seal.clone(), self.key.clone()).await;
        answer.map(|answer| answer.receipt)
    }
}

fn terms(from: &Session, id: TransferId) -> TransferDraft {
    let now = from.env.now();
    TransferDraft {
        transfer_id: id,
        audience: from.account.at.gateway.audience(),
        sender_identity: Some(from.account.identity.public()),
        sender_device: from.account.device.public(),
        created_at: now,
        expires_at: now + LIFETIME,
        no_forward: false,
    }
}

fn manifest(name: &str, file: &[u8]) -> ManifestDraft {
    ManifestDraft {
        subject: None,
        note: None,
        patients: Vec::new(),
        purpose: "TREAT".to_owned(),
        disclosure: Disclosure {
            category: "treatment".to_owned(),
            basis: String::new(),
        },
        reply_to: None,
        files: vec![FileDraft {
            name: name.to_owned(),
            mime: "application/octet-stream".to_owned(),
            len: file.len() as u64,
            mtime: None,
        }],
    }
}

/// The stored segments and their leaves.
fn payload(sealer: &Sealer, from: &Session, file: &[u8]) -> (Vec<u8>, Vec<[u8; 32]>) {
    let (mut part, mut leaves, mut rest) = (Vec::new(), Vec::new(), file);
    for index in 0..sealer.layout().segments() {
        let mut segment = vec![0; sealer.layout().stored_segment_len(index).expect("a segment")];
        let plaintext = plaintext_mut(&mut segment).expect("room");
        let (now, later) = rest.split_at(rest.len().min(plaintext.len()));
        plaintext[..now.len()].copy_from_slice(now);
        rest = later;
        leaves.push(
            sealer
                .seal_segment(index, &mut segment, &mut from.env.rng())
                .expect("a leaf"),
        );
        part.extend_from_slice(&segment);
    }
    (part, leaves)
}
