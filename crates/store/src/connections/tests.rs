use secrecy::ExposeSecret as _;

use super::*;
use crate::store::testing::{at, key, store};
use crate::vault::VaultError;

pub(crate) fn shop() -> NewConnection {
    NewConnection {
        name: "shop".to_owned(),
        account_id: "acct_1".to_owned(),
        account_name: "Shop".to_owned(),
        time_zone: Some("Europe/Berlin".to_owned()),
        livemode: true,
        how: How::ApiKey,
        credentials: "rk_live_first".into(),
    }
}

#[tokio::test]
async fn a_connection_reads_back_and_its_credentials_are_sealed() {
    let store = store().await;
    let made = store.insert_connection(&shop(), at(0)).await.unwrap();
    assert_eq!(made.status, Status::Connecting);
    assert_eq!(made.created_at, at(0));
    assert_eq!(made.time_zone.as_deref(), Some("Europe/Berlin"));
    assert_eq!(store.connection_named("shop").await.unwrap(), Some(made.clone()));
    assert_eq!(store.connections().await.unwrap(), std::slice::from_ref(&made));
    assert_eq!(store.credentials(&made.id).await.unwrap().expose_secret(), "rk_live_first");
    let stored: String =
        sqlx::query_scalar("SELECT credentials FROM connections").fetch_one(&store.pool).await.unwrap();
    assert!(!stored.contains("rk_live_first"));
    assert!(!format!("{:?}", shop()).contains("rk_live_first"));
}

#[tokio::test]
async fn an_account_is_connected_once_in_each_mode() {
    let store = store().await;
    store.insert_connection(&shop(), at(0)).await.unwrap();
    let twice = store.insert_connection(&NewConnection { name: "again".to_owned(), ..shop() }, at(1)).await;
    assert!(
        matches!(&twice, Err(StoreError::AccountConnected { existing }) if existing == "shop"),
        "{twice:?}"
    );
    let test = NewConnection { name: "shop_test".to_owned(), livemode: false, ..shop() };
    store.insert_connection(&test, at(1)).await.unwrap();
    let named = NewConnection { account_id: "acct_2".to_owned(), ..shop() };
    assert!(matches!(store.insert_connection(&named, at(1)).await, Err(StoreError::NameTaken { .. })));
    assert_eq!(store.connections().await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_name_must_be_a_schema_name() {
    let store = store().await;
    let long = "a".repeat(64);
    for name in ["", "1shop", "Shop", "my-shop", "shop;", "größe", long.as_str()] {
        let refused =
            store.insert_connection(&NewConnection { name: name.to_owned(), ..shop() }, at(0)).await;
        assert!(matches!(refused, Err(StoreError::InvalidName)), "{name}");
    }
    let longest = NewConnection { name: "a".repeat(63), ..shop() };
    store.insert_connection(&longest, at(0)).await.unwrap();
}

#[tokio::test]
async fn every_status_reads_back() {
    let store = store().await;
    let id = store.insert_connection(&shop(), at(0)).await.unwrap().id;
    let why = || "because".to_owned();
    for status in [
        Status::Connecting,
        Status::Backfilling { percent: 42 },
        Status::Success,
        Status::Delayed { since: at(5), why: why() },
        Status::Partial { why: why() },
        Status::ReauthenticationRequired { why: why() },
        Status::Paused,
        Status::Failed { why: why() },
    ] {
        store.set_status(&id, &status).await.unwrap();
        assert_eq!(store.connection(&id).await.unwrap().unwrap().status, status);
    }
    assert!(matches!(store.set_status("con_none", &Status::Paused).await, Err(StoreError::NotFound { .. })));
}

#[tokio::test]
async fn a_failed_update_keeps_the_last_success() {
    let store = store().await;
    let id = store.insert_connection(&shop(), at(0)).await.unwrap().id;
    store.mark_started(&id, at(10)).await.unwrap();
    let good = RunMark { began_at: at(10), ended_at: at(12), success: true, brought_rows: true };
    store.mark_ended(&id, good).await.unwrap();
    store.mark_started(&id, at(20)).await.unwrap();
    let bad = RunMark { began_at: at(20), ended_at: at(25), success: false, brought_rows: false };
    store.mark_ended(&id, bad).await.unwrap();
    let connection = store.connection(&id).await.unwrap().unwrap();
    assert_eq!(connection.last_started_at, Some(at(20)));
    assert_eq!(connection.last_duration_ms, Some(5_000));
    assert_eq!(connection.last_success_began_at, Some(at(10)));
    assert_eq!(connection.last_data_at, Some(at(12)));
}

#[tokio::test]
async fn new_credentials_must_be_of_the_same_account_and_mode() {
    let store = store().await;
    let id = store.insert_connection(&shop(), at(0)).await.unwrap().id;
    let offer = |account: &str, livemode| Reauthentication {
        account_id: account.to_owned(),
        livemode,
        time_zone: None,
        how: How::Oauth,
        credentials: "second".into(),
    };
    for other in [offer("acct_2", true), offer("acct_1", false)] {
        let refused = store.replace_credentials(&id, &other, at(1)).await;
        assert!(matches!(refused, Err(StoreError::OtherAccount { .. })));
    }
    assert_eq!(store.credentials(&id).await.unwrap().expose_secret(), "rk_live_first");
    store.replace_credentials(&id, &offer("acct_1", true), at(2)).await.unwrap();
    assert_eq!(store.credentials(&id).await.unwrap().expose_secret(), "second");
    let renewed = store.connection(&id).await.unwrap().unwrap();
    assert_eq!((renewed.how, renewed.time_zone.as_deref()), (How::Oauth, Some("Europe/Berlin")));
    assert_eq!((renewed.created_at, renewed.credentials_at), (at(0), at(2)));
    let moved = Reauthentication { time_zone: Some("Asia/Tokyo".to_owned()), ..offer("acct_1", true) };
    store.replace_credentials(&id, &moved, at(3)).await.unwrap();
    assert_eq!(store.connection(&id).await.unwrap().unwrap().time_zone.as_deref(), Some("Asia/Tokyo"));
}

#[tokio::test]
async fn trap_27_ended_access_asks_for_a_person_unless_it_was_given_again_or_is_a_key() {
    let store = store().await;
    let key = store.insert_connection(&shop(), at(0)).await.unwrap().id;
    let oauth = NewConnection {
        name: "other".to_owned(),
        account_id: "acct_2".to_owned(),
        how: How::Oauth,
        ..shop()
    };
    let oauth = store.insert_connection(&oauth, at(10)).await.unwrap().id;
    assert!(!store.end_access(&key, at(20), "ended").await.unwrap());
    assert!(!store.end_access(&oauth, at(9), "ended").await.unwrap(), "that was before this access");
    assert!(store.end_access(&oauth, at(20), "ended").await.unwrap());
    let status = store.connection(&oauth).await.unwrap().unwrap().status;
    assert_eq!(status, Status::ReauthenticationRequired { why: "ended".to_owned() });
    assert!(!store.end_access(&oauth, at(20), "ended").await.unwrap(), "it is known");
    store.set_status(&oauth, &Status::Paused).await.unwrap();
    assert!(!store.end_access(&oauth, at(20), "ended").await.unwrap());
}

#[tokio::test]
async fn credentials_moved_to_another_row_do_not_open() {
    let store = store().await;
    let one = store.insert_connection(&shop(), at(0)).await.unwrap().id;
    let test = NewConnection { name: "shop_test".to_owned(), livemode: false, ..shop() };
    let two = store.insert_connection(&test, at(0)).await.unwrap().id;
    sqlx::query("UPDATE connections SET credentials = (SELECT credentials FROM connections WHERE id = $1)")
        .bind(&one)
        .execute(&store.pool)
        .await
        .unwrap();
    store.credentials(&one).await.unwrap();
    assert!(matches!(store.credentials(&two).await, Err(StoreError::Vault(VaultError::Damaged))));
}

#[tokio::test]
async fn another_master_key_is_named_as_the_reason() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store.db");
    let store = Store::open(&path, key(1)).await.unwrap();
    let id = store.insert_connection(&shop(), at(0)).await.unwrap().id;
    store.close().await;
    let store = Store::open(&path, key(2)).await.unwrap();
    assert!(matches!(store.credentials(&id).await, Err(StoreError::Vault(VaultError::KeyChanged { .. }))));
}

#[tokio::test]
async fn deleting_takes_what_belongs_to_it() {
    let store = store().await;
    let made = store.insert_connection(&shop(), at(0)).await.unwrap();
    let id = made.id.clone();
    store.begin_cycle(&id, false, at(1)).await.unwrap();
    assert_eq!(store.delete_connection(&id).await.unwrap(), made);
    assert_eq!(store.connection(&id).await.unwrap(), None);
    assert!(store.cycles(&id, 10).await.unwrap().is_empty());
    assert!(matches!(store.delete_connection(&id).await, Err(StoreError::NotFound { .. })));
    store.insert_connection(&shop(), at(2)).await.unwrap();
}
