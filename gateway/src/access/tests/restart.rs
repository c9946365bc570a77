//! What was used before a restart is used after it.

use super::*;
use crate::domain::{Change, Effects};
use crate::store::ledger::transact;

/// A gatekeeper over the ledger in a folder, as a gateway that starts at the clock's time has it.
async fn started(clinic: &Clinic, clock: &Arc<TestClock>, folder: &std::path::Path) -> Door {
    let data = PrivateFolder::open(folder).unwrap();
    let ledger = EmbeddedLedger::open(&data, "1", clock.clone(), Arc::new(SystemRandom)).unwrap();
    let ledger = Arc::new(ledger);
    if ledger.organisation().await.unwrap().directory.is_none() {
        found(&ledger, clinic).await;
    }
    let organisation = ledger.organisation().await.unwrap();
    let settings = Settings {
        authority: AUTHORITY.to_owned(),
        gateway: clinic.gateway.clone(),
        started_at: clock.now_millis() / 1000,
        ahead: organisation.ahead.clone(),
        account_rate: None,
    };
    Door {
        clinic: clinic.clone(),
        clock: clock.clone(),
        gatekeeper: Gatekeeper::new(settings, ledger.clone(), ledger, clock.clone()),
        double: Arc::new(Double {
            organisation,
            leaves: Mutex::default(),
        }),
    }
}

async fn found(ledger: &EmbeddedLedger, clinic: &Clinic) {
    let organisation = clinic.state.load(&[Key::Organisation]).organisation().cloned().unwrap();
    let founded = Change::OrganisationFounded {
        org: clinic.org,
        owner: clinic.admin.label,
    };
    let texts = organisation.statements.iter().map(|s| s.text.clone());
    let taken = texts.map(|text| Change::StatementTaken { text });
    let changes: Vec<Change> = std::iter::once(founded).chain(taken).collect();
    let decide = move |_: &_, _| {
        let changes = changes.clone();
        let leaves = Vec::new();
        ((), Effects { changes, leaves })
    };
    transact(ledger, vec![Key::Organisation], decide).await.unwrap();
}

#[tokio::test]
async fn a_signature_from_the_future_is_no_good_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data");
    let clinic = Clinic::new();
    let clock = Arc::new(TestClock::new((NOW - 1) * 1000));
    let door = started(&clinic, &clock, &path).await;
    clock.pass(1);
    let on_time = door.own(NOW, 1);
    door.try_as(&on_time, Action::Send).await.unwrap();
    let ahead = door.own(NOW + 60, 2);
    door.try_as(&ahead, Action::Send).await.unwrap();
    door.try_as(&door.own(NOW + 62, 3), Action::Send).await.unwrap();
    drop(door);

    let door = started(&clinic, &clock, &path).await;
    clock.pass(1);
    assert_eq!(door.refusal(&on_time).await, ProblemKind::Replayed);
    assert_eq!(door.refusal(&ahead).await, ProblemKind::Replayed);
    assert_eq!(door.refusal(&door.own(NOW + 65, 4)).await, ProblemKind::Replayed);
    let again = door.own(NOW + 66, 5);
    door.try_as(&again, Action::Send)
        .await
        .expect("a few seconds later all is well");
    let others = post(&clinic.provider.device, AUTHORITY, NOW + 1, 6);
    door.try_as(&others, Action::Send)
        .await
        .expect("nobody else is kept out");
}
