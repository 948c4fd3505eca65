//! A newcomer's first message is answered: where the sandbox stands in for Twilio and nobody is known yet, the user `demo` claims a phone
//! in the real way.

use anyhow::Context as _;
use channel::app::Settings;
use channel::inbound::claims;
use queue::connections::Connections;
use sandbox::Sandbox;
use store::ids::UserId;

const USER: &str = "demo";
const PLAN: &str = "pro";
const PHONE: &str = "+15005550100";

/// Makes the user and lets the sandbox's phone send the token. A service that has users already is left alone.
pub(crate) async fn welcome(pg: &Connections, settings: &Settings, sandbox: &Sandbox) -> anyhow::Result<()> {
    let user: UserId = USER.parse()?;
    let mut tx = pg.begin().await?;
    // A first start that was cut short is made good by the next.
    let has_others = store::users::are_others(&mut tx, &user).await?;
    if has_others || !store::consents::of_user(&mut tx, &user).await?.is_empty() {
        return Ok(());
    }
    let plan = settings.plans.of(PLAN).name.clone();
    store::users::create_or_lock(&mut tx, &user, &plan).await?;
    let created = claims::create(&mut tx, settings, &user, false).await?;
    let (token, _) = created.context("the demo user was erased while it was made")?;
    tx.commit().await?;
    let answered = sandbox.write(PHONE, &token.to_text()).await;
    anyhow::ensure!(answered == Ok(200), "the claim of the user demo was answered {answered:?}");
    Ok(())
}
