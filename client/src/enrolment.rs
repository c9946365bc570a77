//! Enrolling with an enrolment string: keys are made here, announced with a MAC that the gateway cannot make, and wait for the
//! registrar (security.md 4.4 and 7.1).

use sealpost_proto::api::{RedeemRequest, RedeemResponse};
use sealpost_proto::encoding::Base64;
use sealpost_proto::enrolment::EnrolmentString;
use sealpost_proto::key::{Directory, SignedStatement};
use sealpost_proto::log::Checkpoint;

use crate::account::Account;
use crate::api::Api;
use crate::env::Env;
use crate::error::Error;
use crate::founding::{check_gateway, device_statement, member_statement, text_hash};
use crate::home::Home;

/// Makes keys, announces them, and refuses a gateway or an organisation that is not the string's. The key file is written
/// before anything is announced; a definite refusal, or an answer that does not match the string, takes it away again.
///
/// # Errors
/// [`Error`].
pub async fn enrol(string: &EnrolmentString, home: &Home, passphrase: &str, env: &Env) -> Result<Account, Error> {
    let (account, request) = new_account(string, env)?;
    let api = Api::new(string.at.clone(), account.device.clone(), env.clone())?;
    check_gateway(&api.info().await?, &string.at)?;
    home.prepare()?;
    home.create_key_file(&account, passphrase, env)?;
    let answer = match api.redeem(&request).await {
        Ok(answer) => answer,
        Err(error) => {
            if error.is_definite_refusal() {
                // Keys that nobody knows of. If the file cannot be removed, the next run says that it exists.
                let _ = std::fs::remove_file(home.key_file());
            }
            return Err(error.into());
        }
    };
    if let Err(error) = check_answer(&answer, string) {
        // Keys announced to somebody else's gateway are never used.
        let _ = std::fs::remove_file(home.key_file());
        return Err(error);
    }
    Ok(account)
}

fn new_account(string: &EnrolmentString, env: &Env) -> Result<(Account, RedeemRequest), Error> {
    let directory_key = string.directory_key.clone();
    let mut account = Account::generate(string.at.clone(), string.org, directory_key, string.to.clone(), env)?;
    let now = env.now();
    let member = member_statement(&account, now)?;
    let device = device_statement(&account, now)?;
    account.statements = vec![text_hash(&member), text_hash(&device)];
    let mac = string.secret.invite_mac(
        &string.invite,
        &account.label(),
        &account.identity.public(),
        account.newest_encryption()?.key.public(),
        &account.device.public(),
    );
    let request = RedeemRequest {
        invite: string.invite,
        auth: Base64(string.secret.invite_auth(&string.invite).to_vec()),
        member: member.to_string(),
        device: device.to_string(),
        mac: Base64(mac.to_vec()),
    };
    Ok((account, request))
}

/// The statements must be the organisation's of the string, signed by its root, and the log must be the one of its log key.
fn check_answer(answer: &RedeemResponse, string: &EnrolmentString) -> Result<(), Error> {
    let origin = string.at.gateway.directory_origin();
    Checkpoint::verify(&answer.checkpoint, &origin, &string.at.log)
        .map_err(|_| Error::Mismatch("the directory's checkpoint"))?;
    let mut directory = Directory::new(string.org);
    for text in &answer.statements {
        let statement: SignedStatement = text
            .parse()
            .map_err(|_| Error::Mismatch("the organisation's statements"))?;
        directory
            .apply(&statement)
            .map_err(|_| Error::Mismatch("the organisation's root or its registrars"))?;
    }
    if directory.org_name().is_empty() {
        return Err(Error::Mismatch("the organisation's root is missing"));
    }
    Ok(())
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::account::RootKey;
    use crate::founding::first_statements;
    use sealpost_proto::crypto::SigningKey;
    use sealpost_proto::enrolment::Secret;
    use sealpost_proto::id::{Hash, InviteId};

    /// A founder, the founding statements, and a string for another person.
    pub(crate) fn invited() -> (Account, Vec<String>, EnrolmentString) {
        let env = Env::system();
        let root = RootKey::generate("Clinic", &env);
        let at = crate::account::tests::account().at;
        let founding = first_statements(&root, at.clone(), "a@b.example".parse().unwrap(), &env).unwrap();
        let string = EnrolmentString {
            at,
            org: founding.account.org,
            directory_key: founding.account.directory_key.clone(),
            to: "new@b.example".parse().unwrap(),
            invite: InviteId::from_bytes([1; 16]),
            secret: Secret::from_bytes([2; 32]),
        };
        (founding.account, founding.statements, string)
    }

    /// What an invitee posts.
    pub(crate) fn posted(string: &EnrolmentString) -> (Account, RedeemRequest) {
        new_account(string, &Env::system()).unwrap()
    }

    fn answer(statements: &[String], key: &SigningKey) -> RedeemResponse {
        let checkpoint = Checkpoint {
            origin: "gw/directory".into(),
            size: 4,
            root: Hash::from_bytes([0; 32]),
        };
        RedeemResponse {
            statements: statements[..2].to_vec(),
            checkpoint: checkpoint.sign(key).unwrap().to_string(),
        }
    }

    #[test]
    fn takes_the_organisation_of_the_string_alone() {
        let (_, statements, string) = invited();
        let (_, others, _) = invited();
        let log_key = SigningKey::from_seed(&[2; 32]);
        check_answer(&answer(&statements, &log_key), &string).unwrap();
        let other_org = check_answer(&answer(&others, &log_key), &string);
        assert!(matches!(other_org, Err(Error::Mismatch(_))));
        let other_log = check_answer(&answer(&statements, &SigningKey::from_seed(&[3; 32])), &string);
        assert!(matches!(other_log, Err(Error::Mismatch(_))));
        let mut nothing = answer(&statements, &log_key);
        nothing.statements.clear();
        assert!(check_answer(&nothing, &string).is_err());
    }
}
