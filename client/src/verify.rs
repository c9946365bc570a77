//! What receipts and summaries are worth: every claim of the gateway about a transfer, checked against signatures.

use sealpost_proto::api::TransferSummary;
use sealpost_proto::enrolment::GatewayAddress;
use sealpost_proto::id::{Hash, Label, PublicKey};
use sealpost_proto::key::Directory;
use sealpost_proto::receipt::{Assurance, Facts, Kind, SignedReceipt};
use sealpost_proto::sealed::{Header, Reason, Seal};

use crate::directory::DirectoryMirror;
use crate::error::Error;

/// A receipt with the signature of the gateway at `at`, about exactly this seal.
pub(crate) fn countersigned(text: &str, at: &GatewayAddress, seal: &Seal) -> Result<SignedReceipt, Error> {
    let receipt: SignedReceipt = text
        .parse()
        .map_err(|_| Error::Receipt("it is not in the form of a receipt"))?;
    receipt
        .verify_gateway(&at.gateway, &at.log)
        .map_err(|_| Error::Receipt("the gateway's signature is missing"))?;
    let stated = &receipt.receipt().facts;
    if *stated == Facts::of(&seal.body, stated.time) {
        Ok(receipt)
    } else {
        Err(Error::Receipt("it is about another transfer"))
    }
}

/// What an *accepted* receipt says, signed by the gateway about one seal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Accepted {
    /// Size of the directory when the gateway accepted it.
    pub directory_size: u64,
    /// Head of the directory at that size.
    pub directory_root: Hash,
    /// When, unix seconds by the gateway's clock.
    pub time: u64,
}

impl Accepted {
    /// Reads an *accepted* receipt about exactly this seal and checks the gateway's signature; the directory is not checked yet.
    ///
    /// # Errors
    /// [`Error::Receipt`].
    pub fn read(text: &str, at: &GatewayAddress, seal: &Seal) -> Result<Self, Error> {
        let receipt = countersigned(text, at, seal)?;
        match receipt.receipt().kind {
            Kind::Accepted {
                directory_size,
                directory_root,
            } => Ok(Self {
                directory_size,
                directory_root,
                time: receipt.receipt().facts.time,
            }),
            _ => Err(Error::Receipt("it is of another kind")),
        }
    }

    /// The directory that it names must be a beginning of the one that this device has verified. A mirror that was brought up to
    /// date after the receipt was made holds that much.
    ///
    /// # Errors
    /// [`Error::Receipt`].
    pub fn check_directory(self, mirror: &DirectoryMirror) -> Result<Self, Error> {
        match mirror.head_at(self.directory_size) {
            Some(head) if head == self.directory_root => Ok(self),
            Some(_) => Err(Error::Receipt("it names another directory than this device has seen")),
            None => Err(Error::Receipt("it names a larger directory than the gateway shows")),
        }
    }

    /// For the sender: who seals under `size` statements must not be accepted under fewer, else a revocation that the sender has
    /// seen would not count.
    ///
    /// # Errors
    /// [`Error::Receipt`].
    pub fn check_not_before(self, size: u64) -> Result<Self, Error> {
        if self.directory_size < size {
            return Err(Error::Receipt(
                "it names an older directory than this device had seen when it sealed",
            ));
        }
        Ok(self)
    }

    /// How the gateway's time of acceptance differs from the sender's time of sealing, when by more than ten minutes.
    #[must_use]
    pub fn lateness(&self, sealed_at: u64) -> Option<Lateness> {
        if self.time > sealed_at.saturating_add(MAX_LATENESS) {
            Some(Lateness::Late)
        } else if self.time.saturating_add(MAX_LATENESS) < sealed_at {
            Some(Lateness::Early)
        } else {
            None
        }
    }
}

/// Seconds between sealing and acceptance that need no remark.
const MAX_LATENESS: u64 = 600;

/// The two clocks of a sealed transfer differ: one of them is wrong, or somebody lies about when it was sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lateness {
    /// Accepted long after the time in the seal.
    Late,
    /// Accepted long before the time in the seal.
    Early,
}

impl Lateness {
    /// One word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Late => "late",
            Self::Early => "early",
        }
    }
}

/// Verifies an *accepted* receipt, with the directory that it names.
///
/// # Errors
/// [`Error::Receipt`].
pub fn accepted(text: &str, at: &GatewayAddress, seal: &Seal, mirror: &DirectoryMirror) -> Result<Accepted, Error> {
    Accepted::read(text, at, seal)?.check_directory(mirror)
}

/// What a recipient's receipt proves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// None: the recipient had intact plaintext. Else which check failed.
    pub rejected: Option<Reason>,
    /// Whose device signed.
    pub label: Label,
    /// That person's identity.
    pub identity: PublicKey,
    /// When, unix seconds.
    pub time: u64,
}

/// Verifies a *verified* or *rejected* receipt: both signatures, the facts, and the device's chain in the directory.
///
/// # Errors
/// [`Error::Receipt`].
pub fn recipients(text: &str, at: &GatewayAddress, seal: &Seal, directory: &Directory) -> Result<Verdict, Error> {
    let receipt = countersigned(text, at, seal)?;
    let signer = receipt
        .verify_recipient()
        .map_err(|_| Error::Receipt("the recipient's signature is missing"))?;
    let time = receipt.receipt().facts.time;
    let device = directory
        .device_below(&signer.device, time, directory.size())
        .filter(|device| device.identity == signer.identity)
        .ok_or(Error::Receipt("its device is not the recipient's"))?;
    let rejected = match receipt.receipt().kind {
        Kind::Rejected(_, reason) => Some(reason),
        _ => None,
    };
    Ok(Verdict {
        rejected,
        label: device.label,
        identity: device.identity,
        time,
    })
}

/// What the receipt of a visitor with a link proves: that somebody who knew the words had the intact plaintext, or which check
/// failed there. Who that was nobody knows: the key was drawn for it.
///
/// # Errors
/// [`Error::Receipt`].
pub fn visitors(text: &str, at: &GatewayAddress, seal: &Seal) -> Result<(Option<Reason>, u64), Error> {
    let receipt = countersigned(text, at, seal)?;
    let signer = receipt
        .verify_recipient()
        .map_err(|_| Error::Receipt("the visitor's signature is missing"))?;
    if signer.assurance != Assurance::Link || signer.identity != signer.device {
        return Err(Error::Receipt("it is not a visitor's"));
    }
    let rejected = match receipt.receipt().kind {
        Kind::Rejected(_, reason) => Some(reason),
        _ => None,
    };
    Ok((rejected, receipt.receipt().facts.time))
}

/// Header and seal of a summary, parsed, and whether they are of the transfer that the summary names.
///
/// # Errors
/// [`Reason::Format`].
pub fn pieces(summary: &TransferSummary) -> Result<(Header, Seal), Reason> {
    let header = Header::parse(&summary.header.0)?;
    let seal = Seal::parse(&summary.seal.0)?;
    if header.transfer_id == summary.transfer {
        Ok((header, seal))
    } else {
        Err(Reason::Format)
    }
}

/// The identity that the directory gives to the sealing device, as it stood when the gateway accepted the seal.
#[must_use]
pub fn sender(directory: &Directory, device: &PublicKey, seal: &Seal, size: u64) -> Option<PublicKey> {
    let trusted = directory.device_below(device, seal.body.sealed_at, size)?;
    Some(trusted.identity)
}

/// What can be said of a transfer before it is opened.
#[derive(Debug, Clone)]
pub struct Overview {
    /// The header.
    pub header: Header,
    /// The seal.
    pub seal: Seal,
    /// The sender as the directory confirms.
    pub sender: Label,
    /// What the gateway signed when it accepted it.
    pub accepted: Accepted,
}

/// Checks header, seal and sender of a summary in the order of security.md 3.8, as far as that goes without opening.
///
/// # Errors
/// The first [`Reason`], [`Error::Receipt`], or [`Error::Anonymous`].
pub fn overview(summary: &TransferSummary, at: &GatewayAddress, mirror: &DirectoryMirror) -> Result<Overview, Error> {
    let (header, seal) = pieces(summary)?;
    header.check_audience(&at.gateway.audience())?;
    seal.verify(&header.sender_device)?;
    if seal.body.header_hash != header.hash() {
        return Err(Reason::Seal.into());
    }
    let identity = header.sender_identity.ok_or(Error::Anonymous)?;
    let accepted = accepted(&summary.receipt, at, &seal, mirror)?;
    let size = accepted.directory_size;
    let trusted = mirror
        .directory()
        .device_below(&header.sender_device, seal.body.sealed_at, size)
        .filter(|device| device.identity == identity)
        .ok_or(Reason::Sender)?;
    Ok(Overview {
        header,
        seal,
        sender: trusted.label,
        accepted,
    })
}
