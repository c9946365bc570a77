//! What receipts and summaries are worth: every claim of the gateway about a transfer, checked against signatures.

use sealpost_proto::api::TransferSummary;
use sealpost_proto::enrolment::GatewayAddress;
use sealpost_proto::id::{Hash, Label, PublicKey};
use sealpost_proto::key::Directory;
use sealpost_proto::receipt::{Facts, Kind, SignedReceipt};
use sealpost_proto::sealed::{Header, Reason, Seal};

use crate::directory::DirectoryMirror;
use crate::error::Error;

/// What a receipt about this seal must state, made at `time`.
#[must_use]
pub fn facts(seal: &Seal, time: u64) -> Facts {
    Facts {
        transfer: Hash::from_bytes(seal.body.header_hash),
        root: Hash::from_bytes(seal.body.payload_root),
        segments: seal.body.segments,
        mic: Hash::from_bytes(seal.body.box_hash),
        sealed_at: seal.body.sealed_at,
        time,
    }
}

/// A receipt of the gateway at `at` about exactly this seal.
fn countersigned(text: &str, at: &GatewayAddress, seal: &Seal) -> Result<SignedReceipt, Error> {
    let receipt: SignedReceipt = text
        .parse()
        .map_err(|_| Error::Receipt("it is not in the form of a receipt"))?;
    receipt
        .verify_gateway(&at.gateway, &at.log)
        .map_err(|_| Error::Receipt("the gateway's signature is missing"))?;
    let stated = &receipt.receipt().facts;
    if *stated == facts(seal, stated.time) {
        Ok(receipt)
    } else {
        Err(Error::Receipt("it is about another transfer"))
    }
}

/// Verifies an *accepted* receipt and returns the size of the directory that it vouches for.
///
/// # Errors
/// [`Error::Receipt`].
pub fn accepted(text: &str, at: &GatewayAddress, seal: &Seal, mirror: &DirectoryMirror) -> Result<u64, Error> {
    let receipt = countersigned(text, at, seal)?;
    let Kind::Accepted {
        directory_size,
        directory_root,
    } = receipt.receipt().kind
    else {
        return Err(Error::Receipt("it is of another kind"));
    };
    match mirror.head_at(directory_size) {
        Some(head) if head != directory_root => {
            Err(Error::Receipt("it names another directory than this device has seen"))
        }
        _ => Ok(directory_size),
    }
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
    /// The sender as the directory confirms; none for an anonymous one.
    pub sender: Option<Label>,
}

/// Checks header, seal and sender of a summary in the order of security.md 3.8, as far as that goes without opening.
///
/// # Errors
/// The first [`Reason`], or [`Error::Receipt`].
pub fn overview(summary: &TransferSummary, at: &GatewayAddress, mirror: &DirectoryMirror) -> Result<Overview, Error> {
    let (header, seal) = pieces(summary)?;
    header.check_audience(&at.gateway.audience())?;
    seal.verify(&header.sender_device)?;
    if seal.body.header_hash != header.hash() {
        return Err(Reason::Seal.into());
    }
    let size = accepted(&summary.receipt, at, &seal, mirror)?;
    let directory = mirror.directory();
    let sender = match header.sender_identity {
        None => None,
        Some(identity) => {
            let trusted = directory.device_below(&header.sender_device, seal.body.sealed_at, size);
            let trusted = trusted
                .filter(|device| device.identity == identity)
                .ok_or(Reason::Sender)?;
            Some(trusted.label)
        }
    };
    Ok(Overview { header, seal, sender })
}
