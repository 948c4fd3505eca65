//! Chunks as a plan makes them, on their way into `channel_chunks`.

use std::collections::HashMap;
use std::ops::Range;

use sqlx::PgConnection;

use crate::chunks::ChunkForm;
use crate::ids::{ChunkId, DeliveryId};

/// A part of a delivery that was planned.
#[derive(Debug)]
pub struct NewChunk<'a> {
    /// Exactly what is sent.
    pub body: &'a str,
    /// The bytes of the delivery's text that it covers.
    pub source: Range<usize>,
    /// Counts against the allowance.
    pub meter_proactive: bool,
    /// Carries the footer.
    pub has_footer: bool,
    /// It is the delivery's template, and has no body of its own.
    pub is_template: bool,
}

/// Stores the chunks of any number of deliveries in one statement; returns their ids, for each delivery in order.
pub(crate) async fn add(
    conn: &mut PgConnection,
    deliveries: &[(DeliveryId, &[NewChunk<'_>])],
) -> sqlx::Result<Vec<Vec<ChunkId>>> {
    let mut rows = ChunkRows::default();
    for (place, (id, chunks)) in (0i32..).zip(deliveries) {
        for (index, chunk) in (0i32..).zip(*chunks) {
            rows.places.push(place);
            rows.deliveries.push(*id);
            rows.indexes.push(index);
            rows.bodies.push(chunk.body);
            rows.starts.push(i32::try_from(chunk.source.start).unwrap_or(i32::MAX));
            rows.ends.push(i32::try_from(chunk.source.end).unwrap_or(i32::MAX));
            rows.metered.push(chunk.meter_proactive);
            rows.footed.push(chunk.has_footer);
            rows.forms.push(if chunk.is_template { ChunkForm::Template } else { ChunkForm::Text });
        }
    }
    let added: Vec<(DeliveryId, ChunkId)> = sqlx::query_as(
        "INSERT INTO channel_chunks (delivery_id, index, body, source_start, source_end, meter_proactive, has_footer, form, metering)
         SELECT delivery_id, index, body, source_start, source_end, metered, footed, form, CASE WHEN metered THEN 'reserved' END
         FROM unnest($1::INT[], $2::UUID[], $3::INT[], $4::TEXT[], $5::INT[], $6::INT[], $7::BOOLEAN[], $8::BOOLEAN[], $9::TEXT[])
             AS new (place, delivery_id, index, body, source_start, source_end, metered, footed, form)
         ORDER BY place, index RETURNING delivery_id, id",
    )
    .bind(&rows.places)
    .bind(&rows.deliveries)
    .bind(&rows.indexes)
    .bind(&rows.bodies)
    .bind(&rows.starts)
    .bind(&rows.ends)
    .bind(&rows.metered)
    .bind(&rows.footed)
    .bind(&rows.forms)
    .fetch_all(conn)
    .await?;
    // Numbers are drawn in the order of the rows, so sorting restores each delivery's own order.
    let mut ids: HashMap<DeliveryId, Vec<ChunkId>> = HashMap::new();
    for (delivery_id, id) in added {
        ids.entry(delivery_id).or_default().push(id);
    }
    Ok(deliveries
        .iter()
        .map(|(delivery_id, _)| {
            let mut ids = ids.remove(delivery_id).unwrap_or_default();
            ids.sort_unstable();
            ids
        })
        .collect())
}

/// Chunks as one array for each column.
#[derive(Default)]
struct ChunkRows<'a> {
    places: Vec<i32>,
    deliveries: Vec<DeliveryId>,
    indexes: Vec<i32>,
    bodies: Vec<&'a str>,
    starts: Vec<i32>,
    ends: Vec<i32>,
    metered: Vec<bool>,
    footed: Vec<bool>,
    forms: Vec<ChunkForm>,
}
