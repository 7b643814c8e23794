//! `history`: the last decisions, fetched a page at a time.

use dbus_api::client::{Client, Error};
use dbus_api::history::{Decision, Page};

use crate::Failure;
use crate::commands::plain_lines;
use crate::print::Printer;

/// Decisions asked for at a time: none of them keeps the daemon from its guests for long.
const PAGE: u32 = 128;

/// Prints the last `last` decisions, oldest first.
pub async fn run(client: &Client, out: &Printer, last: u32) -> Result<(), Failure> {
    let page = fetch(client, last).await?;
    let text: String = page.decisions.iter().map(Decision::text).collect();
    let json = serde_json::to_value(&page).map_err(|error| Error::Unexpected(format!("history: {error}")))?;
    Ok(out.answer(&plain_lines(&text), &json)?)
}

/// Those there were when it was asked first; what is decided meanwhile is not waited for.
async fn fetch(client: &Client, last: u32) -> Result<Page, Error> {
    let Page { first, next, .. } = client.history(u32::MAX, 0).await?;
    let mut decisions: Vec<Decision> = Vec::new();
    let mut from = next.saturating_sub(last).max(first);
    while from < next {
        let most = (next - from).min(PAGE) as u16;
        let page = client.history(from, most).await?;
        let Some(newest) = page.decisions.last() else {
            break;
        };
        from = newest.number + 1;
        decisions.extend(page.decisions);
    }
    Ok(Page { first, next, decisions })
}
