//! Status callbacks: what they say, and how they go astray.

use sandbox::faults::Faults;

use crate::account::{ACCOUNT_SID, Account, BUSINESS, PERSON};
use crate::receiver::Receiver;

#[tokio::test]
async fn a_status_is_reported_signed_and_with_the_messages_addresses() {
    let account = Account::open().await;
    let mut receiver = Receiver::start(&[]).await;

    let created = account.create(&[("Body", "hi"), ("StatusCallback", &receiver.url)]).await;
    let event = receiver.event().await;

    assert_eq!(event.headers["x-twilio-signature"], receiver.signature(&event));
    assert_eq!(event.param("MessageSid"), created["sid"]);
    assert_eq!((event.param("From"), event.param("To")), (BUSINESS, PERSON));
    assert_eq!(event.param("AccountSid"), ACCOUNT_SID);
    assert_eq!(event.param("ChannelToAddress"), "+1500555XXXX");
}

#[tokio::test]
async fn a_message_is_sent_then_delivered() {
    let account = Account::open().await;
    let mut receiver = Receiver::start(&[]).await;

    account.create(&[("Body", "hi"), ("StatusCallback", &receiver.url)]).await;

    assert_eq!(receiver.statuses(2).await, ["sent", "delivered"]);
}

#[tokio::test]
async fn a_failure_is_reported_with_its_code() {
    let account = Account::open().await;
    let mut receiver = Receiver::start(&[]).await;
    account.sandbox.set_faults(Faults { fail_later: 1.0, fail_later_code: 63016, ..Faults::default() });

    account.create(&[("Body", "hi"), ("StatusCallback", &receiver.url)]).await;
    let (sent, failed) = (receiver.event().await, receiver.event().await);

    assert_eq!(sent.find("ErrorCode"), None);
    assert_eq!((failed.param("MessageStatus"), failed.param("ErrorCode")), ("undelivered", "63016"));
}

#[tokio::test]
async fn a_message_is_read_if_that_was_asked_for() {
    let account = Account::misbehaving(Faults { read: 1.0, ..Faults::default() }).await;
    let mut receiver = Receiver::start(&[]).await;

    account.create(&[("Body", "hi"), ("StatusCallback", &receiver.url)]).await;

    assert_eq!(receiver.statuses(3).await, ["sent", "delivered", "read"]);
}

#[tokio::test]
async fn a_lost_callback_never_comes() {
    let account = Account::misbehaving(Faults { callback_lost: 1.0, read: 1.0, ..Faults::default() }).await;
    let mut receiver = Receiver::start(&[]).await;

    account.create(&[("Body", "hi"), ("StatusCallback", &receiver.url)]).await;

    // The reports of the statuses before this one are over when it is set.
    account.wait_for_status("read").await;
    assert!(receiver.is_idle());
}

#[tokio::test]
async fn a_doubled_callback_comes_twice() {
    let account = Account::misbehaving(Faults { callback_doubled: 1.0, ..Faults::default() }).await;
    let mut receiver = Receiver::start(&[]).await;

    account.create(&[("Body", "hi"), ("StatusCallback", &receiver.url)]).await;

    assert_eq!(receiver.statuses(4).await, ["sent", "sent", "delivered", "delivered"]);
}

#[tokio::test]
async fn reordered_callbacks_come_the_last_first() {
    let account = Account::misbehaving(Faults { callback_reordered: 1.0, ..Faults::default() }).await;
    let mut receiver = Receiver::start(&[]).await;

    account.create(&[("Body", "hi"), ("StatusCallback", &receiver.url)]).await;

    assert_eq!(receiver.statuses(2).await, ["delivered", "sent"]);
}
