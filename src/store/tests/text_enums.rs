//! What the checks of the database allow is what the enums of the program say.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::PgConnection;
use store::addresses::Keyword;
use store::agent_outages::AgentTrouble;
use store::alerts::AlertCause;
use store::apologies::NoApology;
use store::attachments::AttachmentState;
use store::changed_ids::ChangeState;
use store::chunks::{self, ChunkForm, ChunkState};
use store::claim_tokens::TokenEnding;
use store::consents::{ConsentAction, ConsentMethod};
use store::cursors::Cursor;
use store::deliveries::{DeliveryState, Obstacle, Purpose};
use store::erasure::ErasurePart;
use store::gateways::MemoryKeeper;
use store::in_doubt::AdminVerdict;
use store::links::LinkEnding;
use store::messages::{ChannelName, MessageOutcome};
use store::notices::NoticeKind;
use store::processes::Role;
use store::rate_buckets::BucketPrefix;
use store::retention::RetainedPart;
use store::schedules::OffCause;
use store::send_attempts::SendOutcome;
use store::sender_pace::SendStream;
use store::sent_messages::SentKind;
use store::slot_users::PartOutcome;
use store::slots::SlotState;
use store::text_enum::TextEnum;
use store::turns::TurnState;
use store::withheld::WithheldKind;

use crate::Tables;

pub(crate) type Texts = BTreeMap<String, BTreeSet<String>>;

/// Columns whose texts are written and read by functions of the database alone.
const OF_FUNCTIONS: [&str; 3] =
    ["channel_chunks.metering", "whatsapp_send_ledger.event", "whatsapp_send_ledger.was"];

#[tokio::test]
async fn a_column_allows_what_its_enum_has_and_nothing_else() {
    let tables = Tables::new().await;

    let mut allowed = allowed(&mut tables.pg.acquire().await.unwrap()).await;
    allowed.retain(|column, _| !OF_FUNCTIONS.contains(&column.as_str()));

    assert_eq!(allowed, defined());
}

#[tokio::test]
async fn a_text_that_no_enum_has_is_an_error_that_names_the_column_and_the_text() {
    let tables = Tables::new().await;
    let chunk = tables.chunks(1).await[0];
    sqlx::raw_sql(
        "ALTER TABLE channel_chunks DROP CONSTRAINT channel_chunks_state_check; UPDATE channel_chunks SET state = 'lost'",
    )
    .execute(&tables.pg)
    .await
    .unwrap();

    let error = chunks::get(&mut tables.pg.acquire().await.unwrap(), chunk).await.unwrap_err().to_string();

    assert!(error.contains("channel_chunks.state") && error.contains("\"lost\""), "{error}");
}

#[test]
fn the_readme_names_each_obstacle_in_the_order_in_which_they_are_judged() {
    let readme = include_str!("../../../README.md");
    let listed = readme.split_once("What stands in its way is its reason").unwrap().1;
    let listed: Vec<&str> = listed.split('`').skip(1).step_by(2).take(Obstacle::TEXTS.len()).collect();

    assert_eq!(listed, Obstacle::TEXTS);
}

/// What the enums have, by column.
fn defined() -> Texts {
    let mut texts = Texts::new();
    add::<AdminVerdict>(&mut texts);
    add::<AgentTrouble>(&mut texts);
    add::<AlertCause>(&mut texts);
    add::<AttachmentState>(&mut texts);
    add::<SendOutcome>(&mut texts);
    add::<BucketPrefix>(&mut texts);
    add::<ChangeState>(&mut texts);
    add::<ChannelName>(&mut texts);
    add::<ChunkForm>(&mut texts);
    add::<ChunkState>(&mut texts);
    add::<ConsentAction>(&mut texts);
    add::<ConsentMethod>(&mut texts);
    add::<Cursor>(&mut texts);
    add::<DeliveryState>(&mut texts);
    add::<ErasurePart>(&mut texts);
    add::<RetainedPart>(&mut texts);
    add::<Keyword>(&mut texts);
    add::<LinkEnding>(&mut texts);
    add::<MemoryKeeper>(&mut texts);
    add::<MessageOutcome>(&mut texts);
    add::<NoApology>(&mut texts);
    add::<NoticeKind>(&mut texts);
    add::<OffCause>(&mut texts);
    add::<PartOutcome>(&mut texts);
    add::<Purpose>(&mut texts);
    add::<Role>(&mut texts);
    add::<SentKind>(&mut texts);
    add::<SendStream>(&mut texts);
    add::<SlotState>(&mut texts);
    add::<TokenEnding>(&mut texts);
    add::<TurnState>(&mut texts);
    add::<WithheldKind>(&mut texts);
    texts
}

fn add<E: TextEnum>(texts: &mut Texts) {
    for column in E::COLUMNS {
        texts.insert((*column).to_owned(), E::TEXTS.iter().map(|text| (*text).to_owned()).collect());
    }
}

/// What the checks allow that list the texts of one column, of its elements, or of its part before a colon.
pub(crate) async fn allowed(conn: &mut PgConnection) -> Texts {
    let lists: Vec<(String, Vec<String>)> = sqlx::query_as(
        r"SELECT format('%s.%s', c.conrelid::regclass, a.attname),
                 ARRAY(SELECT m[1] FROM regexp_matches(list.texts, '''([^'']+)''::text', 'g') AS m)
          FROM pg_constraint c JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = c.conkey[1]
          CROSS JOIN LATERAL (
              SELECT (regexp_match(pg_get_constraintdef(c.oid), '^CHECK \(\((?:split_part\()?\w+(?:, '':''::text, 1\))? (?:= ANY \(|<@ )ARRAY\[([^]]*)\]\)?\)\)$'))[1]
          ) AS list (texts)
          WHERE c.contype = 'c' AND c.connamespace = 'public'::regnamespace AND cardinality(c.conkey) = 1 AND list.texts IS NOT NULL",
    )
    .fetch_all(conn)
    .await
    .unwrap();
    lists.into_iter().map(|(column, texts)| (column, texts.into_iter().collect())).collect()
}
